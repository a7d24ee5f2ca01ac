// Package valkey speaks to the store that hosts share: Valkey or Redis, as one
// server, behind Sentinels, or as a Cluster.
//
// What must be one step is a script on the server, with the server's clock. Every
// write may be repeated, because it names its event; none is repeated blindly.
// docs/shared-store.md says what happens when the store is away, docs/sizing.md
// what the keys are.
package valkey

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// Options say where the store is.
type Options struct {
	Addresses        []string // host:port; one: a server, several: a Cluster
	SentinelMaster   string   // the Addresses are Sentinels, which know a master of this name
	Username         string   // empty: default
	Password         string
	SentinelPassword string
	TLS              *tls.Config // nil: without
	// Timeout is how long a decision may wait for the store in all.
	Timeout time.Duration
	Host    string // this host's name, for the others
	// Now is this host's clock.
	Now func() time.Time
	// Clock stands in for the server's clock. Only tests set it: what they try takes
	// hours, or sets clocks back.
	Clock func() time.Time
}

// shares is how many of its questions one decision may ask, one after the other: a
// failed login that begins a block and makes its login a guessed one, of a client
// that the login may know. Each may take that part of the Timeout.
const shares = 4

// ErrAway is the answer while the store is away: the caller goes on by itself.
var ErrAway = errors.New("the shared store is away")

// Client is a connection to the store. Its methods may be called concurrently.
//
// Those that a decision waits for answer within Timeout/4, ErrAway at once while
// the store is away, or slower than that. Probe, and what has a context, belong to the background.
type Client struct {
	o      Options
	up     atomic.Bool
	why    atomic.Pointer[string] // of its being away
	wake   chan struct{}
	slow   atomic.Pointer[time.Duration] // nil, or how long an answer took that was too late
	twin   atomic.Bool
	offset atomic.Int64 // the server's clock minus this host's, nanoseconds
	memory atomic.Pointer[Memory]
	conn   atomic.Pointer[rueidis.Client]

	mu       sync.Mutex      // one probe at a time; it guards the rest
	heard    [buckets]string // the last change that was read, by bucket; empty: not started
	marks    [buckets]string // what makes each bucket the one that it was
	measured bool            // the offset is
	lost     bool            // the store does not have what it had, and nobody was told yet
	beat     time.Time       // of the last heartbeat
	beats    [buckets]int64  // the same by the server's clock, where it was acknowledged
	tried    int64           // where it may not have been
	// masters are the servers as they were when the store was found well, by their run_id.
	masters string
}

// New makes a client; the first Probe connects it.
func New(o Options) *Client {
	return &Client{o: o, wake: make(chan struct{}, 1)}
}

// Close ends the connection.
func (c *Client) Close() {
	c.up.Store(false)
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn := c.conn.Swap(nil); conn != nil {
		(*conn).Close()
	}
}

// Up tells whether the store is asked at all.
func (c *Client) Up() bool { return c.up.Load() }

// Wake is readable when the store has failed, and should be probed.
func (c *Client) Wake() <-chan struct{} { return c.wake }

// deadAfter is how long a silent connection is believed in, at least.
const deadAfter = time.Second

func (c *Client) connect() error {
	o := rueidis.ClientOption{
		InitAddress: c.o.Addresses,
		Username:    c.o.Username, Password: c.o.Password, TLSConfig: c.o.TLS, ClientName: "portreeve",
		// A write whose answer was lost is told again by its event's id, from the outbox.
		DisableRetry: true,
		// One connection per server, in which one question does not wait for the
		// answer to another, and whose deadline does not end it.
		AlwaysPipelining: true, PipelineMultiplex: -1,
		ConnWriteTimeout:  max(deadAfter, 2*c.o.Timeout),
		CacheSizeEachConn: cacheBytes,
		ForceSingleClient: len(c.o.Addresses) == 1 && c.o.SentinelMaster == "",
	}
	o.Dialer.Timeout = max(c.o.Timeout, 100*time.Millisecond)
	o.ClusterOption.ShardsRefreshInterval = refreshEvery
	if c.o.SentinelMaster != "" {
		o.Sentinel = rueidis.SentinelOption{
			MasterSet: c.o.SentinelMaster, Password: c.o.SentinelPassword, Dialer: o.Dialer, TLSConfig: c.o.TLS,
			TopologyRefreshInterval: refreshEvery,
		}
	}
	conn, err := rueidis.NewClient(o)
	if err != nil {
		if conn != nil {
			conn.Close()
		}
		return err
	}
	c.conn.Store(&conn)
	return nil
}

const (
	// cacheBytes bounds what is kept of POP logins and of where logins came from.
	cacheBytes = 64 << 20
	// refreshEvery is how often the servers are asked who they are now.
	refreshEvery = 2 * time.Second
)

// live runs what a decision waits for. It returns in time, whatever happens to the
// question: a frozen server has it in a socket's buffer, and may answer in an hour.
func live[T any](c *Client, ask func(context.Context) (T, error)) (T, error) {
	if c.slow.Load() != nil {
		var none T
		return none, ErrAway
	}
	return within(c, c.share(), ask)
}

func (c *Client) share() time.Duration { return c.o.Timeout / shares }

func within[T any](c *Client, most time.Duration, ask func(context.Context) (T, error)) (T, error) {
	var none T
	if !c.up.Load() {
		return none, ErrAway
	}
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	got := make(chan answer, 1)
	go func() {
		v, err := ask(ctx)
		got <- answer{v, err}
	}()
	select {
	case a := <-got:
		if away(a.err) {
			return none, c.trip(a.err)
		}
		return a.value, a.err
	case <-ctx.Done():
		return none, c.trip(fmt.Errorf("no answer within %s", most))
	}
}

// trip takes the store for away until a probe finds it well.
func (c *Client) trip(err error) error {
	text := err.Error()
	c.why.Store(&text)
	c.up.Store(false)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return fmt.Errorf("%w: %s", ErrAway, text)
}
