//go:build real && soak

package integration

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// book is the clients' side: what they sent, and what they were told.
type book struct {
	mu       sync.Mutex
	lines    map[string]*line          // by part
	told     map[string]int            // refusals, by rule
	times    map[string][]time.Time    // and when
	keys     map[string]map[string]int // ids, and senders that were refused, by rule: how often told
	queued   []string                  // Postfix's queue ids
	waits    map[bool]int              // tries that ended in neither, by whether Portreeve ran all the while
	failures map[netip.Addr]*tallied
	charged  tallied // messages of the account with a quota
	problems []string
}

// line is one line of the ledger.
type line struct{ sent, queued, refused, deferred int }

// tallied is a count, and how much of it is from the times when the other side
// may not have been told, or may have forgotten.
type tallied struct{ sure, unsure int }

func (c *tallied) add(sure bool) {
	if sure {
		c.sure++
	} else {
		c.unsure++
	}
}

// fits tells whether the other side's count can be the same.
func (c tallied) fits(other int) bool { return other >= c.sure && other <= c.sure+c.unsure }

func newBook() *book {
	return &book{
		lines: map[string]*line{}, told: map[string]int{}, times: map[string][]time.Time{}, keys: map[string]map[string]int{},
		waits: map[bool]int{}, failures: map[netip.Addr]*tallied{},
	}
}

func (b *book) line(part string) *line {
	l := b.lines[part]
	if l == nil {
		l = &line{}
		b.lines[part] = l
	}
	return l
}

// settle enters a message that is queued or refused.
func (b *book) settle(m *sending, sure bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, rule := b.line(m.part.name), m.last.rule()
	l.sent++
	if !slices.Contains(m.part.ends, rule) {
		b.complainLocked("%s: %q after %d tries", m.part.name, m.last.text, m.tries)
	}
	if rule == "" {
		l.queued++
		b.queued = append(b.queued, strings.TrimPrefix(m.last.text, "250 2.0.0 Ok: queued as "))
		if m.part.name == quotaPart {
			b.charged.add(sure)
		}
		return
	}
	l.refused++
	b.told[rule]++
	b.times[rule] = append(b.times[rule], time.Now())
	key := m.last.key()
	if key == "" {
		b.complainLocked("%s: nothing to look for in %q", m.part.name, m.last.text)
		return
	}
	if b.keys[rule] == nil {
		b.keys[rule] = map[string]int{}
	}
	b.keys[rule][key]++
}

// deferred enters a try that is repeated.
func (b *book) deferred(m *sending, sure bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line(m.part.name).deferred++
	b.waits[sure]++
	if sure {
		b.complainLocked("%s: %q %v although Portreeve ran", m.part.name, m.last.text, m.last.err)
	}
}

func (b *book) failed(from netip.Addr, sure bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures[from] == nil {
		b.failures[from] = &tallied{}
	}
	b.failures[from].add(sure)
}

func (b *book) complain(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complainLocked(format, args...)
}

func (b *book) complainLocked(format string, args ...any) {
	b.problems = append(b.problems, fmt.Sprintf(format, args...))
}

// refusals is a copy of what clients were told so far, by rule, and of how often
// a login failed.
func (b *book) refusals() (told map[string]int, failures int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.failures {
		failures += f.sure + f.unsure
	}
	return maps.Clone(b.told), failures
}

// String is the clients' side of the ledger.
func (b *book) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%-28s %7s %7s %8s %9s\n", "traffic", "sent", "queued", "refused", "deferrals")
	var all line
	for _, name := range slices.Sorted(maps.Keys(b.lines)) {
		l := b.lines[name]
		fmt.Fprintf(&out, "%-28s %7d %7d %8d %9d\n", name, l.sent, l.queued, l.refused, l.deferred)
		all = line{all.sent + l.sent, all.queued + l.queued, all.refused + l.refused, all.deferred + l.deferred}
	}
	fmt.Fprintf(&out, "%-28s %7d %7d %8d %9d\n", "together", all.sent, all.queued, all.refused, all.deferred)
	return out.String()
}
