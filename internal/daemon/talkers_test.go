package daemon

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"portreeve/internal/admin"
	"portreeve/rules"
)

func loginFrom(client, login string, kind rules.EventKind, at time.Time) rules.Event {
	return rules.Event{Kind: kind, Client: netip.MustParseAddr(client), Login: login, Time: at}
}

func TestTalkersCount(t *testing.T) {
	c := newTalkers(noon)
	for i := range 30 {
		c.count(loginFrom("192.0.2.1", fmt.Sprintf("U%d@b.cz", i%20), rules.LoginSucceeded, noon))
	}
	for range 3 {
		c.count(loginFrom("192.0.2.2", "a@b.cz", rules.LoginFailed, noon))
		c.count(loginFrom("192.0.2.2", "A@B.cz", rules.LoginSucceeded, noon))
	}
	internal := loginFrom("192.0.2.3", "a@b.cz", rules.LoginFailed, noon)
	internal.Internal = true
	for _, e := range []rules.Event{
		internal, loginFrom("192.0.2.4", "", rules.MessageAccepted, noon), {Kind: rules.LoginFailed, Time: noon},
	} {
		c.count(e)
	}
	got := c.top(noon.Add(time.Hour))
	want := []admin.Talker{{Client: "192.0.2.1", Reports: 30, Logins: maxLogins}, {Client: "192.0.2.2", Reports: 6, Failures: 3, Logins: 1}}
	if got.Reports != 36 || !got.Since.Equal(noon) || len(got.Top) != 2 || got.Top[0] != want[0] || got.Top[1] != want[1] {
		t.Errorf("got %+v", got)
	}
}

// What was counted is forgotten after a day at most, and a clock that goes back
// begins anew.
func TestTalkersForget(t *testing.T) {
	c := newTalkers(noon)
	c.count(loginFrom("192.0.2.1", "a@b.cz", rules.LoginFailed, noon))
	c.count(loginFrom("192.0.2.1", "c@b.cz", rules.LoginFailed, noon.Add(talkersSpan)))
	if got := c.top(noon.Add(talkersSpan)); got.Reports != 2 || got.Top[0].Reports != 2 || got.Top[0].Logins != 2 || !got.Since.Equal(noon) {
		t.Errorf("two generations: %+v", got)
	}
	if got := c.top(noon.Add(2 * talkersSpan)); got.Reports != 1 || !got.Since.Equal(noon.Add(talkersSpan)) {
		t.Errorf("the first is forgotten: %+v", got)
	}
	if got := c.top(noon.Add(10 * talkersSpan)); got.Reports != 0 || len(got.Top) != 0 || got.Top == nil {
		t.Errorf("all is forgotten: %+v", got)
	}
	c.count(loginFrom("192.0.2.1", "a@b.cz", rules.LoginFailed, noon))
	if got := c.top(noon); got.Reports != 1 || !got.Since.Equal(noon) {
		t.Errorf("after the clock went back: %+v", got)
	}
}

// A crowd of addresses that come once costs no memory and hides no proxy.
func TestTalkersAreBounded(t *testing.T) {
	c := newTalkers(noon)
	for i := range 20 * maxTalkers {
		at := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		c.count(rules.Event{Kind: rules.LoginFailed, Client: at, Login: "a@b.cz", Time: noon})
		if i%4 == 0 {
			c.count(loginFrom("192.0.2.1", "a@b.cz", rules.LoginSucceeded, noon))
		}
	}
	if n := len(c.now.clients); n > maxTalkers {
		t.Errorf("%d addresses are kept", n)
	}
	got := c.top(noon)
	if len(got.Top) != topTalkers || got.Top[0].Client != "192.0.2.1" || got.Top[0].Reports != 5*maxTalkers {
		t.Errorf("got %+v", got.Top)
	}
	if got.Top[1].Reports > 1 {
		t.Errorf("an address that came once is counted %d times", got.Top[1].Reports)
	}
}

// The daemon counts what Dovecot reports, and shows it.
func TestStatusShowsTalkers(t *testing.T) {
	h := start(t, plain)
	h.report("submission", "192.0.2.9", "jan@domena.cz", false)
	h.report("pop3", "192.0.2.9", "eva@domena.cz", true)
	got := h.status().Talkers
	if got.Reports != 2 || len(got.Top) != 1 || got.Top[0] != (admin.Talker{Client: "192.0.2.9", Reports: 2, Failures: 1, Logins: 2}) {
		t.Errorf("got %+v", got)
	}
}
