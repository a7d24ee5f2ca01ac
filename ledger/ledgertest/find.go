package ledgertest

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"portreeve/ledger"
	"portreeve/rules"
)

// found lists the times of what is found, in minutes after noon.
func (s *suite) found(q ledger.FailureQuery) (minutes []int) {
	s.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	list, err := s.FindFailures(context.Background(), q)
	if err != nil {
		s.Fatal(err)
	}
	for _, f := range list {
		minutes = append(minutes, int(f.Time.Sub(Noon)/time.Minute))
	}
	return minutes
}

// Every failure that is kept is found by its client and by its login, newest first.
func findFailures(s *suite) {
	other := netip.MustParseAddr("192.0.2.8")
	s.add(prefix, failure(client, "jan@domena.cz", 0))
	s.add(prefix, failure(client, "hunter2", time.Minute))
	s.add(netip.PrefixFrom(other, 32), failure(other, "Jan@Domena.cz", 2*time.Minute))
	uncounted := failure(other, "eva@domena.cz", 3*time.Minute)
	uncounted.Counted = false
	s.add(netip.PrefixFrom(other, 32), uncounted)
	for name, c := range map[string]struct {
		q    ledger.FailureQuery
		want []int
	}{
		"all":          {ledger.FailureQuery{Since: at(-time.Hour)}, []int{3, 2, 1, 0}},
		"client":       {ledger.FailureQuery{Client: client}, []int{1, 0}},
		"login":        {ledger.FailureQuery{Login: "JAN@domena.cz"}, []int{2, 0}},
		"without an @": {ledger.FailureQuery{Login: rules.ShownLogin("hunter2")}, []int{1}},
		"both":         {ledger.FailureQuery{Client: other, Login: "jan@domena.cz"}, []int{2}},
		"since":        {ledger.FailureQuery{Since: at(2 * time.Minute)}, []int{3, 2}},
		"limit":        {ledger.FailureQuery{Limit: 3}, []int{3, 2, 1}},
		"nobody":       {ledger.FailureQuery{Login: "x@y.cz"}, nil},
	} {
		if got := s.found(c.q); !slices.Equal(got, c.want) {
			s.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
