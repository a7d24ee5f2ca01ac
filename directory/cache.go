package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"

	"portreeve/rules"
)

const (
	// deadline is how long a look-up may take (SPEC.md section 7).
	deadline = 2 * time.Second
	// sourceDeadline is the source's part of it, so that who waits hears its reason.
	sourceDeadline = deadline - 50*time.Millisecond
	// goOnFor is how long after cache_ttl an answer is used while its source fails.
	// Only what was found goes on: "there is none" would refuse for good somebody
	// who may have been added since.
	goOnFor = 15 * time.Minute
	// keepKnown and keepNone bound the answers in memory, of something and of
	// nothing. They are apart, so that guessed names cannot push accounts out.
	keepKnown = 100_000
	keepNone  = 20_000
	// maxWaiting bounds the look-ups that wait for a connection.
	maxWaiting = 1000
)

// CacheOptions say how a Cache keeps answers.
type CacheOptions struct {
	Name  string           // of the source, for status: "sql (mysql)"
	TTL   time.Duration    // how long an answer is used; 0: answers are not kept
	Now   func() time.Time // nil: time.Now
	Meter Meter            // nil: nobody counts
}

// Meter counts where answers came from.
type Meter interface {
	// Answered counts one: from memory, from the source, or stale, from memory
	// after its time because the source failed.
	Answered(from string)
}

// Cache stands in front of a source that takes time and may fail. Look-ups of
// one key at the same time are one; each ends within the deadline, whatever the
// source does.
type Cache struct {
	source  Directory
	o       CacheOptions
	base    context.Context // ends with Close
	cancel  context.CancelFunc
	slots   chan struct{} // look-ups that are with the source
	waiting atomic.Int64
	flights singleflight.Group

	mu         sync.Mutex
	known      *simplelru.LRU[key, entry]
	none       *simplelru.LRU[key, entry]
	trouble    [kinds]trouble
	checked    bool   // Tick has asked every question once
	generation uint64 // of the answers; Purge begins another
}

var _ Directory = (*Cache)(nil)

// kind is one of the questions.
type kind uint8

const (
	accountKind kind = iota
	domainsKind
	addressesKind
	sendersKind
	localKind
	kinds
)

func (k kind) String() string {
	return [kinds]string{"account", "domains", "addresses", "senders", "local_domain"}[k]
}

type key struct {
	kind kind
	name string
}

// answer is *rules.Account or []string, or nothing: of a domain that is local.
type answer struct {
	value any
	found bool
}

type entry struct {
	answer
	until time.Time
}

var (
	errNoAnswer = fmt.Errorf("no answer within %s", deadline)
	errFailing  = errors.New("the directory does not answer")
	errBusy     = fmt.Errorf("%d look-ups are waiting already", maxWaiting)
)

// NewCache puts a cache in front of a source. Close closes both.
func NewCache(source Directory, o CacheOptions) (*Cache, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	known, err := simplelru.NewLRU[key, entry](keepKnown, nil)
	if err != nil {
		return nil, fmt.Errorf("making the table of answers: %w", err)
	}
	none, err := simplelru.NewLRU[key, entry](keepNone, nil)
	if err != nil {
		return nil, fmt.Errorf("making the table of answers: %w", err)
	}
	c := &Cache{source: source, o: o, known: known, none: none, slots: make(chan struct{}, connections)}
	c.base, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Close ends the look-ups under way and closes the source.
func (c *Cache) Close() error {
	c.cancel()
	if closer, ok := c.source.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// Purge drops every answer, also those that are on their way.
func (c *Cache) Purge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.known.Purge()
	c.none.Purge()
}

// Account implements Directory.
func (c *Cache) Account(ctx context.Context, login string) (*rules.Account, bool, error) {
	a, err := c.get(ctx, key{accountKind, login})
	account, _ := a.value.(*rules.Account)
	return account, a.found, err
}

// Domains implements Directory.
func (c *Cache) Domains(ctx context.Context, domain string) ([]string, bool, error) {
	a, err := c.get(ctx, key{domainsKind, domain})
	group, _ := a.value.([]string)
	return group, a.found, err
}

// Addresses implements Directory.
func (c *Cache) Addresses(ctx context.Context, login string) ([]string, error) {
	a, err := c.get(ctx, key{addressesKind, login})
	list, _ := a.value.([]string)
	return list, err
}

// Senders implements Directory.
func (c *Cache) Senders(ctx context.Context, login string) ([]string, error) {
	a, err := c.get(ctx, key{sendersKind, login})
	list, _ := a.value.([]string)
	return list, err
}

// Local implements Directory.
func (c *Cache) Local(ctx context.Context, domain string) (bool, error) {
	a, err := c.get(ctx, key{localKind, domain})
	return a.found, err
}

// get answers from memory, or asks. While the source fails, only one look-up a
// second goes there to find out; the others are answered at once, with what is
// known or an error.
func (c *Cache) get(ctx context.Context, k key) (answer, error) {
	now := c.o.Now()
	c.mu.Lock()
	kept, has := c.recall(k)
	if has && now.Before(kept.until) {
		c.mu.Unlock()
		c.count("memory")
		return kept.answer, nil
	}
	if !has {
		c.mu.Unlock() // names take time to be read
		if !k.worthAsking() {
			return answer{}, nil
		}
		c.mu.Lock()
	}
	t := &c.trouble[k.kind]
	usable := has && kept.found && now.Before(kept.until.Add(goOnFor))
	failing := t.failing()
	may, err := t.may(now)
	generation := c.generation
	c.mu.Unlock()

	var a answer
	if may {
		flight := c.fly(generation, k)
		if failing && usable { // nobody needs to wait for what is known to fail
			err = errFailing
		} else {
			a, err = await(ctx, flight)
		}
	}
	switch {
	case err == nil:
		c.count("source")
		return a, nil
	case usable && !isData(err):
		c.count("stale")
		return kept.answer, nil
	case ctx.Err() != nil:
		return answer{}, fmt.Errorf("asking the directory (%s): %w", k.kind, ctx.Err())
	}
	return answer{}, err
}

// worthAsking: a name that can be nobody's is not asked for, and not remembered.
func (k key) worthAsking() bool {
	if k.kind == domainsKind || k.kind == localKind {
		return askableDomain(k.name)
	}
	return askable(k.name)
}

func (c *Cache) count(from string) {
	if c.o.Meter != nil {
		c.o.Meter.Answered(from)
	}
}

// fly asks the source, unless somebody does already.
func (c *Cache) fly(generation uint64, k key) <-chan singleflight.Result {
	name := strconv.FormatUint(generation, 36) + k.kind.String() + " " + k.name
	return c.flights.DoChan(name, func() (any, error) { return c.ask(generation, k) })
}

// await waits for a look-up, for no longer than the deadline.
func await(ctx context.Context, flight <-chan singleflight.Result) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, errNoAnswer)
	defer cancel()
	select {
	case r := <-flight:
		a, _ := r.Val.(answer)
		return a, r.Err
	case <-ctx.Done():
		return answer{}, fmt.Errorf("asking the directory: %w", context.Cause(ctx))
	}
}

// ask is one look-up at the source, whoever waits for it.
func (c *Cache) ask(generation uint64, k key) (answer, error) {
	k.name = strings.Clone(k.name) // it is kept, and may be part of a whole request
	ctx, cancel := context.WithTimeoutCause(c.base, sourceDeadline, errNoAnswer)
	defer cancel()
	a, err := answer{}, c.takeSlot(ctx)
	if err == nil {
		a, err = c.survive(ctx, k)
		<-c.slots
	}
	if err == nil && a.found && (k.name == nobody || k.name == nowhere) {
		a, err = answer{}, fmt.Errorf("the %s question finds %s, which does not exist: see that it compares with its parameter", k.kind, k.name)
	}
	if c.base.Err() != nil {
		return a, err // closed: that is no trouble of the source
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.o.Now()
	if !errors.Is(err, errBusy) && !errors.Is(err, errPanic) { // those are our own trouble
		c.trouble[k.kind].told(now, k, err)
	}
	if err == nil && generation == c.generation && c.o.TTL > 0 {
		c.keep(k, entry{a, now.Add(c.o.TTL)})
	}
	return a, err
}

// takeSlot waits for its turn at the source.
func (c *Cache) takeSlot(ctx context.Context) error {
	defer c.waiting.Add(-1)
	if c.waiting.Add(1) > maxWaiting {
		return fmt.Errorf("asking the directory: %w", errBusy)
	}
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("asking the directory: %w", context.Cause(ctx))
	}
}

// errPanic is a bug, which says nothing of whether the source answers.
var errPanic = errors.New("asking the directory panicked")

// survive asks the source. A bug in it or in its driver is one answer that does not
// come: the look-up has a goroutine of its own, whose panic would end the daemon.
func (c *Cache) survive(ctx context.Context, k key) (a answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			a, err = answer{}, fmt.Errorf("%w: the %s question: %v: report it with this stack: %s", errPanic, k.kind, v, debug.Stack())
		}
	}()
	return c.question(ctx, k)
}

// question puts it to the source. What comes with an error means nothing.
func (c *Cache) question(ctx context.Context, k key) (a answer, err error) {
	var list []string
	switch k.kind {
	case accountKind:
		var account *rules.Account
		account, a.found, err = c.source.Account(ctx, k.name)
		if account == nil {
			a.found = false
		}
		a.value = account
	case domainsKind:
		list, a.found, err = c.source.Domains(ctx, k.name)
		a.value = list
	case addressesKind:
		list, err = c.source.Addresses(ctx, k.name)
		a = answer{list, len(list) > 0}
	case sendersKind:
		list, err = c.source.Senders(ctx, k.name)
		a = answer{list, len(list) > 0}
	case localKind:
		a.found, err = c.source.Local(ctx, k.name)
	}
	if err != nil || !a.found {
		a = answer{}
	}
	return a, err
}

// recall finds an answer, of whatever age.
func (c *Cache) recall(k key) (entry, bool) {
	if e, ok := c.known.Get(k); ok {
		return e, true
	}
	return c.none.Get(k)
}

// keep remembers an answer in place of the one before.
func (c *Cache) keep(k key, e entry) {
	if e.found {
		c.none.Remove(k)
		c.known.Add(k, e)
		return
	}
	c.known.Remove(k)
	c.none.Add(k, e)
}

// isData tells whether the source has answered, if nonsense.
func isData(err error) bool {
	_, ok := errors.AsType[*dataError](err)
	return ok
}
