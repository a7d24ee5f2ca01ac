package valkey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
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
	due := c.beatIsDue()
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
	if due {
		changes.Other = c.isOther(ctx)
	}
	c.up.Store(true)
	c.lost = false // it was handed over
	return changes, nil
}

func (c *Client) probe(ctx context.Context) (changes Changes, err error) {
	if c.conn.Load() == nil {
		if err := c.connect(); err != nil {
			return changes, err
		}
	}
	for _, step := range []struct {
		needed func() bool
		most   time.Duration
		do     func(context.Context) error
	}{
		{always, 2 * c.o.Timeout, c.readClock},
		{func() bool { return !c.up.Load() }, c.o.Timeout, c.mark},
		{c.beatIsDue, c.o.Timeout, c.heartbeat},
		{c.started, c.o.Timeout, func(ctx context.Context) error { return c.news(ctx, &changes) }},
		{func() bool { return !c.started() }, startWithin, func(ctx context.Context) error { return c.start(ctx, &changes) }},
	} {
		if !step.needed() {
			continue
		}
		within, cancel := context.WithTimeout(ctx, step.most)
		err := step.do(within)
		cancel()
		if err != nil {
			return changes, err
		}
	}
	changes.Lost = c.lost
	return changes, nil
}

func always() bool { return true }

// readClock compares the clocks. If one of them was set since, all blocks are asked for
// again, for their times are others now.
func (c *Client) readClock(ctx context.Context) error {
	old := c.offset.Load()
	took, err := c.askClock(ctx)
	if err == nil && took > c.share() && !c.up.Load() {
		took, err = c.askClock(ctx) // the first time it may have had to connect
	}
	if err != nil {
		return err
	}
	switch {
	case took <= c.share():
		c.slow.Store(nil)
	case !c.up.Load() && !c.beat.IsZero(): // a decision has waited in vain
		c.slow.Store(&took)
	}
	if c.started() && time.Duration(c.offset.Load()-old).Abs() > clockSet {
		c.restart()
	}
	return nil
}

func (c *Client) askClock(ctx context.Context) (took time.Duration, err error) {
	before, began := c.o.Now(), time.Now()
	ask := op{script: latestScript, keys: []string{bucketKey(0, kindClock)}, args: []string{c.clock(), "0", "0"}}
	server, err := c.run(ctx, ask)[0].ToString()
	if err != nil {
		return 0, err
	}
	return time.Since(began), c.measure(server, before, c.o.Now())
}

// Slow returns nil, or how slow the store is: decisions do not ask it then.
func (c *Client) Slow() error {
	took := c.slow.Load()
	if took == nil {
		return nil
	}
	return fmt.Errorf("it answers after %s, and a decision may wait %s for an answer: raise store.valkey.timeout, or bring the server nearer",
		took.Round(time.Millisecond), c.share())
}

// mark writes to every bucket, for a replica, or a server that is full, reads well.
// A bucket whose mark has gone has lost what it had: it was emptied, or began anew.
func (c *Client) mark(ctx context.Context) error {
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
			return err
		}
		if c.marks[i] != "" && c.marks[i] != old {
			c.lose()
		}
		c.marks[i] = old
	}
	return nil
}

// heartbeat tells the others of this host, in every bucket. A bucket that does not have
// the last one is older than it was: a server that was restarted from an old file, or a
// replica that had not heard of it.
func (c *Client) heartbeat(ctx context.Context) error {
	server := c.o.Now().Add(time.Duration(c.offset.Load())).UnixMicro()
	ops := make([]op, 0, 2*buckets)
	for i := range buckets {
		keys := []string{bucketKey(i, kindHosts)}
		ops = append(ops, op{keys: keys, args: []string{"HGET", c.o.Host}}, op{keys: keys, args: []string{"HSET", c.o.Host, micros(server)}})
	}
	before := c.tried
	c.tried = server
	results := c.run(ctx, ops...)
	for i := range buckets {
		text, err := results[2*i].ToString()
		if err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
		old, _ := strconv.ParseInt(text, 10, 64) // 0: none
		if old < c.beats[i] {
			c.lose()
		}
		if old > c.beats[i] && c.beats[i] != 0 && c.beats[i] == before {
			c.twin.Store(true)
		}
		if err := results[2*i+1].Error(); err != nil {
			return err
		}
		c.beats[i] = server
	}
	c.beat = time.Now()
	return nil
}

func (c *Client) beatIsDue() bool { return !c.up.Load() || time.Since(c.beat) >= beatEvery }

// Twin tells whether another host says that it has this one's name.
func (c *Client) Twin() bool { return c.twin.Load() }

// restart makes the next thing that is read all that there is.
func (c *Client) restart() { c.heard = [buckets]string{} }

// lose notes that the store does not have what it had.
func (c *Client) lose() {
	c.lost = true
	c.restart()
}

// isOther tells whether the servers are not those that they were: one was restarted, or a
// replica took over, and may not have what the old one acknowledged.
func (c *Client) isOther(ctx context.Context) bool {
	conn := c.conn.Load()
	if conn == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	var masters []string
	for _, node := range (*conn).Nodes() {
		info, err := node.Do(ctx, node.B().Info().Section("server", "replication").Build()).ToString()
		if err != nil {
			continue // another one, if it was a master
		}
		fields := parseInfo(info)
		if fields["role"] == "master" {
			masters = append(masters, fields["run_id"])
		}
	}
	slices.Sort(masters)
	was := c.masters
	c.masters = strings.Join(masters, " ")
	return c.masters != was || was == ""
}

// Why returns nil, or why the store is away.
func (c *Client) Why() error {
	why := c.why.Load()
	if why == nil {
		return nil
	}
	return errors.New(withRemedy(*why))
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
