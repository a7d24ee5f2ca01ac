package saslrelay

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/internal/listen"
)

func TestIdleIsFine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.postfix.sends("VERSION\t1\t1", "CPID\t7")
		r.dovecot.gets("VERSION\t1\t1", "CPID\t7")
		time.Sleep(DefaultIdle - time.Minute)
		r.postfix.sends(plain("1", "jan@domena.cz", "secret"))
		r.dovecot.gets(plain("1", "jan@domena.cz", "secret"))
		// Postfix gives up after 10 s; an answer that comes later counts.
		time.Sleep(17 * time.Second)
		r.dovecot.sends("FAIL\t1\tuser=jan@domena.cz")
		r.postfix.gets("FAIL\t1\tuser=jan@domena.cz")
		if _, told := r.judge.heard(); len(told) != 1 {
			t.Errorf("told %+v", told)
		}
		time.Sleep(DefaultIdle + time.Second)
		r.ends()
		if r.meter.errors != 0 {
			t.Errorf("counted %d, logged %s", r.meter.errors, r.log)
		}
	})
}

// A line that does not end is cut off; one that comes in pieces is not.
func TestSlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		for _, piece := range []string{"CPID", "\t", "7\nCP"} {
			if _, err := r.postfix.Write([]byte(piece)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(4 * time.Second)
		}
		r.dovecot.gets("CPID\t7")
		time.Sleep(DefaultBusy)
		r.ends()
		if r.meter.errors != 1 || !strings.Contains(r.log.String(), "a line did not end in time") {
			t.Errorf("counted %d, logged %s", r.meter.errors, r.log)
		}
	})
}

// The drain waits for what Dovecot was asked, and for no client.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		idle := start(t, nil)
		idle.postfix.sends("AUTH\t1\tLOGIN" + head)
		idle.dovecot.gets("AUTH\t1\tLOGIN" + head)
		idle.dovecot.sends("CONT\t1\tx")
		idle.postfix.gets("CONT\t1\tx")
		idle.stop()
		idle.ends()

		busy := start(t, nil)
		busy.postfix.sends(plain("1", "jan@domena.cz", "secret"))
		busy.dovecot.gets(plain("1", "jan@domena.cz", "secret"))
		busy.stop()
		time.Sleep(2 * time.Second)
		busy.dovecot.sends("FAIL\t1\tuser=jan@domena.cz")
		busy.postfix.gets("FAIL\t1\tuser=jan@domena.cz")
		busy.ends()
		if _, told := busy.judge.heard(); len(told) != 1 {
			t.Errorf("told %+v", told)
		}

		hung := start(t, nil)
		hung.postfix.sends(plain("1", "jan@domena.cz", "secret"))
		hung.dovecot.gets(plain("1", "jan@domena.cz", "secret"))
		began := time.Now()
		hung.stop()
		hung.ends()
		if took := time.Since(began); took > listen.DefaultDrain || !strings.Contains(hung.log.String(), "dovecot does not answer") {
			t.Errorf("a drain took %s, logged %s", took, hung.log)
		}
	})
}

// Postfix hangs up while Dovecot checks a password: the failure counts.
func TestNobodyWaits(t *testing.T) {
	for name, answers := range map[string]bool{"answers": true, "never answers": false} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, nil)
			r.postfix.sends(plain("1", "jan@domena.cz", "secret"))
			r.dovecot.gets(plain("1", "jan@domena.cz", "secret"))
			r.postfix.Close()
			time.Sleep(DefaultLate - time.Second)
			if answers {
				r.dovecot.sends("FAIL\t1\tuser=jan@domena.cz")
			}
			r.dovecot.closed()
			<-r.done
			if _, told := r.judge.heard(); answers != (len(told) == 1) {
				t.Errorf("%s: told %+v", name, told)
			}
		})
	}
}

// A Postfix that reads nothing, and a Dovecot that reads nothing, hold nobody up
// for longer than the write deadline.
func TestNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil)
		r.postfix.sends(plain("1", "jan@domena.cz", "secret"), "PING")
		time.Sleep(DefaultWrite + time.Second)
		r.ends()

		r = start(t, nil)
		r.postfix.sends(plain("1", "jan@domena.cz", "secret"))
		r.dovecot.gets(plain("1", "jan@domena.cz", "secret"))
		r.postfix.sends(plain("2", "jan@domena.cz", "secret"))
		r.dovecot.gets(plain("2", "jan@domena.cz", "secret"))
		r.dovecot.sends("FAIL\t1\tuser=jan@domena.cz", "FAIL\t2\tuser=jan@domena.cz")
		time.Sleep(DefaultWrite + time.Second)
		r.ends()
		if _, told := r.judge.heard(); len(told) != 2 {
			t.Errorf("told %+v", told)
		}
	})
}
