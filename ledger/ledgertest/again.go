package ledgertest

import (
	"time"
)

// A log may be read twice: what has an id counts once, after a restart too, and
// events without one are all different.
func toldAgain(s *suite) {
	const event = 0xfedc_ba98_7654
	tell := func(id uint64, after time.Duration) int {
		s.Helper()
		f := failure(client, "jan@domena.cz", after)
		f.ID = id
		return s.add(prefix, f).Count
	}
	for i, step := range []struct {
		id    uint64
		after time.Duration
		want  int
	}{
		{event, 0, 1},
		{event, 0, 1},
		{event, time.Minute, 1}, // read at another time
		{event + 1, time.Minute, 2},
		{0, 2 * time.Minute, 3},
		{0, 2 * time.Minute, 4},
		{event, 0, 4}, // an older one than those that came since
	} {
		if got := tell(step.id, step.after); got != step.want {
			s.Errorf("step %d: %d failures, want %d", i, got, step.want)
		}
	}
	s.restart(3 * time.Minute)
	if got := tell(event, 0); got != 4 {
		s.Errorf("after a restart: %d failures, want 4", got)
	}
	if got := tell(event+2, 3*time.Minute); got != 5 {
		s.Errorf("a new one after a restart: %d failures, want 5", got)
	}
	// Told again, it does not move: it leaves the window when it should.
	if got := s.Tally(prefix, at(time.Hour), Window).Count; got != 4 {
		s.Errorf("an hour after the first: %d failures, want 4", got)
	}
}
