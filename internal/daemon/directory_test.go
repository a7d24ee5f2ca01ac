package daemon

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"portreeve/directory"
	"portreeve/rules"
)

// unsure is a directory that fails while it is told to.
type unsure struct {
	directory.Directory
	down *atomic.Bool
}

func (u unsure) Account(ctx context.Context, login string) (*rules.Account, bool, error) {
	if u.down.Load() {
		return nil, false, errors.New("no connection")
	}
	return u.Directory.Account(ctx, login)
}

func (u unsure) Domains(ctx context.Context, domain string) ([]string, bool, error) {
	if u.down.Load() {
		return nil, false, errors.New("no connection")
	}
	return u.Directory.Domains(ctx, domain)
}

// startUnsure runs a daemon whose directory fails while down is set.
func startUnsure(t *testing.T, config string, down *atomic.Bool) *host {
	t.Helper()
	h := prepare(t, config)
	h.launch(func(ctx context.Context, ready func()) error {
		o := h.options()
		o.Directory = func(d directory.Directory) directory.Directory { return unsure{d, down} }
		return Run(ctx, o, ready)
	})
	return h
}

// A directory that cannot answer defers, or lets the login and sender rules pass,
// and either way the log and the metrics say so. It holds over a reload.
func TestDirectoryFails(t *testing.T) {
	const asked = `portreeve_directory_lookups_total{result="failed"} `
	for _, tt := range []struct {
		onFailure, answer string
		logged, counted   []string
	}{
		{
			"defer", `^451 4\.3\.0 \w{22} temporary lookup failure, try again later$`,
			[]string{`msg="directory look-up failed" protocol=policy client=192.0.2.9 error="no connection"`, `rule=defer reason=directory`},
			[]string{asked + "2", `portreeve_decisions_total{action="refuse",protocol="policy",rule="defer"} 2`},
		},
		{
			"accept", `^DUNNO$`,
			[]string{
				`msg="directory look-up failed" protocol=policy client=192.0.2.9 error="no connection"`,
				`msg="directory unavailable, rule passed" rule=auth_rejected protocol=policy client=192.0.2.9 login=jan@domena.cz sender=jan@seznam.cz`,
				`msg="directory unavailable, rule passed" rule=sender `,
			},
			[]string{asked + "4", `portreeve_decisions_total{action="pass",protocol="policy",rule=""} 2`}, // the account's and the domain's, twice
		},
	} {
		t.Run(tt.onFailure, func(t *testing.T) {
			var down atomic.Bool
			h := startUnsure(t, strings.Replace(plain, "[directory]", "[directory]\non_failure = \""+tt.onFailure+"\"", 1), &down)
			foreign := envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@seznam.cz"}
			const refused = "550 5.1.0 <jan@seznam.cz> sender rejected"
			if got := h.ask(foreign); got != refused {
				t.Errorf("before: %q", got)
			}
			down.Store(true)
			for range 2 {
				if got := h.ask(foreign); !regexp.MustCompile(tt.answer).MatchString(got) {
					t.Errorf("while it fails: %q", got)
				}
				h.reloaded()
			}
			for _, want := range tt.logged {
				if log := h.log.String(); !strings.Contains(log, want) {
					t.Errorf("no %s in the log:\n%s", want, log)
				}
			}
			_, metrics := h.get("/metrics")
			for _, want := range tt.counted {
				if !strings.Contains(metrics, want+"\n") {
					t.Errorf("no %s in the metrics:\n%s", want, metrics)
				}
			}
			down.Store(false)
			if got := h.ask(foreign); got != refused {
				t.Errorf("afterwards: %q", got)
			}
		})
	}
}
