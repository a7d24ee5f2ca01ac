package saslrelay

import (
	"testing"
	"testing/synctest"
	"time"

	"portreeve/rules"
)

// slowed delays every login by that time.
func slowed(delay time.Duration) func(rules.Request) rules.Decision {
	return func(r rules.Request) rules.Decision {
		if r.Stage != rules.StageAuth {
			return rules.Decision{}
		}
		return rules.Decision{Slowed: rules.Finding{Rule: rules.RuleLoginFailures, Delay: delay}}
	}
}

// getsAfter wants the lines after that time, and not before.
func (e *end) getsAfter(want time.Duration, lines ...string) {
	e.t.Helper()
	began := time.Now()
	e.gets(lines...)
	if took := time.Since(began); took != want {
		e.t.Errorf("%s got %q after %s, want %s", e.name, lines, took, want)
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, slowed(5*time.Second))
		r.postfix.sends(plain("1", "jan@domena.cz", "secret"))
		r.dovecot.getsAfter(5*time.Second, plain("1", "jan@domena.cz", "secret"))
		// The right password is not delayed a second time.
		r.dovecot.sends("OK\t1\tuser=jan@domena.cz")
		r.postfix.getsAfter(0, "OK\t1\tuser=jan@domena.cz")

		// LOGIN says its login later; the question for it is not delayed.
		r.postfix.sends("AUTH\t2\tLOGIN" + head)
		r.dovecot.getsAfter(0, "AUTH\t2\tLOGIN"+head)
		r.dovecot.sends("CONT\t2\t" + b64("Username:"))
		r.postfix.gets("CONT\t2\t" + b64("Username:"))
		r.postfix.sends("CONT\t2\t" + b64("jan@domena.cz"))
		// Meanwhile other attempts go on.
		r.postfix.sends("AUTH\t3\tLOGIN" + head)
		r.dovecot.getsAfter(0, "AUTH\t3\tLOGIN"+head)
		r.dovecot.getsAfter(5*time.Second, "CONT\t2\t"+b64("jan@domena.cz"))
		r.dovecot.sends("FAIL\t2\tuser=jan@domena.cz")
		r.postfix.gets("FAIL\t2\tuser=jan@domena.cz")
		if _, told := r.judge.heard(); len(told) != 2 || told[1].Kind != rules.LoginFailed {
			t.Errorf("told %+v", told)
		}
		r.postfix.Close()
		r.dovecot.closed()
	})
}

// Who does not wait for the delay has tried nothing.
func TestDelayGivenUp(t *testing.T) {
	for name, giveUp := range map[string]func(*rig){
		"hangs up": func(r *rig) {
			r.postfix.Close()
			r.dovecot.closed()
		},
		"cancels": func(r *rig) {
			r.postfix.sends("CANCEL\t1")
			time.Sleep(6 * time.Second)
			r.postfix.sends(plain("1", "jan@domena.cz", "other secret"))
			r.dovecot.getsAfter(5*time.Second, plain("1", "jan@domena.cz", "other secret"))
			r.postfix.Close()
			r.dovecot.sends("FAIL\t1\tuser=jan@domena.cz")
			r.dovecot.closed()
		},
		"the same id twice": func(r *rig) {
			r.postfix.sends(plain("1", "jan@domena.cz", "secret"))
			r.ends()
		},
		"a response that nobody asked for": func(r *rig) {
			r.postfix.sends("CONT\t1\t" + b64("x"))
			r.ends()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, slowed(5*time.Second))
				r.postfix.sends(plain("1", "jan@domena.cz", "secret"))
				time.Sleep(time.Second)
				giveUp(r)
				<-r.done
			})
		})
	}
}

// A drain lets a delayed attempt come to its end.
func TestDelayAndDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, slowed(5*time.Second))
		r.postfix.sends(plain("1", "jan@domena.cz", "secret"))
		time.Sleep(time.Second)
		r.stop()
		r.dovecot.getsAfter(4*time.Second, plain("1", "jan@domena.cz", "secret"))
		r.dovecot.sends("OK\t1\tuser=jan@domena.cz")
		r.postfix.gets("OK\t1\tuser=jan@domena.cz")
		r.ends()
	})
}
