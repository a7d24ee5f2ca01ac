package directory_test

import (
	"context"
	"strings"
	"testing"

	"portreeve/directory"
	"portreeve/rules"
)

// A bug in a source or its driver costs the one look-up: it is asked on a
// goroutine of its own, where a panic would end the whole daemon.
func TestPanicIsOneFailedLookup(t *testing.T) {
	f := &fake{account: func(_ context.Context, login string) (*rules.Account, bool, error) {
		if login == "bug@domena.cz" {
			var none *rules.Account
			return none, none.SMTP, nil
		}
		return &rules.Account{SMTP: true}, true, nil
	}}
	c, err := directory.NewCache(f, directory.CacheOptions{Name: "sql"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _, err = c.Account(t.Context(), "bug@domena.cz")
	if err == nil || !strings.Contains(err.Error(), "panicked: the account question: runtime error: invalid memory address") || !strings.Contains(err.Error(), "panic_test.go") {
		t.Errorf("got %v, want the panic and its stack", err)
	}
	for range 300 { // no slot is lost, either
		if _, _, err := c.Account(t.Context(), "bug@domena.cz"); err == nil {
			t.Fatal("a panic became an answer")
		}
	}
	if a, found, err := c.Account(t.Context(), "jan@domena.cz"); err != nil || !found || !a.SMTP {
		t.Errorf("the next look-up: %+v %v %v", a, found, err)
	}
}
