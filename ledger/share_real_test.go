//go:build real

package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/ledger/valkey"
	"portreeve/ledger/valkeytest"
	"portreeve/rules"
)

// The master dies with writes that its replica has not heard of. The hosts go on, find
// the new master, and tell it what it misses.
func TestSentinelFailover(t *testing.T) {
	g := valkeytest.StartSentinels(t)
	o := valkey.Options{Addresses: g.Addrs(), SentinelMaster: g.Name, Timeout: 200 * time.Millisecond}
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.up(true)
	b.up(true)
	a.fail(2)
	if got := b.counts().Count; got != 2 {
		t.Fatalf("%d count on the other host, want 2", got)
	}
	g.Replica.Freeze()
	a.fail(3)
	a.told()
	g.Master.Kill()
	g.Replica.Thaw()
	quick(t, o.Timeout, "the first failure without a master", func() { a.fail(1) })
	a.up(false)
	for range 3 {
		quick(t, 0, "a failure without a master", func() { b.fail(1) })
	}
	g.Replica.Until("it is the master", func() bool { return g.Replica.Info("role") == "master" })
	a.up(true)
	b.up(true)
	a.told()
	b.told()
	a.fail(2)
	for _, h := range []*mx{a, b} {
		if got := h.counts().Count; got != 11 {
			t.Errorf("%s: %d count, want 11", h.name, got)
		}
	}
	together(t, a, b)
}

// A Cluster that lost a server without a replica is no store for a third of the names,
// and so it is none. It is one again when the server is back.
func TestClusterLosesAServer(t *testing.T) {
	c := valkeytest.StartCluster(t, 3)
	o := valkey.Options{Addresses: c.Addrs(), Timeout: 200 * time.Millisecond}
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.up(true)
	b.up(true)
	a.fail(3)
	c[1].Kill()
	a.up(false)
	b.up(false)
	a.fail(4)
	quick(t, 0, "four failures", func() { b.fail(4) })
	c[1].Launch()
	c[1].Ready()
	a.up(true)
	b.up(true)
	a.told()
	b.told()
	for _, h := range []*mx{a, b} {
		if got := h.counts().Count; got != 11 {
			t.Errorf("%s: %d count, want 11", h.name, got)
		}
	}
	together(t, a, b)
}

// What a host counts while the store is away outlasts its restart, and its crash; so
// do the blocks that it had heard of.
func TestRestartDuringTheOutage(t *testing.T) {
	for name, end := range map[string]func(*mx){
		"restart": func(h *mx) { h.close(); h.open() },
		"crash":   func(h *mx) { h.crash(); h.open() },
	} {
		t.Run(name, func(t *testing.T) {
			s, o := server(t, "--appendonly", "yes", "--appendfsync", "always")
			o.Timeout = 200 * time.Millisecond
			a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
			a.up(true)
			b.up(true)
			other, from := netip.MustParsePrefix("198.51.100.1/32"), netip.MustParseAddr("198.51.100.1")
			for range 11 {
				f := rules.Failure{Time: time.Now(), Client: from, Login: "eva@domena.cz", Shown: "eva@domena.cz", Counted: true}
				if _, err := b.AddFailure(context.Background(), other, f, ledgertest.Counting); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.BeginBlock(context.Background(), other, "theirs", time.Now(), ledgertest.Window); err != nil {
				t.Fatal(err)
			}
			knows := func() bool { return a.Tally(other, time.Now(), ledgertest.Window).Block == "theirs" }
			soon(t, a, "the other's block is known", knows)
			if err := a.write(); err != nil {
				t.Fatal(err)
			}

			s.Kill()
			a.fail(11)
			a.block("alone")
			e := a.entry("throttled")
			if err := a.journal.Write(context.Background(), e); err != nil {
				t.Fatal(err)
			}
			end(a)
			if !knows() {
				t.Error("the other host's block is forgotten")
			}
			if got := a.Tally(guessers, time.Now(), ledgertest.Window); got.Count != 11 || got.Block != "alone" {
				t.Errorf("after the restart: %+v", got)
			}
			s.Launch()
			s.Ready()
			a.up(true)
			b.up(true)
			a.told()
			soon(t, b, "the block is known", func() bool {
				got := b.Tally(guessers, time.Now(), ledgertest.Window)
				return got.Block == "alone" && got.Count == 11
			})
			if got, err := b.journal.Get(context.Background(), e.ID); err != nil || got.Host != "mx1" {
				t.Errorf("the entry of the outage: %+v, %v", got, err)
			}
		})
	}
}

// crash loses what a killed process loses: all but the file.
func (h *mx) crash() {
	h.t.Helper()
	h.Abandon()
	if err := h.db.Close(); err != nil {
		h.t.Fatal(err)
	}
}

// write waits for what nobody waits for.
func (h *mx) write() error {
	return h.db.Write(context.Background(), func(store.Tx) error { return nil })
}

// The journal's entries, and how often they were given, are known on all hosts. While
// the store is away a host says which one made an id.
func TestJournalIsShared(t *testing.T) {
	s, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	ctx := context.Background()
	e := a.entry("sender")
	if err := a.journal.Write(ctx, e); err != nil {
		t.Fatal(err)
	}
	a.told()
	got, err := b.journal.Get(ctx, e.ID)
	if err != nil || got.ID != e.ID || got.Reply != e.Reply || string(got.Facts) != string(e.Facts) || !got.Time.Equal(e.Time) || !got.Observed {
		t.Fatalf("the other host reads %+v, %v", got, err)
	}
	later := time.Now().Add(time.Minute).Truncate(time.Microsecond)
	b.journal.Again(e.ID, journal.Repeats{Times: 4, Last: later, Port: 587, Sender: "x@y.cz"})
	a.journal.Again(e.ID, journal.Repeats{Times: 2, Last: later.Add(-time.Second), Observed: true})
	for _, h := range []*mx{a, b} {
		h.until("all refusals are counted", func() bool {
			got, err = h.journal.Get(ctx, e.ID)
			return err == nil && got.Count == 7
		})
		if got.Observed || got.Port != 587 || got.Sender != "x@y.cz" || got.Last.Sub(later).Abs() > time.Second {
			t.Errorf("%s reads %+v", h.name, got)
		}
	}
	if _, err := b.journal.Get(ctx, b.entry("sender").ID); !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("an id that nobody has: %v", err)
	}
	keys := s.Strings("KEYS", "pr1:*:j:"+e.ID)
	if len(keys) != 1 {
		t.Fatalf("the entry is under %v", keys)
	}
	if left := s.Number("TTL", keys[0]); left < 719*3600 || left > 720*3600 {
		t.Errorf("it is kept for %d s more", left)
	}
	b.until("it knows the hosts", func() bool { return strings.Join(b.Peers(), " ") == "mx1 mx2" })
	s.Kill()
	b.up(false)
	if _, err := b.journal.Get(ctx, e.ID); !errors.Is(err, journal.ErrUnknown) || !errors.Is(err, valkey.ErrAway) {
		t.Errorf("while the store is away: %v", err)
	}
	b.close()
	b.open()
	if got := strings.Join(b.Peers(), " "); got != "mx1 mx2" {
		t.Errorf("after a restart it knows the hosts %q", got)
	}
}

// questions is how many commands the server has run for its clients, but for those
// that every host asks all the time.
func questions(s *valkeytest.Server) (n int) {
	text := s.Text("INFO", "commandstats")
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
		calls, _, _ := strings.Cut(strings.TrimPrefix(rest, "calls="), ",")
		switch name {
		case "eval", "evalsha", "zrange", "zscore", "hgetall":
			c, _ := strconv.Atoi(calls)
			n += c
		}
	}
	return n
}

// A client that may pass costs no question: not that it is not blocked, nor that it
// has, or has not, collected mail before.
func TestPassingCostsNoQuestion(t *testing.T) {
	s, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	if err := b.AddGrant(context.Background(), guesser, rules.Grant{Login: account, Last: time.Now()}); err != nil {
		t.Fatal(err)
	}
	b.told()
	stranger := netip.MustParseAddr("198.51.100.1")
	pass := func() {
		now := time.Now()
		if got := a.Tally(guessers, now, ledgertest.Window); got.Count != 0 {
			t.Fatalf("%+v", got)
		}
		a.LoginTally(account, now, ledgertest.Counting.Login)
		if got := a.Grants(guesser, now, ledgertest.Validity); len(got) != 1 || got[0].Login != account {
			t.Fatalf("the other host's grant: %+v", got)
		}
		if got := a.Grants(stranger, now, ledgertest.Validity); len(got) != 0 {
			t.Fatalf("a stranger's grants: %+v", got)
		}
	}
	pass()
	before := s.Info("total_commands_processed")
	a.hears()
	after := s.Info("total_commands_processed")
	t.Logf("one look at what has changed: %s to %s commands", before, after)
	asked := questions(s)
	for range 1000 {
		pass()
	}
	if n := questions(s) - asked; n > 60 { // those of listening, in that time
		t.Errorf("a thousand decisions asked %d questions", n)
	}
	// A change is told to those who have asked.
	if err := b.AddGrant(context.Background(), stranger, rules.Grant{Login: "eva@domena.cz", Last: time.Now()}); err != nil {
		t.Fatal(err)
	}
	soon(t, a, "the new grant is known", func() bool { return len(a.Grants(stranger, time.Now(), ledgertest.Validity)) == 1 })
}

// Hosts whose clocks differ by hours count as one, and so does what they bring from an
// outage.
func TestClocksDiffer(t *testing.T) {
	s, o := server(t, "--appendonly", "yes", "--appendfsync", "always")
	at := func(by time.Duration) valkey.Options {
		o := o
		o.Timeout = time.Second
		o.Now = func() time.Time { return time.Now().Add(by) }
		return o
	}
	slow, fast := newMX(t, "mx1", at(-3*time.Hour)), newMX(t, "mx2", at(5*time.Hour))
	slow.up(true)
	fast.up(true)
	slow.fail(3)
	fast.fail(3)
	s.Kill()
	slow.up(false)
	fast.up(false)
	slow.fail(3)
	fast.fail(1)
	s.Launch()
	s.Ready()
	slow.up(true)
	fast.up(true)
	slow.told()
	fast.told()
	if got := slow.fail(1); got.Count != 11 {
		t.Errorf("the eleventh failure is number %d", got.Count)
	}
	slow.block("first")
	soon(t, fast, "the block is known", func() bool { return fast.Tally(guessers, fast.store.Now(), ledgertest.Window).Block == "first" })
	for _, h := range []*mx{slow, fast} {
		now := h.store.Now()
		got := h.counts()
		if left := got.Until.Sub(now); left < 59*time.Minute || left > time.Hour {
			t.Errorf("%s: the block lasts %s more", h.name, left)
		}
		if age := now.Sub(got.Since); age < 0 || age > time.Minute {
			t.Errorf("%s: the block began %s ago", h.name, age)
		}
	}
	if err := slow.AddGrant(context.Background(), guesser, rules.Grant{Login: account, Last: slow.store.Now()}); err != nil {
		t.Fatal(err)
	}
	slow.told()
	g := fast.Grants(guesser, fast.store.Now(), ledgertest.Validity)
	if len(g) != 1 || fast.store.Now().Sub(g[0].Last).Abs() > time.Minute {
		t.Errorf("the grant of a host that is eight hours behind: %+v", g)
	}
}

// The host's clock is set while it runs: blocks of other hosts end when they should.
func TestClockIsSet(t *testing.T) {
	_, o := server(t)
	a := newMX(t, "mx1", o)
	by := time.Duration(0)
	o.Now = func() time.Time { return time.Now().Add(by) }
	b := newMX(t, "mx2", o)
	a.fail(11)
	a.block("first")
	b.hears()
	for _, by = range []time.Duration{2 * time.Hour, -2 * time.Hour} {
		b.hears()
		now := b.store.Now()
		got := b.Tally(guessers, now, ledgertest.Window)
		if left := got.Until.Sub(now); got.Block != "first" || left < 59*time.Minute || left > time.Hour {
			t.Errorf("a clock set by %s: %+v, which is %s more", by, got, left)
		}
	}
}

// What a host that died had reserved is free again; what takes long is not.
func TestReservationsOfADeadHost(t *testing.T) {
	_, o := server(t)
	clock := newHand(newShelf(t, o.Addresses))
	o.Now, o.Clock = clock.Now, clock.Now
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	one := rules.Limits{Messages: 1}
	if a.Reserve(account, "long", one, clock.Now(), false).Full {
		t.Fatal("no place")
	}
	for range 10 { // half an hour's upload
		clock.set(clock.Now().Add(3 * time.Minute))
		a.hears()
		if !b.Look(account, one, clock.Now()).Full {
			t.Fatalf("%s after noon the place is free", clock.Now().Sub(ledgertest.Noon))
		}
	}
	a.crash()
	a.db = nil
	clock.set(clock.Now().Add(valkey.ReservedFor))
	if b.Reserve(account, "next", one, clock.Now(), false).Full {
		t.Error("the dead host's place is not free")
	}
}

// A host whose file knows blocks joins a store, or finds it emptied: all hosts know
// them then.
func TestAnEmptiedStore(t *testing.T) {
	s, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.fail(11)
	a.block("first")
	if err := a.AddGrant(context.Background(), guesser, rules.Grant{Login: account, Last: time.Now()}); err != nil {
		t.Fatal(err)
	}
	a.told()
	a.close()
	knows := func() bool { return b.Tally(guessers, time.Now(), ledgertest.Window).Block == "first" }
	soon(t, b, "the block is known", knows)
	if err := b.write(); err != nil {
		t.Fatal(err)
	}
	s.Do("FLUSHALL")
	b.close()
	b.open()
	soon(t, b, "it has what it knew", knows)
	c := newMX(t, "mx3", o)
	a.open()
	a.up(true)
	a.told()
	b.told()
	soon(t, c, "the block is known", func() bool { return c.Tally(guessers, time.Now(), ledgertest.Window).Block == "first" })
	if got := c.counts().Count; got != 11 {
		t.Errorf("%d count, want 11", got)
	}
	if got := c.Grants(guesser, time.Now(), ledgertest.Validity); len(got) != 1 {
		t.Errorf("grants: %+v", got)
	}
	// Emptied under its eyes.
	s.Do("FLUSHALL")
	b.until("it was told again", func() bool { return b.log.count("shared store has lost what it had") > 1 })
	b.told()
	if got := newMX(t, "mx4", o).counts().Count; got != 11 {
		t.Errorf("after it was emptied %d count, want 11", got)
	}
}

// Somebody else's keys under our names, and an event of another version, stop nothing.
func TestForeignKeys(t *testing.T) {
	s, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.fail(1)
	keys := s.Strings("KEYS", "*:f:"+guessers.String())
	if len(keys) != 1 {
		t.Fatalf("keys: %v", keys)
	}
	s.Do("SET", keys[0], "not ours")
	if got := a.fail(1); got.Count != 2 {
		t.Errorf("%d count, want 2", got.Count)
	}
	if err := a.Strange(); err != nil {
		t.Fatal(err)
	}
	if a.send("after") {
		t.Error("no place")
	}
	a.told()
	if got := b.Usage(account, time.Now()); got.Messages != 1 {
		t.Errorf("what came after was not told: %+v", got)
	}
	if a.Away() != nil || a.log.count("no usable answer") == 0 {
		t.Errorf("away: %v; the log: %s", a.Away(), a.log.text.String())
	}
	s.Do("DEL", keys[0])
	s.Do("ZADD", keys[0], strconv.FormatInt(time.Now().UnixMicro(), 10), "1"+strings.Repeat("x", 16)+"\xff\xff")
	if got := b.counts(); got.Count != 0 {
		t.Errorf("a failure that nobody can read counts: %+v", got)
	}
}

// A user who may do no more than docs/shared-store.md says, and TLS.
func TestUserAndTLS(t *testing.T) {
	ca, options, config := certificate(t)
	port := valkeytest.FreePort(t)
	s := valkeytest.StartAt(t, fmt.Sprintf("127.0.0.1:%d", port), nil, append([]string{
		"--bind", "127.0.0.1", "--port", "0", "--tls-port", strconv.Itoa(port), "--tls-auth-clients", "no",
	}, options...)...)
	s.TLS = config
	s.Ready()
	s.Do(append([]string{"ACL", "SETUSER", "portreeve", "on", ">secret"}, strings.Fields(documented(t, "user portreeve on >PASSWORD "))...)...)
	o := valkey.Options{Addresses: []string{s.Addr}, Username: "portreeve", Password: "secret", TLS: config}
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.up(true)
	a.fail(11)
	together(t, a, b)
	if n := a.log.count("NOPERM"); n > 0 {
		t.Errorf("the user may not do all that it needs: %s", a.log.text.String())
	}
	if denied := s.Text("INFO", "commandstats"); strings.Contains(denied, "acl") {
		t.Log(denied)
	}

	o.Password = "wrong"
	c := newMX(t, "mx3", o)
	c.until("it says why", func() bool { return c.Away() != nil && strings.Contains(c.Away().Error(), "WRONGPASS") })
	if text := c.Away().Error(); !strings.HasSuffix(text, "store.valkey.password_file names") {
		t.Errorf("it says %s", text)
	}
	if c.log.count("wrong") > 0 {
		t.Errorf("the log has the password: %s", c.log.text.String())
	}
	o.TLS = nil
	if d := newMX(t, "mx4", o); d.Away() == nil {
		t.Error("without TLS it gets in")
	}
	_ = ca
}

// When the server's memory is nearly used up, journal entries stay on their host; a
// server that forgets instead is warned of.
func TestMemory(t *testing.T) {
	s, o := server(t, "--maxmemory-policy", "allkeys-lru")
	used, err := strconv.Atoi(s.Info("used_memory"))
	if err != nil {
		t.Fatal(err)
	}
	s.Do("CONFIG", "SET", "maxmemory", strconv.Itoa(used+(20<<20)))
	for i := range 16 {
		s.Do("SET", "ballast"+strconv.Itoa(i), strings.Repeat("x", 1<<20))
	}
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.until("it warns", func() bool {
		return a.log.count("set maxmemory-policy noeviction") == 1 && a.log.count("journal entries stay on this host") == 1
	})
	e := a.entry("sender")
	if err := a.journal.Write(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	a.told()
	if _, err := b.journal.Get(context.Background(), e.ID); !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("the entry is there: %v", err)
	}
	a.fail(2)
	if got := b.counts().Count; got != 2 {
		t.Errorf("%d count, want 2", got)
	}
}

// Two hosts race for the last places of many accounts; each is given once.
func TestLastPlace(t *testing.T) {
	_, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	const accounts = 50
	got := make(chan int, 2)
	for _, h := range []*mx{a, b} {
		go func() {
			n := 0
			for i := range accounts {
				login := fmt.Sprintf("user%d@domena.cz", i)
				if !h.Reserve(login, "m"+strconv.Itoa(i), rules.Limits{Messages: 1}, time.Now(), false).Full {
					n++
				}
			}
			got <- n
		}()
	}
	if n := <-got + <-got; n != accounts {
		t.Errorf("%d places of %d accounts were given", n, accounts)
	}
}

// A repeated charge, of one message's end, is one; that of another process, too.
func TestChargedOnce(t *testing.T) {
	_, o := server(t)
	a := newMX(t, "mx1", o)
	c := ledger.Charge{Login: account, Instance: "1a.2b", Recipients: 2}
	for range 2 {
		if _, err := a.Charge(context.Background(), c, limits, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	a.close()
	a.open()
	a.up(true)
	if room, err := a.Charge(context.Background(), c, limits, time.Now()); err != nil || room.Full {
		t.Fatalf("%+v, %v", room, err)
	}
	if got := a.Usage(account, time.Now()); got != (ledger.Usage{Messages: 1, Recipients: 2}) {
		t.Errorf("used: %+v", got)
	}
}
