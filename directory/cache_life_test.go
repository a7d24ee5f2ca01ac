package directory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/directory"
	"portreeve/rules"
)

// Tick finds out by itself that the source is back, and at its first call whether
// it is there at all.
func TestTick(t *testing.T) {
	f := &fake{account: fails}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		c.Tick()
		synctest.Wait()
		if h := c.Health(); h.Up || h.Name != "fake" || !h.Since.Equal(time.Now()) {
			t.Errorf("health %+v after the first tick", h)
		}
		for range 30 {
			time.Sleep(time.Second)
			c.Tick()
		}
		if n := f.called("nobody@portreeve-check.invalid"); n < 20 || n > 31 {
			t.Errorf("%d look-ups in 30 s", n)
		}
		f.becomes(answers)
		time.Sleep(time.Second)
		c.Tick()
		synctest.Wait()
		if h := c.Health(); h.Up { // answers knows everybody but nobody@…
			return
		}
		t.Errorf("health %+v, and the source is back", c.Health())
	})
}

// A source that knows somebody who does not exist would know everybody.
func TestCanary(t *testing.T) {
	f := &fake{account: func(_ context.Context, login string) (*rules.Account, bool, error) {
		return &rules.Account{Login: login, SMTP: true}, true, nil
	}}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		err := c.Check(context.Background())
		if err == nil || !strings.Contains(err.Error(), "the account question finds nobody@portreeve-check.invalid, which does not exist") {
			t.Errorf("got %v", err)
		}
		if h := c.Health(); h.Up {
			t.Error("it is held to be well")
		}
	})
}

// A reload drops every answer, and what was asked before it.
func TestPurge(t *testing.T) {
	f := &fake{account: answers}
	inBubble(t, f, time.Hour, func(t *testing.T, c *directory.Cache) {
		want(t, c, somebody, "enabled")
		want(t, c, noOne, "none")
		c.Purge()
		want(t, c, somebody, "enabled")
		want(t, c, noOne, "none")
		if f.called(somebody) != 2 || f.called(noOne) != 2 {
			t.Errorf("calls %v", f.calls)
		}

		f.becomes(func(ctx context.Context, login string) (*rules.Account, bool, error) {
			time.Sleep(time.Second)
			return answers(ctx, login)
		})
		go look(c, "eva@domena.cz")
		synctest.Wait() // its answer is of before
		c.Purge()
		time.Sleep(2 * time.Second)
		want(t, c, "eva@domena.cz", "enabled")
		if n := f.called("eva@domena.cz"); n != 2 {
			t.Errorf("an answer of before the reload is used: %d look-ups", n)
		}
	})
}

// Who hangs up gets an error; the look-up goes on for the others.
func TestCallerGoes(t *testing.T) {
	f := &fake{account: func(_ context.Context, login string) (*rules.Account, bool, error) {
		time.Sleep(time.Second)
		return answers(context.Background(), login)
	}}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if _, _, err := c.Account(ctx, somebody); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		want(t, c, somebody, "enabled")
		if n := f.called(somebody); n != 1 {
			t.Errorf("%d look-ups", n)
		}
	})
}

// What can be nobody's is neither asked for nor remembered.
func TestNamesThatAreNone(t *testing.T) {
	f := &fake{account: answers}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		for _, login := range []string{"", "jan", "@domena.cz", "Jan@domena.cz", "jan@domena.cz ", "jan%x@domena.cz", "jan@doména.cz", strings.Repeat("a", 400) + "@domena.cz"} {
			want(t, c, login, "none")
		}
		if _, found, err := c.Domains(context.Background(), "DOMENA.cz"); found || err != nil {
			t.Errorf("Domains: %v, %v", found, err)
		}
		if len(f.calls) > 0 {
			t.Errorf("asked for %v", f.calls)
		}
	})
}

// After Close nobody hangs.
func TestClosed(t *testing.T) {
	f := &fake{account: hangs}
	inBubble(t, f, time.Minute, func(t *testing.T, c *directory.Cache) {
		go func() {
			time.Sleep(time.Second)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		began := time.Now()
		want(t, c, somebody, "failed")
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestMeter(t *testing.T) {
	f, m := &fake{account: answers}, &meter{}
	synctest.Test(t, func(t *testing.T) {
		c := cached(t, f, directory.CacheOptions{TTL: time.Minute, Meter: m})
		want(t, c, somebody, "enabled")
		want(t, c, somebody, "enabled")
		f.becomes(fails)
		time.Sleep(61 * time.Second)
		want(t, c, somebody, "enabled")
		want(t, c, "eva@domena.cz", "failed")
	})
	if fmt.Sprint(m.from) != "map[memory:1 source:1 stale:1]" {
		t.Errorf("counted %v", m.from)
	}
}

func BenchmarkCached(b *testing.B) {
	c, err := directory.NewCache(&fake{account: answers}, directory.CacheOptions{TTL: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, found, err := c.Account(ctx, somebody); !found || err != nil {
			b.Fatal("not found")
		}
	}
}
