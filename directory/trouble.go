package directory

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// failsAfter is how many look-ups in a row must fail before the source is not
	// asked for everybody any more: one slow account is no trouble of all.
	failsAfter = 3
	// retryEvery is how often it is then asked whether it answers again.
	retryEvery = time.Second
)

// trouble is how one kind of question fails, from its first failure to the next
// answer.
type trouble struct {
	fails int
	since time.Time
	next  time.Time // when the source may be asked again
	key   key       // of the last failure
	err   error
}

// failing tells whether the source is not asked for everybody.
func (t *trouble) failing() bool { return t.fails >= failsAfter }

// may tells whether the source may be asked now, and if not, why. While it
// fails, whoever may ask is the only one for a while.
func (t *trouble) may(now time.Time) (bool, error) {
	if !t.failing() {
		return true, nil
	}
	if now.Before(t.next) {
		return false, fmt.Errorf("the directory does not answer since %s: %w", t.since.UTC().Format(time.RFC3339), t.err)
	}
	t.next = now.Add(deadline + retryEvery)
	return true, nil
}

// told notes how a look-up has ended. An answer that makes no sense is one.
func (t *trouble) told(now time.Time, k key, err error) {
	if err == nil || isData(err) {
		*t = trouble{}
		return
	}
	if t.fails == 0 {
		t.since = now
	}
	t.fails++
	t.next, t.key, t.err = now.Add(retryEvery), k, err
}

// Health is how a source does.
type Health struct {
	Name  string    // of the source
	Up    bool      // false: the last look-up of some kind has failed
	Since time.Time // of the trouble
	Err   error     // nil while it is up
}

// Health tells how the source does.
func (c *Cache) Health() Health {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := Health{Name: c.o.Name, Up: true}
	for _, t := range c.trouble {
		if t.fails > 0 && (h.Up || t.since.Before(h.Since)) {
			h.Up, h.Since, h.Err = false, t.since, t.err
		}
	}
	return h
}

// Tick asks every question once, so that what does not work is known before the
// first customer meets it, and a source in trouble again what it could not answer.
// It is called every second and does not wait.
func (c *Cache) Tick() {
	now := c.o.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range kinds {
		t := &c.trouble[k]
		switch {
		case !c.checked:
			c.fly(c.generation, canary(k))
		case t.fails > 0 && !now.Before(t.next):
			t.next = now.Add(deadline + retryEvery)
			c.fly(c.generation, t.key)
		}
	}
	c.checked = true
}

// Names that exist nowhere (RFC 6761 section 6.4).
const (
	nobody  = "nobody@portreeve-check.invalid"
	nowhere = "portreeve-check.invalid"
)

// canary is a question that must find nothing.
func canary(k kind) key {
	if k == domainsKind || k == localKind {
		return key{k, nowhere}
	}
	return key{k, nobody}
}

// Check asks every question once, about somebody who does not exist. An error
// says what does not work.
func (c *Cache) Check(ctx context.Context) error {
	var errs []error
	for k := range kinds {
		_, err := c.get(ctx, canary(k))
		errs = append(errs, err)
		if errors.Is(err, errNoAnswer) {
			break // the others would wait as long
		}
	}
	return errors.Join(errs...)
}
