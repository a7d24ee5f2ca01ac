package daemon

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"portreeve/directory"
	"portreeve/rules"
)

// buggy is a directory with a bug that one account meets.
type buggy struct{ directory.Directory }

func (b buggy) Account(ctx context.Context, login string) (*rules.Account, bool, error) {
	if login == "bug@domena.cz" {
		panic("a bug\nin a rule")
	}
	return b.Directory.Account(ctx, login)
}

// A bug in a rule: whoever met it gets no answer, which Postfix makes a temporary
// failure of (policy: default_action after one more try; milter:
// milter_default_action). Everybody else is served, and the log has the stack.
func TestPanicInARule(t *testing.T) {
	h := prepare(t, plain)
	h.launch(func(ctx context.Context, ready func()) error {
		o := h.options()
		o.Directory = func(d directory.Directory) directory.Directory { return buggy{d} }
		return Run(ctx, o, ready)
	})
	const bug = "bug@domena.cz"
	auth := strings.TrimPrefix(h.status().Listeners["auth"], "inet:")
	beside := h.open("policy.sock")
	answers := bufio.NewReader(beside)
	good := envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@domena.cz"}.String()
	milterBeside := h.connect("192.0.2.9", 587)
	milterBeside.login = "jan@domena.cz"

	for range 3 {
		c := h.open("policy.sock")
		if _, err := io.WriteString(c, envelope{client: "192.0.2.66", login: bug, sender: bug}.String()); err != nil {
			t.Fatal(err)
		}
		ends(t, "the policy connection", c)
		m := h.connect("192.0.2.66", 587)
		m.login = bug
		m.breaksAtMail(bug)
		body := `{"login":"bug@domena.cz","protocol":"submission","remote":"192.0.2.66"}`
		r := must[*http.Request](t)(http.NewRequest(http.MethodPost, "http://"+auth+"/?command=allow", strings.NewReader(body)))
		r.Header.Set("X-Api-Key", "secret")
		if res, err := http.DefaultClient.Do(r); err == nil {
			t.Errorf("at AUTH: %s", res.Status) // Dovecot goes on without; MAIL is asked about
			res.Body.Close()
		}
		if got := exchange(t, beside, answers, good); got != "DUNNO" {
			t.Errorf("the connection beside it: %q", got)
		}
	}
	if refusal := milterBeside.mail("jan@domena.cz"); refusal != "" {
		t.Errorf("the milter session beside it: %q", refusal)
	}
	log := h.log.String()
	if n := strings.Count(log, "buggy.Account"); n < 6 {
		t.Errorf("the log has %d stacks:\n%s", n, log)
	}
	if strings.Contains(log, "a bug\nin") {
		t.Error("the log is not escaped")
	}
	if s := h.status(); !s.Store.Up {
		t.Errorf("status: %+v", s)
	}
}
