package daemon

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"portreeve/internal/admin"
	"portreeve/journal"
)

func (h *host) decisions(r admin.DecisionsRequest) []journal.Entry {
	h.t.Helper()
	return must[[]journal.Entry](h.t)(h.admin.Decisions(h.t.Context(), r))
}

func TestDecisions(t *testing.T) {
	h := start(t, plain)
	for i, e := range []envelope{
		{client: "192.0.2.1", login: "jan@domena.cz", sender: "a@seznam.cz"},
		{client: "192.0.2.2", login: "jan@domena.cz", sender: "b@seznam.cz"},
		{client: "2001:db8::1", login: "info@firma.cz", sender: "a@seznam.cz"},
		{client: "192.0.2.1", sender: "jan@domena.cz"},
	} {
		if reply := h.ask(e); !strings.HasPrefix(reply, "550 ") {
			t.Fatalf("envelope %d: %s", i, reply)
		}
		h.clock.forward(2 * time.Minute)
	}
	yes, no := true, false
	for name, c := range map[string]struct {
		r    admin.DecisionsRequest
		want string // senders and clients, newest first
	}{
		"all":       {admin.DecisionsRequest{}, "jan@domena.cz 192.0.2.1;a@seznam.cz 2001:db8::1;b@seznam.cz 192.0.2.2;a@seznam.cz 192.0.2.1;"},
		"limit":     {admin.DecisionsRequest{Limit: 1}, "jan@domena.cz 192.0.2.1;"},
		"client":    {admin.DecisionsRequest{Client: "192.0.2.2"}, "b@seznam.cz 192.0.2.2;"},
		"mapped":    {admin.DecisionsRequest{Client: "::ffff:192.0.2.2"}, "b@seznam.cz 192.0.2.2;"},
		"network":   {admin.DecisionsRequest{Client: "2001:db8::/32"}, "a@seznam.cz 2001:db8::1;"},
		"login":     {admin.DecisionsRequest{Login: "INFO@firma.cz"}, "a@seznam.cz 2001:db8::1;"},
		"sender":    {admin.DecisionsRequest{Sender: "b@seznam.cz"}, "b@seznam.cz 192.0.2.2;"},
		"rule":      {admin.DecisionsRequest{Rule: "auth_failed"}, "jan@domena.cz 192.0.2.1;"},
		"none":      {admin.DecisionsRequest{Rule: "login_failures"}, ""},
		"since":     {admin.DecisionsRequest{Since: noon.Add(5 * time.Minute)}, "jan@domena.cz 192.0.2.1;"},
		"until":     {admin.DecisionsRequest{Until: noon.Add(time.Minute)}, "a@seznam.cz 192.0.2.1;"},
		"observed":  {admin.DecisionsRequest{Observed: &yes}, ""},
		"refused":   {admin.DecisionsRequest{Observed: &no, Limit: 1}, "jan@domena.cz 192.0.2.1;"},
		"all of it": {admin.DecisionsRequest{Rule: "sender", Login: "jan@domena.cz", Client: "192.0.2.0/24", Since: noon.Add(time.Minute)}, "b@seznam.cz 192.0.2.2;"},
	} {
		got := ""
		for _, e := range h.decisions(c.r) {
			got += e.Sender + " " + e.Client + ";"
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for _, r := range []admin.DecisionsRequest{{Client: "nonsense"}, {Rule: "sendr"}} {
		if _, err := h.admin.Decisions(t.Context(), r); err == nil || errors.Is(err, journal.ErrUnknown) || !strings.Contains(err.Error(), ": give ") {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func (h *host) failures(of string) admin.FailuresAnswer {
	h.t.Helper()
	return must[admin.FailuresAnswer](h.t)(h.admin.Failures(h.t.Context(), admin.FailuresRequest{Of: of}))
}

func shownFailures(a admin.FailuresAnswer) string {
	text := ""
	for _, f := range a.Failures {
		text += fmt.Sprintf("%s %s %s;", f.Client, f.Login, f.Time.Sub(noon))
	}
	return text
}

func TestFailures(t *testing.T) {
	h := start(t, plain)
	for i, login := range []string{"jan@domena.cz", "Jan@Domena.cz", "hunter2", "eva@domena.cz"} {
		h.report("submission", fmt.Sprintf("192.0.2.%d", i%2+1), login, false)
		h.clock.forward(time.Minute)
	}
	a := h.failures("192.0.2.1")
	if got := shownFailures(a); got != "192.0.2.1 h… (7 characters) 2m0s;192.0.2.1 jan@domena.cz 0s;" || !a.Client || a.Count != 2 || a.Limit != 10 || a.Until != nil {
		t.Errorf("of a client: %s %+v", got, a)
	}
	a = h.failures("JAN@domena.cz")
	if got := shownFailures(a); got != "192.0.2.2 Jan@Domena.cz 1m0s;192.0.2.1 jan@domena.cz 0s;" || a.Client || a.Count != 2 || a.Limit != 0 {
		t.Errorf("of a login: %s %+v", got, a)
	}
	// What was kept of it is what is looked for: another name of that kind is found, too.
	if got := shownFailures(h.failures("hunter2")); got != "192.0.2.1 h… (7 characters) 2m0s;" {
		t.Errorf("of a name without @: %s", got)
	}
	if a := h.failures("192.0.2.9"); len(a.Failures) != 0 || a.Failures == nil {
		t.Errorf("of a stranger: %+v", a)
	}
	if _, err := h.admin.Failures(t.Context(), admin.FailuresRequest{}); err == nil || !strings.Contains(err.Error(), "give an IP address or a login") {
		t.Errorf("of nobody: %v", err)
	}
	// A network of several blocks has no count; that of its first address, or
	// everybody's, would be a lie.
	for of, want := range map[string]string{
		"192.0.2.0/24": "is wider than what failed logins are counted by (/32)", "2001:db8::/32": "(/64)", "127.0.0.0/8": "(/32)",
		"::1/128": "", "192.0.2.9/32": "", "2001:db8::/96": "",
	} {
		_, err := h.admin.Failures(t.Context(), admin.FailuresRequest{Of: of})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("of %s: %v", of, err)
		}
	}
	h.block("2001:db8::7", "jan@domena.cz")
	if a := h.failures("2001:db8::/96"); a.Of != "2001:db8::/64" || a.Until == nil {
		t.Errorf("of a part of a blocked network: %+v", a)
	}
	if _, err := h.unblock("2001:db8::7"); err != nil {
		t.Fatal(err)
	}
	h.block("192.0.2.7", "jan@domena.cz")
	a = h.failures("192.0.2.7")
	if a.Until == nil || a.ID != h.blocks()[0].ID || a.Count != 11 {
		t.Errorf("of a blocked client: %+v", a)
	}
	if _, err := h.unblock("192.0.2.7"); err != nil {
		t.Fatal(err)
	}
	if a := h.failures("192.0.2.7"); a.Count != 0 || len(a.Failures) != 0 {
		t.Errorf("after an unblock: %+v", a)
	}
}

func TestBlocksSelected(t *testing.T) {
	h := start(t, plain)
	h.block("192.0.2.7", "jan@domena.cz")
	h.clock.forward(10 * time.Minute)
	h.block("2001:db8::1", "eva@domena.cz")
	for name, c := range map[string]struct {
		r    admin.BlocksRequest
		want string
	}{
		"all":     {admin.BlocksRequest{}, "2001:db8::/64 192.0.2.7 "},
		"address": {admin.BlocksRequest{Client: "192.0.2.7"}, "192.0.2.7 "},
		"another": {admin.BlocksRequest{Client: "192.0.2.8"}, ""},
		"in it":   {admin.BlocksRequest{Client: "2001:db8::99"}, "2001:db8::/64 "},
		"around":  {admin.BlocksRequest{Client: "192.0.0.0/16"}, "192.0.2.7 "},
		"login":   {admin.BlocksRequest{Login: "EVA@domena.cz"}, "2001:db8::/64 "},
		"since":   {admin.BlocksRequest{Since: noon.Add(5 * time.Minute)}, "2001:db8::/64 "},
	} {
		got := ""
		for _, b := range must[[]admin.Block](t)(h.admin.Blocks(t.Context(), c.r)) {
			got += b.Prefix + " "
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if _, err := h.admin.Blocks(t.Context(), admin.BlocksRequest{Client: "x"}); err == nil {
		t.Error("no error for an address that is none")
	}
}
