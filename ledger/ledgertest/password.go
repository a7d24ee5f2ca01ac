package ledgertest

import (
	"context"
	"fmt"
	"time"

	"portreeve/ledger"
	"portreeve/rules"
)

// same_password = "once": a phone that repeats one stored password counts once
// in a window, a guesser counts each time.
func samePassword(s *suite) {
	once := Window
	once.Once = true
	add := func(login, password string, after time.Duration) rules.Tally {
		s.Helper()
		f := failure(client, login, after)
		f.Password = password
		t, err := s.AddFailure(context.Background(), prefix, f, ledger.Counting{Client: once})
		if err != nil {
			s.Fatal(err)
		}
		return t.Client
	}
	for n := range 50 {
		if t := add("jan@domena.cz", "0708", time.Duration(n)*time.Second); t.Count != 1 {
			s.Fatalf("the same password counts %d times", t.Count)
		}
	}
	for n := range 9 {
		add("jan@domena.cz", fmt.Sprintf("1%03d", n), time.Minute)
	}
	if t := add("jan@domena.cz", "0708", 2*time.Minute); t.Count != 10 || !t.Until.IsZero() {
		s.Errorf("ten different passwords: %+v", t)
	}
	// Another login's is another, and one without a hash is never the same.
	if t := add("eva@domena.cz", "0708", 2*time.Minute); t.Count != 11 || t.Until.IsZero() {
		s.Errorf("another login: %+v", t)
	}
	add("eva@domena.cz", "", 3*time.Minute)
	if t := add("eva@domena.cz", "", 3*time.Minute); t.Count != 13 {
		s.Errorf("without a hash: %+v", t)
	}
	// The latest try of a password is the one that leaves the window.
	if t := s.Tally(prefix, at(time.Hour+90*time.Second), once); t.Count != 4 {
		s.Errorf("after an hour: %+v", t)
	}
}
