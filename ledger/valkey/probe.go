package valkey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

const (
	// beatEvery is how often a host says that it is there.
	beatEvery = 10 * time.Second
	// clockSet is how far the clocks may move against each other unnoticed.
	clockSet = time.Second
)

// Probe asks how the store is, and what has changed. Where it had failed before, it
// must also take a write on each of its servers. Then it is up, else away: the error
// says why.
func (c *Client) Probe(ctx context.Context) (Changes, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.why.Load()
	changes, err := c.probe(ctx)
	if err != nil {
		text := err.Error()
		if errors.Is(err, context.DeadlineExceeded) {
			text = fmt.Sprintf("no answer within %s", c.o.Timeout)
		}
		c.why.Store(&text)
		c.up.Store(false)
		return Changes{}, fmt.Errorf("%s", withRemedy(text))
	}
	c.why.CompareAndSwap(was, nil) // not that of a question that failed meanwhile
	c.up.Store(true)
	return changes, nil
}

func (c *Client) probe(ctx context.Context) (changes Changes, err error) {
	if c.conn.Load() == nil {
		if err := c.connect(); err != nil {
			return changes, err
		}
	}
	quick, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	if changes.Clock, err = c.readClock(quick); err != nil {
		return changes, err
	}
	if !c.up.Load() {
		if changes.Lost, err = c.mark(quick); err != nil {
			return changes, err
		}
	}
	if err := c.heartbeat(quick); err != nil {
		return changes, err
	}
	if !changes.Lost && c.started() {
		if err = c.news(quick, &changes); err == nil && changes.Lost {
			_, err = c.mark(quick)
		}
	}
	if err == nil && (changes.Lost || changes.Clock || !c.started()) {
		err = c.start(ctx, &changes)
	}
	return changes, err
}

// readClock compares the clocks; set tells that one of them was set since.
func (c *Client) readClock(ctx context.Context) (set bool, err error) {
	before, old := c.o.Now(), c.offset.Load()
	ask := op{script: latestScript, keys: []string{bucketKey(0, kindClock)}, args: []string{c.clock(), "0", "0"}}
	server, err := c.run(ctx, ask)[0].ToString()
	if err != nil {
		return false, err
	}
	if err := c.measure(server, before, c.o.Now()); err != nil {
		return false, err
	}
	return c.started() && time.Duration(c.offset.Load()-old).Abs() > clockSet, nil
}

// mark writes to every bucket, for a replica, or a server that is full, reads well.
// A bucket whose mark has gone has lost what it had: it was emptied, or began anew.
func (c *Client) mark(ctx context.Context) (lost bool, err error) {
	ops := make([]op, buckets)
	fresh := micros(time.Now().UnixNano()) + " " + c.o.Host
	for i := range ops {
		ops[i] = op{keys: []string{bucketKey(i, kindMark)}, args: []string{"SET", fresh, "NX", "GET"}}
	}
	for i, r := range c.run(ctx, ops...) {
		old, err := r.ToString()
		if rueidis.IsRedisNil(err) {
			old, err = fresh, nil
		}
		if err != nil {
			return false, err
		}
		lost = lost || c.marks[i] != "" && c.marks[i] != old
		c.marks[i] = old
	}
	return lost, nil
}

// heartbeat tells the others of this host, and looks at the servers' memory.
func (c *Client) heartbeat(ctx context.Context) error {
	now := time.Now()
	if now.Sub(c.beat) < beatEvery {
		return nil
	}
	server := c.o.Now().Add(time.Duration(c.offset.Load())).UnixMicro()
	beat := op{keys: []string{bucketKey(0, kindHosts)}, args: []string{"HSET", c.o.Host, micros(server)}}
	if err := c.run(ctx, beat)[0].Error(); err != nil {
		return err
	}
	c.beat = now
	return nil
}

// Marks name the store as it is: they differ once a part of it was emptied.
func (c *Client) Marks() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := sha256.Sum256([]byte(strings.Join(c.marks[:], "\x00")))
	return hex.EncodeToString(sum[:])
}

// Hosts lists those that share the store, and when each said so last.
func (c *Client) Hosts() ([]Seen, error) {
	return within(c, c.o.Timeout, func(ctx context.Context) ([]Seen, error) {
		all, err := c.run(ctx, op{keys: []string{bucketKey(0, kindHosts)}, args: []string{"HGETALL"}})[0].AsStrMap()
		if err != nil {
			return nil, err
		}
		var list []Seen
		for name, at := range all {
			last, err := c.local(at)
			if err != nil {
				return nil, err
			}
			list = append(list, Seen{name, last})
		}
		return list, nil
	})
}
