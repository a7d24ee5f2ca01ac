package valkey

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// Window is how failures are counted, as ledger.Window.
type Window struct {
	Limit  int
	Length time.Duration
	Once   bool
	Keep   time.Duration // how long a failure can matter
}

// Failure is one failed login, of a client or of a login.
type Failure struct {
	ID      uint64 // of the event, on all hosts
	Time    time.Time
	Told    time.Time // when the host heard of it; zero of one that is read
	Counted bool
	Same    uint32 // equal for the same password of the same login; 0: like no other
	Detail  []byte // what only the hosts read
}

// header is what stands before the detail (counter.lua).
const header = 1 + 8 + 4

func (f Failure) member() string {
	b := make([]byte, 0, header+len(f.Detail))
	if f.Counted {
		b = append(b, '1')
	} else {
		b = append(b, '0')
	}
	b = binary.BigEndian.AppendUint64(b, f.ID)
	b = binary.BigEndian.AppendUint32(b, f.Same)
	return string(append(b, f.Detail...))
}

func parseMember(m string) (Failure, error) {
	if len(m) < header {
		return Failure{}, &refusedError{fmt.Errorf("a failure of %d bytes", len(m))}
	}
	b := []byte(m)
	return Failure{
		Counted: b[0] == '1', ID: binary.BigEndian.Uint64(b[1:]), Same: binary.BigEndian.Uint32(b[9:]), Detail: b[header:],
	}, nil
}

// Counter is what the store knows of a name, in times of this host's clock.
type Counter struct {
	Count    int // within the window
	Until    time.Time
	Block    string // id; empty: nobody was told of one
	Since    time.Time
	Cleared  time.Time // failures that were told before it are void
	Clearing int64     // the same by the server's clock, to be compared with other answers
	Failures []Failure // oldest first
}

func (c *Client) counterOp(what, name string, w Window, args ...string) op {
	once := "0"
	if w.Once {
		once = "1"
	}
	bucket := bucketOf(name)
	return op{
		script: counterScript,
		keys:   []string{key(kindFailures, name), bucketKey(bucket, kindBlocks), bucketKey(bucket, kindFeed)},
		args: append([]string{
			what, c.clock(), name, strconv.Itoa(w.Limit), micros(w.Length.Microseconds()), once, micros(w.Keep.Microseconds()),
		}, args...),
	}
}

// counterParts is what stands before the failures in an answer.
const counterParts = 6

func (c *Client) counter(r rueidis.RedisResult) (Counter, error) {
	parts, err := textsOf(r, counterParts)
	if err != nil {
		return Counter{}, err
	}
	k := Counter{Block: parts[2]}
	if k.Cleared, err = c.local(parts[1]); err != nil {
		return k, err
	}
	k.Clearing, _ = strconv.ParseInt(parts[1], 10, 64) // it was just read as a time
	if k.Since, err = c.local(parts[3]); err != nil {
		return k, err
	}
	if k.Count, err = strconv.Atoi(parts[4]); err != nil {
		return k, &refusedError{fmt.Errorf("an answer has no count: %w", err)}
	}
	if k.Until, err = c.local(parts[5]); err != nil {
		return k, err
	}
	for rest := parts[counterParts:]; len(rest) > 1; rest = rest[2:] {
		f, err := parseMember(rest[0])
		if err != nil {
			return k, err
		}
		if f.Time, err = c.local(rest[1]); err != nil {
			return k, err
		}
		k.Failures = append(k.Failures, f)
	}
	return k, nil
}

// Add is one failure of a name.
type Add struct {
	Name    string
	Failure Failure
	Window  Window
}

func (c *Client) addOp(a Add) op {
	return c.counterOp("add", a.Name, a.Window, c.server(a.Failure.Time), c.server(a.Failure.Told), a.Failure.member())
}

// AddFailures counts failures, and answers what they have made of their names.
// One that was counted before changes nothing.
func (c *Client) AddFailures(list ...Add) ([]Counter, error) {
	return live(c, func(ctx context.Context) ([]Counter, error) {
		ops := make([]op, len(list))
		for i, a := range list {
			ops[i] = c.addOp(a)
		}
		return c.counters(c.run(ctx, ops...))
	})
}

func (c *Client) counters(results []rueidis.RedisResult) ([]Counter, error) {
	list := make([]Counter, len(results))
	for i, r := range results {
		var err error
		if list[i], err = c.counter(r); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Look asks what is known of a name.
func (c *Client) Look(name string, w Window) (Counter, error) {
	return live(c, func(ctx context.Context) (Counter, error) {
		return c.counter(c.run(ctx, c.counterOp("look", name, w))[0])
	})
}

// Begin gives the name's present block an id, unless it has one; the answer has the
// one in force, or none: the store knows no block.
func (c *Client) Begin(name, id string, since time.Time, w Window) (Counter, error) {
	return live(c, func(ctx context.Context) (Counter, error) {
		return c.counter(c.run(ctx, c.beginOp(name, id, since, w))[0])
	})
}

func (c *Client) beginOp(name, id string, since time.Time, w Window) op {
	return c.counterOp("begin", name, w, id, c.server(since))
}

// Clear forgets the failures of names that were told until then. The answers are
// what was known before. It may take the whole Timeout: nobody's mail waits for it.
func (c *Client) Clear(names []string, at time.Time, w Window) ([]Counter, error) {
	return within(c, c.o.Timeout, func(ctx context.Context) ([]Counter, error) {
		ops := make([]op, len(names))
		for i, name := range names {
			ops[i] = c.clearOp(name, at, w)
		}
		return c.counters(c.run(ctx, ops...))
	})
}

func (c *Client) clearOp(name string, at time.Time, w Window) op {
	return c.counterOp("clear", name, w, c.server(at))
}
