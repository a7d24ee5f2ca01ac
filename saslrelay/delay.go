package saslrelay

import (
	"bytes"
	"slices"
	"time"
)

// ask passes a client's line on, after the delay if there is one. The other
// attempts of the connection do not wait for it.
func (r *relay) ask(a *attempt, line []byte, delay time.Duration) error {
	if delay <= 0 {
		a.asked = true
		return r.toDovecot(line)
	}
	a.held = bytes.Clone(line)
	time.AfterFunc(delay, func() {
		select {
		case r.ripe <- a:
		case <-r.done:
		}
	})
	return nil
}

// release passes the held line on, unless the attempt was given up.
func (r *relay) release(a *attempt) error {
	if a.held == nil {
		return nil
	}
	defer a.drop()
	a.asked = true
	return r.toDovecot(a.held)
}

// drop overwrites a held line: it may have a password.
func (a *attempt) drop() {
	clear(a.held)
	a.held = nil
}

// forget gives the held attempts up. Nobody waits for them, and nothing was
// checked that could count.
func (r *relay) forget() {
	r.pending = slices.DeleteFunc(r.pending, func(a *attempt) bool {
		held := a.held != nil
		a.drop()
		return held
	})
}
