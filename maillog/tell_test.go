package maillog

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"portreeve/rules"
)

const (
	loginLine  = "Nov 22 11:59:00 mx dovecot: pop3-login: Login: user=<jan@domena.cz>, method=PLAIN, rip=192.0.2.1, lip=192.0.2.2, mpid=34, session=<L1ilm9dgsc9/AAcB>\n"
	logoutLine = "Nov 22 11:59:30 mx dovecot: pop3(jan@domena.cz)<34><L1ilm9dgsc9/AAcB>: Disconnected: Logged out top=0/0, retr=0/0, del=0/0, size=0\n"
)

// What another front tells is not told here; what nobody else tells always is.
func TestWhatIsTold(t *testing.T) {
	for _, c := range []struct {
		name             string
		failures, logins bool
		want             string
	}{
		{"alone", true, true, "jan@domena.cz jan@domena.cz guess"},
		{"with the SASL relay", false, true, "jan@domena.cz jan@domena.cz"},
		{"with the auth policy", false, false, "jan@domena.cz"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.write(r.path, "")
			r.start()
			r.file.Failures, r.file.Logins = c.failures, c.logins
			r.write(r.path, loginLine+logoutLine)
			r.failures("guess")
			r.want(c.want)
		})
	}
}

func TestEvents(t *testing.T) {
	r := newRig(t)
	r.write(r.path, "")
	r.start()
	r.write(r.path, loginLine+logoutLine)
	r.failures("guess")
	r.poll()
	if len(r.gate.told) != 3 {
		t.Fatalf("told %+v", r.gate.told)
	}
	ids := map[uint64]bool{}
	for i, e := range r.gate.told {
		ids[e.ID] = true
		if e.ID == 0 || e.ID >= 1<<48 {
			t.Errorf("event %d has the id %x", i, e.ID)
		}
		if e.Protocol != rules.ProtocolMaillog || e.Client != netip.MustParseAddr("192.0.2.1") || !e.Time.Equal(r.now) {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	login, logout, failure := r.gate.told[0], r.gate.told[1], r.gate.told[2]
	if login.Kind != rules.LoginSucceeded || login.Service != "pop3" || logout.Kind != rules.LoginSucceeded || logout.Service != "pop3" {
		t.Errorf("login %+v, logout %+v", login, logout)
	}
	if failure.Kind != rules.LoginFailed || failure.Service != "smtp" || failure.Login != "guess" || len(ids) != 3 {
		t.Errorf("failure %+v, %d ids", failure, len(ids))
	}
	if r.meter.reports["pop3 success"] != 1 || r.meter.reports["smtp failure"] != 1 || len(r.meter.reports) != 2 {
		t.Errorf("counted %v", r.meter.reports)
	}
}

func TestLogoutOfNobody(t *testing.T) {
	r := newRig(t)
	r.write(r.path, loginLine) // before we follow
	r.start()
	r.write(r.path, logoutLine)
	r.write(r.path, loginLine)
	r.write(r.path, strings.Replace(logoutLine, "jan@", "eva@", 1))
	r.want("jan@domena.cz")
	r.write(r.path, logoutLine+logoutLine)
	r.want("jan@domena.cz") // once
}

func TestFoldedLinesCount(t *testing.T) {
	r := newRig(t)
	r.write(r.path, "")
	r.start()
	r.write(r.path, "Nov 22 11:00:00 mx postfix/smtpd[1]: message repeated 3 times: [ warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=a]\n")
	r.want("a a a")
}

// A log that was written while nobody followed has its own times; what is
// written now happened now, unless the line is sure of its time.
func TestTimes(t *testing.T) {
	r := newRig(t)
	r.failures("old")
	r.start()
	r.stop(false)
	const zoned = "2026-11-22T12:59:50+01:00 mx postfix/smtpd[1]: warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: x\n"
	before := r.now
	r.failures("a")
	r.now = r.now.Add(time.Hour)
	r.start()
	r.write(r.path, strings.ReplaceAll(r.failure("b"), "13:00:00", "11:00:00"))             // a log daemon in another zone
	r.write(r.path, strings.ReplaceAll(zoned, "12:59:50", "14:59:50")+r.failure("c")+zoned) // from the future
	r.poll()
	var got []time.Duration
	for _, e := range r.gate.told {
		got = append(got, e.Time.Sub(before))
	}
	want := []time.Duration{0, time.Hour, time.Hour, time.Hour, -10 * time.Second}
	if len(got) != len(want) {
		t.Fatalf("told %v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("event %d is of %s after the start, want %s", i, got[i], want[i])
		}
	}
}

// A store that is full is the gate's affair; the next line is read all the same.
func TestGoesOnAfterAnError(t *testing.T) {
	r := newRig(t)
	r.write(r.path, "")
	r.start()
	r.gate.fail = errors.New("disk full")
	r.failures("a b")
	r.want("a b")
	r.want("")
}
