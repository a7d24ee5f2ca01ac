package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// talk is one connection's side of the conversation.
type talk interface {
	// next is the next request; its bytes are valid until it is called again.
	next() []byte
	// check tells whether the answer is whole, or why it is not what it must be.
	check(answer []byte) (whole bool, err error)
}

// load is a closed loop: each connection asks again as soon as it is answered.
type load struct {
	network, address string
	conns            int
	talk             func(conn int) talk

	// begin and finish are called when measuring begins and ends.
	begin, finish func() (usage, error)
}

// warmUp is the part of the time that is not measured.
const warmUp = 8 // one eighth

// answerWithin is how long any answer may take.
const answerWithin = 30 * time.Second

// run asks for the time d.
func (l load) run(ctx context.Context, d time.Duration) (sample, error) {
	conns, err := dialAll(l.network, l.address, l.conns)
	defer closeAll(conns)
	if err != nil {
		return sample{}, err
	}
	var (
		counting, over atomic.Bool
		asking         sync.WaitGroup
		histograms     = make([]histogram, l.conns)
		errs           = make([]error, l.conns)
	)
	for i, c := range conns {
		asking.Go(func() {
			if errs[i] = ask(c, l.talk(i), &histograms[i], &counting, &over); errs[i] != nil {
				over.Store(true)
			}
		})
	}
	wait(ctx, d/warmUp)
	before, err := l.begin()
	began := time.Now()
	counting.Store(true)
	wait(ctx, d)
	counting.Store(false)
	s := sample{elapsed: time.Since(began), latency: new(histogram)}
	after, finishErr := l.finish()
	over.Store(true)
	asking.Wait()
	for i := range histograms {
		s.latency.merge(&histograms[i])
	}
	s.requests, s.cpu, s.resident = int(s.latency.total), after.cpu-before.cpu, after.resident
	return s, errors.Join(append(errs, err, finishErr, ctx.Err())...)
}

// wait ends early with ctx, as the caller will notice.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// ask is one connection. A latency is counted when its answer comes while others are.
func ask(c net.Conn, t talk, h *histogram, counting, over *atomic.Bool) error {
	if err := c.SetDeadline(time.Now().Add(time.Hour)); err != nil {
		return err
	}
	buf := make([]byte, 4<<10)
	for !over.Load() {
		request := t.next()
		began := time.Now()
		if _, err := c.Write(request); err != nil {
			return fmt.Errorf("asking: %w", err)
		}
		if err := answered(c, t, buf); err != nil {
			return err
		}
		took := time.Since(began)
		if took > answerWithin {
			return fmt.Errorf("an answer took %s", took)
		}
		if counting.Load() {
			h.add(took)
		}
	}
	return nil
}

// answered reads one whole answer.
func answered(c net.Conn, t talk, buf []byte) error {
	for n := 0; ; {
		more, err := c.Read(buf[n:])
		if err != nil {
			return fmt.Errorf("waiting for an answer: %w", err)
		}
		n += more
		whole, err := t.check(buf[:n])
		switch {
		case err != nil:
			return fmt.Errorf("a wrong answer: %w", err)
		case whole:
			return nil
		case n == len(buf):
			return fmt.Errorf("an answer of more than %d bytes: %q", n, buf[:200])
		}
	}
}

func dialAll(network, address string, n int) ([]net.Conn, error) {
	conns := make([]net.Conn, 0, n)
	for range n {
		c, err := dial(network, address)
		if err != nil {
			return conns, fmt.Errorf("connecting: %w", err)
		}
		conns = append(conns, c)
	}
	return conns, nil
}

// dial waits while a unix socket's queue is full, as Postfix does.
func dial(network, address string) (net.Conn, error) {
	for giveUp := time.Now().Add(answerWithin); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial(network, address)
		if err == nil || !errors.Is(err, syscall.EAGAIN) || time.Now().After(giveUp) {
			return c, err
		}
	}
}

// closeAll closes connections that have done their duty.
func closeAll(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}
