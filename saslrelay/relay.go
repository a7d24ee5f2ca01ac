package saslrelay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"portreeve/rules"
)

// MaxPending bounds the attempts of one connection that have no answer yet.
// Postfix makes one at a time, but never says when a client has given one up
// ("*"); Dovecot forgets those after some minutes.
const MaxPending = 64

// timedOut is Dovecot's answer to a CONT of a request that it does not know.
const timedOut = "Authentication request timed out"

// relay is one conversation. All of it but the reading is done by one goroutine,
// so that nothing here needs a lock, and whatever is told of an attempt is told
// in order.
type relay struct {
	*Server
	log   *slog.Logger
	now   func() time.Time
	meter Meter
	ctx   context.Context //nolint:containedctx // of one conversation

	postfix, dovecot *peer
	pending          []*attempt    // oldest first
	ripe             chan *attempt // whose delay is over
	done             chan struct{}
	gone             bool // Postfix is done
	draining         bool
}

// serve talks until either side is done, and closes both connections.
func (r *relay) serve(ctx context.Context) {
	// What has begun is decided and recorded, whatever the daemon is about to do.
	r.ctx = context.WithoutCancel(ctx)
	fromPostfix, fromDovecot := make(chan received), make(chan received)
	r.ripe, r.done = make(chan *attempt), make(chan struct{})
	var pumps sync.WaitGroup
	pumps.Go(func() { r.postfix.pump(fromPostfix, r.done) })
	pumps.Go(func() { r.dovecot.pump(fromDovecot, r.done) })
	defer func() {
		close(r.done)
		r.forget()
		// Dovecot first: it takes a process id (CPID) once at a time, and
		// Postfix connects again with the same one.
		r.close(r.dovecot)
		r.close(r.postfix)
		pumps.Wait()
	}()
	if err := r.converse(ctx.Done(), fromPostfix, fromDovecot); err != nil {
		r.ended(err)
	}
}

// converse returns nil when Postfix is done, or the daemon stops, and Dovecot has
// answered what it was asked: a failure whose answer nobody waits for counts too.
func (r *relay) converse(stop <-chan struct{}, fromPostfix, fromDovecot <-chan received) error {
	var late <-chan time.Time
	for {
		if r.gone || r.draining {
			if !r.asking() {
				return nil
			}
			if late == nil {
				fromPostfix, late = nil, time.After(or(r.Late, DefaultLate))
			}
			if r.gone {
				r.close(r.postfix)
				r.forget()
			}
		}
		select {
		case in := <-fromPostfix:
			err := r.hear(in, r.fromPostfix)
			var unsent unsentError
			if errors.As(err, &unsent) {
				return err
			}
			if err != nil {
				r.ended(fmt.Errorf("postfix: %w", err))
				r.gone = true
			}
		case in := <-fromDovecot:
			if err := r.hear(in, r.fromDovecot); err != nil {
				return r.withoutDovecot(err)
			}
		case a := <-r.ripe:
			if err := r.release(a); err != nil {
				return err
			}
		case <-stop:
			r.draining, stop = true, nil
		case <-late:
			r.log.Warn("dovecot does not answer, connection closed", "protocol", rules.ProtocolSASL, "attempts", len(r.pending))
			return nil
		}
	}
}

// withoutDovecot is the end of a conversation that Dovecot ended, as it does when
// it is restarted.
func (r *relay) withoutDovecot(err error) error {
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("dovecot: %w", err)
	}
	r.log.Info("dovecot closed the connection", "protocol", rules.ProtocolSASL, "attempts", len(r.pending))
	return nil
}

// hear handles one line and overwrites it.
func (r *relay) hear(in received, handle func([]byte) error) error {
	if in.err != nil {
		return in.err
	}
	defer clear(in.line)
	return handle(in.line)
}

// ended counts and logs why a connection ended, where that is anybody's fault.
func (r *relay) ended(err error) {
	var bad malformed
	switch {
	case errors.Is(err, io.EOF):
	case errors.As(err, &bad):
		r.meter.ProtocolError(rules.ProtocolSASL)
		r.log.Warn("malformed line, connections closed", "protocol", rules.ProtocolSASL, "error", err)
	default:
		r.log.Debug("sasl connection ended", "protocol", rules.ProtocolSASL, "error", err)
	}
}

func (r *relay) close(p *peer) {
	if err := p.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		r.log.Debug("closing a connection failed", "protocol", rules.ProtocolSASL, "error", err)
	}
}

// unsentError is a line that Dovecot did not take.
type unsentError struct{ error }

func (r *relay) toDovecot(line []byte) error {
	if err := r.dovecot.send(line); err != nil {
		return unsentError{fmt.Errorf("dovecot: %w", err)}
	}
	return nil
}

// toPostfix sends an answer. That Postfix does not take it is no reason to stop
// listening to Dovecot.
func (r *relay) toPostfix(line []byte) {
	if r.gone {
		return
	}
	if err := r.postfix.send(line); err != nil {
		r.ended(fmt.Errorf("postfix: %w", err))
		r.gone = true
	}
}

// fromPostfix handles a line of Postfix's.
func (r *relay) fromPostfix(line []byte) error {
	m, err := parse(line, commandsOfPostfix)
	if err != nil {
		return err
	}
	switch m.command {
	case "AUTH":
		return r.begin(m, line)
	case "CONT":
		return r.resume(m, line)
	case "CANCEL":
		a := r.find(m.id)
		r.take(m.id)
		if a != nil && !a.asked {
			return nil
		}
	}
	return r.toDovecot(line)
}

// begin asks Dovecot about an attempt, unless it is refused before.
func (r *relay) begin(m message, line []byte) error {
	if r.find(m.id) != nil {
		return malformed{errTwice}
	}
	a, response, has := attemptOf(m)
	stage := rules.StageAuthBegin
	if has && a.learn(response) {
		stage = rules.StageAuth
	}
	refused, delay := r.refused(a, stage, a.login)
	if refused {
		return nil
	}
	if room, err := r.makeRoom(); !room || err != nil {
		r.log.Warn("too many attempts at a time, refused", "protocol", rules.ProtocolSASL, "client", a.client)
		r.toPostfix(refusal(a.id, "", "Too many authentications at a time"))
		return err
	}
	r.pending = append(r.pending, a)
	return r.ask(a, line, delay)
}

// resume passes a client's response on, unless it names a login that is refused.
func (r *relay) resume(m message, line []byte) error {
	a := r.find(m.id)
	switch {
	case a == nil:
		r.toPostfix(refusal(m.id, "", timedOut))
		return nil
	case !a.theirs:
		// Dovecot would answer it beside what it was asked before.
		return malformed{errNotAsked}
	}
	a.theirs = false
	var delay time.Duration
	if a.learn(m.rest) {
		var refused bool
		if refused, delay = r.refused(a, rules.StageAuth, a.login); refused {
			r.take(a.id)
			return r.cancel(a.id)
		}
	}
	return r.ask(a, line, delay)
}

// fromDovecot handles a line of Dovecot's.
func (r *relay) fromDovecot(line []byte) error {
	m, err := parse(line, commandsOfDovecot)
	if err != nil {
		return err
	}
	if m.command == "" {
		r.toPostfix(line)
		return nil
	}
	a := r.find(m.id)
	if a == nil {
		return nil // it has had its answer
	}
	if m.command == "CONT" {
		a.theirs = true
		r.toPostfix(line)
		return nil
	}
	r.take(a.id)
	if m.command == "OK" {
		r.succeeded(a, m, line)
	} else {
		r.failed(a, m, line)
	}
	return nil
}

// asking tells whether an answer is owed.
func (r *relay) asking() bool {
	return slices.ContainsFunc(r.pending, func(a *attempt) bool { return !a.theirs })
}

func (r *relay) find(id uint32) *attempt {
	for _, a := range r.pending {
		if a.id == id {
			return a
		}
	}
	return nil
}

func (r *relay) take(id uint32) {
	r.pending = slices.DeleteFunc(r.pending, func(a *attempt) bool {
		if a.id == id {
			a.drop()
		}
		return a.id == id
	})
}

// makeRoom forgets the oldest attempt whose client has not gone on with it.
func (r *relay) makeRoom() (bool, error) {
	if len(r.pending) < MaxPending {
		return true, nil
	}
	for _, a := range r.pending {
		if a.theirs {
			r.take(a.id)
			return true, r.cancel(a.id)
		}
	}
	return false, nil
}

// cancel tells Dovecot that nobody waits for the answer (2.0 and later; it does
// not answer before 1.4 of the protocol).
func (r *relay) cancel(id uint32) error {
	return r.toDovecot(strconv.AppendUint([]byte("CANCEL\t"), uint64(id), 10))
}
