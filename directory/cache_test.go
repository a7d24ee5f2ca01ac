package directory_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/directory"
	"portreeve/rules"
)

// fake is a source that does what a test says.
type fake struct {
	mu    sync.Mutex
	calls map[string]int
	most  int // of look-ups at the same time
	now   int

	account lookup
	list    []string
	pause   time.Duration // of Senders
	closed  bool
}

type lookup func(ctx context.Context, login string) (*rules.Account, bool, error)

// becomes makes the source do something else.
func (f *fake) becomes(account lookup) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.account = account
}

func (f *fake) count(name string) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[name]++
	f.now++
	f.most = max(f.most, f.now)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.now--
	}
}

func (f *fake) called(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[name]
}

func (f *fake) Account(ctx context.Context, login string) (*rules.Account, bool, error) {
	defer f.count(login)()
	f.mu.Lock()
	account := f.account
	f.mu.Unlock()
	return account(ctx, login)
}

func (f *fake) Domains(_ context.Context, domain string) ([]string, bool, error) {
	defer f.count(domain)()
	return []string{domain}, domain == "domena.cz", nil
}

func (f *fake) Addresses(context.Context, string) ([]string, error) {
	defer f.count("addresses")()
	return f.list, nil
}

func (f *fake) Senders(context.Context, string) ([]string, error) {
	defer f.count("senders")()
	time.Sleep(f.pause)
	return f.list, nil
}

func (f *fake) Local(_ context.Context, domain string) (bool, error) {
	defer f.count("local " + domain)()
	return domain == "domena.cz", nil
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

// answers says of every login but nobody that it is an enabled account.
func answers(_ context.Context, login string) (*rules.Account, bool, error) {
	return &rules.Account{Login: login, SMTP: true}, !strings.HasPrefix(login, "nobody@"), nil
}

var errGone = errors.New("the server has gone")

func fails(context.Context, string) (*rules.Account, bool, error) { return nil, false, errGone }

// hangs answers nobody, and heeds the end of ctx.
func hangs(ctx context.Context, _ string) (*rules.Account, bool, error) {
	<-ctx.Done()
	return nil, false, context.Cause(ctx)
}

// look is one look-up of an account, in a word.
func look(d directory.Directory, login string) string {
	a, found, err := d.Account(context.Background(), login)
	switch {
	case err != nil:
		return "failed"
	case !found:
		return "none"
	case a.SMTP:
		return "enabled"
	}
	return "disabled"
}

// inBubble runs a test of a cache whose time is the test's.
func inBubble(t *testing.T, f *fake, ttl time.Duration, test func(t *testing.T, c *directory.Cache)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := cached(t, f, directory.CacheOptions{Name: "fake", TTL: ttl, Meter: &meter{}})
		test(t, c)
		if err := c.Close(); err != nil || !f.closed {
			t.Errorf("the source is closed: %v, %v", f.closed, err)
		}
	})
}

type meter struct {
	mu   sync.Mutex
	from map[string]int
}

func (m *meter) Answered(from string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.from == nil {
		m.from = map[string]int{}
	}
	m.from[from]++
}

func want(t *testing.T, d directory.Directory, login, word string) {
	t.Helper()
	if got := look(d, login); got != word {
		t.Errorf("%s is %s, want %s", login, got, word)
	}
}

const (
	somebody = "jan@domena.cz"
	noOne    = "nobody@domena.cz"
)

func TestCacheKeepsAnswersForTheirTime(t *testing.T) {
	f := &fake{account: answers}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		for range 3 {
			want(t, c, somebody, "enabled")
			want(t, c, noOne, "none")
			time.Sleep(29 * time.Second)
		}
		for _, login := range []string{somebody, noOne} {
			if n := f.called(login); n != 1 {
				t.Errorf("%s was asked for %d times within 58 s", login, n)
			}
		}
		want(t, c, somebody, "enabled") // at 87 s
		want(t, c, noOne, "none")
		if n := f.called(somebody); n != 2 {
			t.Errorf("%d look-ups in 87 s", n)
		}
	})
}

// The other questions are kept likewise, and apart from one another.
func TestCacheKeepsEveryKind(t *testing.T) {
	f := &fake{account: answers, list: []string{"a@domena.cz"}}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		ctx := context.Background()
		for range 2 {
			if group, found, err := c.Domains(ctx, "domena.cz"); len(group) != 1 || !found || err != nil {
				t.Errorf("Domains: %v, %v, %v", group, found, err)
			}
			if group, found, err := c.Domains(ctx, "seznam.cz"); len(group) != 0 || found || err != nil {
				t.Errorf("Domains of a stranger: %v, %v, %v", group, found, err)
			}
			if ours, err := c.Local(ctx, "domena.cz"); !ours || err != nil {
				t.Errorf("Local: %v, %v", ours, err)
			}
			if ours, err := c.Local(ctx, "seznam.cz"); ours || err != nil {
				t.Errorf("Local of a stranger: %v, %v", ours, err)
			}
			if list, err := c.Addresses(ctx, somebody); len(list) != 1 || err != nil {
				t.Errorf("Addresses: %v, %v", list, err)
			}
			if list, err := c.Senders(ctx, somebody); len(list) != 1 || err != nil {
				t.Errorf("Senders: %v, %v", list, err)
			}
		}
		for _, name := range []string{"domena.cz", "seznam.cz", "local domena.cz", "local seznam.cz", "addresses", "senders"} {
			if n := f.called(name); n != 1 {
				t.Errorf("%s: %d look-ups", name, n)
			}
		}
	})
}

// cache_ttl = "0s": every question is asked, and nothing goes on.
func TestCacheWithoutTime(t *testing.T) {
	f := &fake{account: answers}
	inBubble(t, f, 0, func(t *testing.T, c *directory.Cache) {
		want(t, c, somebody, "enabled")
		want(t, c, somebody, "enabled")
		if n := f.called(somebody); n != 2 {
			t.Errorf("%d look-ups", n)
		}
		f.becomes(fails)
		want(t, c, somebody, "failed")
	})
}

func TestConcurrentLookupsAreOne(t *testing.T) {
	f := &fake{account: func(_ context.Context, login string) (*rules.Account, bool, error) {
		time.Sleep(time.Second)
		return answers(context.Background(), login)
	}}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { want(t, c, somebody, "enabled") })
		}
		all.Wait()
		if n := f.called(somebody); n != 1 {
			t.Errorf("%d look-ups", n)
		}
	})
}

// What was found goes on for 15 minutes after its time. What was not fails at
// once: somebody may have been added since.
func TestStaleAnswers(t *testing.T) {
	f := &fake{account: answers}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		want(t, c, somebody, "enabled")
		want(t, c, noOne, "none")
		f.becomes(fails)
		time.Sleep(59 * time.Second)
		want(t, c, noOne, "none") // in its time
		time.Sleep(2 * time.Second)
		want(t, c, somebody, "enabled")
		want(t, c, noOne, "failed")
		want(t, c, "eva@domena.cz", "failed")
		time.Sleep(14 * time.Minute)
		want(t, c, somebody, "enabled")
		time.Sleep(time.Minute)
		want(t, c, somebody, "failed")
		if h := c.Health(); h.Up || !errors.Is(h.Err, errGone) {
			t.Errorf("health %+v", h)
		}
	})
}

// An account that has been disabled, or has gone, is so when its time is over.
func TestChangesAreSeen(t *testing.T) {
	f := &fake{account: answers}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		want(t, c, somebody, "enabled")
		f.becomes(func(_ context.Context, login string) (*rules.Account, bool, error) {
			return &rules.Account{Login: login}, true, nil
		})
		time.Sleep(61 * time.Second)
		want(t, c, somebody, "disabled")
		f.becomes(func(context.Context, string) (*rules.Account, bool, error) { return nil, false, nil })
		time.Sleep(61 * time.Second)
		want(t, c, somebody, "none")
		f.becomes(fails)
		time.Sleep(61 * time.Second)
		want(t, c, somebody, "failed") // what was known before is not
		f.becomes(answers)
		time.Sleep(time.Second)
		want(t, c, somebody, "enabled")
	})
}

// What comes with an error, or without an account, lets nobody in.
func TestHalfAnAnswerIsNone(t *testing.T) {
	enabled := &rules.Account{Login: somebody, SMTP: true}
	for name, tt := range map[string]struct {
		account *rules.Account
		found   bool
		err     error
		want    string
	}{
		"an account with an error": {enabled, true, errGone, "failed"},
		"found, but nil":           {nil, true, nil, "none"},
		"not found, but there":     {enabled, false, nil, "none"},
	} {
		f := &fake{account: func(context.Context, string) (*rules.Account, bool, error) { return tt.account, tt.found, tt.err }}
		inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
			for range 5 {
				if got := look(c, somebody); got != tt.want {
					t.Errorf("%s is %s, want %s", name, got, tt.want)
				}
			}
		})
	}
}

// Every look-up ends within 2 s. After three that failed, one a second finds out
// whether the source is back, and nobody else waits.
func TestSilentSource(t *testing.T) {
	f := &fake{account: answers}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		want(t, c, somebody, "enabled")
		time.Sleep(61 * time.Second)
		f.becomes(hangs)
		for i := range 3 {
			began := time.Now()
			want(t, c, fmt.Sprintf("eva%d@domena.cz", i), "failed")
			if took := time.Since(began); took > 2*time.Second || took < time.Second {
				t.Errorf("look-up %d took %s", i, took)
			}
		}
		began := time.Now()
		for i := range 1000 {
			want(t, c, fmt.Sprintf("petr%d@domena.cz", i), "failed")
		}
		want(t, c, somebody, "enabled")
		if took := time.Since(began); took != 0 {
			t.Errorf("a thousand look-ups at a source that does not answer took %s", took)
		}
		time.Sleep(time.Second) // now one may ask; who has an answer does not wait for it
		began = time.Now()
		want(t, c, somebody, "enabled")
		want(t, c, "petr@domena.cz", "failed")
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %s", took)
		}
		time.Sleep(10 * time.Second)
		f.becomes(answers)
		want(t, c, "petr@domena.cz", "enabled") // the one that finds out
		want(t, c, "eva@domena.cz", "enabled")
		if h := c.Health(); !h.Up {
			t.Errorf("health %+v", h)
		}
	})
}

// A driver that does not heed its deadline keeps its connection, and no caller.
func TestDeafSource(t *testing.T) {
	release := make(chan struct{})
	f := &fake{}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		release = make(chan struct{}) // of the bubble
		f.becomes(func(context.Context, string) (*rules.Account, bool, error) {
			<-release
			return nil, false, errGone
		})
		var all sync.WaitGroup
		for i := range 3000 {
			all.Go(func() {
				began := time.Now()
				want(t, c, fmt.Sprintf("user%d@domena.cz", i), "failed")
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("a look-up took %s", took)
				}
			})
		}
		all.Wait()
		if f.most > 10 {
			t.Errorf("%d look-ups at the source at once", f.most)
		}
		close(release)
		synctest.Wait()
	})
}

// More look-ups than may wait are turned away at once: that says nothing of a source
// that answers, if slowly.
func TestTooManyIsNotFailing(t *testing.T) {
	f := &fake{account: func(_ context.Context, login string) (*rules.Account, bool, error) {
		time.Sleep(10 * time.Millisecond)
		return answers(context.Background(), login)
	}}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		var all sync.WaitGroup
		for i := range 3000 {
			all.Go(func() { look(c, fmt.Sprintf("user%d@domena.cz", i)) })
		}
		synctest.Wait()
		if h := c.Health(); !h.Up {
			t.Errorf("the source is held to be down: %+v", h)
		}
		all.Wait()
		want(t, c, somebody, "enabled")
	})
}

// A name may be part of a whole request; what is remembered is the name alone.
func TestNamesOfHugeRequests(t *testing.T) {
	f := &fake{account: answers}
	c := cached(t, f, directory.CacheOptions{TTL: time.Minute})
	const requests, size = 500, 64 << 10
	for i := range requests {
		request := fmt.Sprintf("user%d@domena.cz", i) + strings.Repeat("x", size)
		want(t, c, request[:strings.IndexByte(request, 'x')], "enabled")
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > requests*size/2 {
		t.Errorf("%d MB are kept for %d names", m.HeapAlloc>>20, requests)
	}
	want(t, c, "user0@domena.cz", "enabled")
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// Who has no more time gets what is known while the source fails.
func TestStaleInHaste(t *testing.T) {
	f := &fake{account: answers}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		want(t, c, somebody, "enabled")
		f.becomes(hangs)
		time.Sleep(61 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if a, found, err := c.Account(ctx, somebody); !found || err != nil || !a.SMTP {
			t.Errorf("got %v, %v, %v", a, found, err)
		}
	})
}

// One account whose look-up fails is no trouble of the others.
func TestOneBadAccount(t *testing.T) {
	f := &fake{account: func(ctx context.Context, login string) (*rules.Account, bool, error) {
		if login == somebody {
			return hangs(ctx, login)
		}
		return answers(ctx, login)
	}}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		for i := range 10 {
			want(t, c, somebody, "failed")
			want(t, c, fmt.Sprintf("eva%d@domena.cz", i), "enabled")
		}
	})
}
