package milter_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/milter"
)

func (r *rig) closesAfter(want time.Duration) {
	r.t.Helper()
	began := time.Now()
	_, err := r.Read(make([]byte, 1))
	if took := time.Since(began); !errors.Is(err, io.EOF) || took != want {
		r.t.Errorf("closed after %v (%v), want %v", took, err, want)
	}
	<-r.done
}

func TestDeadlines(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t)
			r.send(negotiate, connect, helo, mail)
			<-time.After(milter.DefaultIdle - time.Second)
			r.want(r.send(rcpt), continues)
			r.closesAfter(milter.DefaultIdle)
			if r.errors.Load() != 0 {
				t.Error("an idle connection is no error")
			}
		})
	})
	t.Run("silent from the start", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { start(t).closesAfter(milter.DefaultIdle) })
	})
	t.Run("half a frame", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t)
			r.send(negotiate, connect)
			if _, err := io.WriteString(r.Conn, helo[:6]); err != nil {
				t.Fatal(err)
			}
			r.closesAfter(milter.DefaultBusy)
			if r.errors.Load() != 1 {
				t.Error("not counted")
			}
		})
	})
	t.Run("trickle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t)
			trickled := make(chan struct{})
			go func() {
				defer close(trickled)
				for _, b := range []byte(negotiate) {
					if _, err := r.Write([]byte{b}); err != nil {
						return
					}
					<-time.After(3 * time.Second)
				}
			}()
			r.closesAfter(milter.DefaultBusy)
			<-trickled
		})
	})
	t.Run("never reads", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t)
			if _, err := io.WriteString(r.Conn, negotiate); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			<-r.done
			if took := time.Since(began); took != milter.DefaultWrite {
				t.Errorf("given up after %v", took)
			}
		})
	})
}

func TestDrain(t *testing.T) {
	for name, before := range map[string]string{
		"before negotiation": "", "after HELO": negotiate + connect + helo,
		"after a message":  negotiate + connect + helo + mail + rcpt + endOfHeader + endOfMsg,
		"after an ABORT":   negotiate + connect + helo + mail + rcpt + abort,
		"after MAIL, HELO": negotiate + connect + helo + mail + helo,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t)
				r.send(before)
				time.Sleep(500 * time.Millisecond)
				r.cancel()
				r.closesAfter(time.Second) // 1.5 s after the last word
				if r.errors.Load() != 0 {
					t.Error(r.log.String())
				}
			})
		})
		t.Run(name+", idle", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t)
				r.send(before)
				time.Sleep(2 * time.Second)
				r.cancel()
				r.closesAfter(0)
			})
		})
	}
	t.Run("in the middle of a session", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t)
			r.send(negotiate, connect, helo)
			r.cancel()
			time.Sleep(time.Second)
			r.want(r.send(mail, rcpt, subject, endOfHeader, endOfMsg), continues)
			r.closesAfter(500 * time.Millisecond) // 1.5 s in all
		})
	})
	t.Run("inside a message", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t)
			r.send(negotiate, connect, helo, mail)
			r.cancel()
			synctest.Wait()
			<-time.After(time.Second)
			r.want(r.send(rcpt, subject, endOfHeader), continues)
			<-time.After(15 * time.Second)
			r.want(r.send(endOfMsg), continues)
			r.closesAfter(0) // 16 s after the drain began
		})
	})
	t.Run("after a refused MAIL", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t)
			r.send(negotiate, connect, helo, frame('M', str("<refuse@a.cz>")))
			r.cancel()
			r.closesAfter(1500 * time.Millisecond)
		})
	})
	t.Run("inside an envelope", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t)
			r.send(negotiate, connect, helo, mail, rcpt)
			r.cancel()
			r.closesAfter(1500 * time.Millisecond)
		})
	})
	t.Run("inside a frame", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t)
			r.send(negotiate, connect)
			if _, err := io.WriteString(r.Conn, helo[:6]); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			r.cancel()
			synctest.Wait()
			if _, err := io.WriteString(r.Conn, helo[6:]); err != nil {
				t.Fatal(err)
			}
			r.want(r.read(), continues)
			r.closesAfter(1500 * time.Millisecond)
		})
	})
}
