//go:build real

package directory_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/directory"
	"portreeve/directory/directorytest"
	"portreeve/integration/servers"
)

// patient is a server with a small world, and what may happen to it.
type patient struct {
	*servers.Server
	open func(t *testing.T) directory.Directory // that world
}

// patients are one of each kind, each with a server of its own.
func patients(t *testing.T, test func(t *testing.T, p patient)) {
	each(t, func(t *testing.T, s *sqlServer) {
		db := s.fresh(t)
		r := rows{t, db.driver, db.admin}
		tables(r, db)
		own.fill(r, directorytest.Small())
		test(t, patient{s.Server, func(t *testing.T) directory.Directory { return openSQL(t, db.driver, db.dsn, own.queries) }})
	})
	t.Run("slapd", func(t *testing.T) {
		t.Parallel()
		s := newSlapd(t)
		base := loadLDAP(t, s, directorytest.Small())
		test(t, patient{s.Server, func(t *testing.T) directory.Directory { return openLDAP(t, ldapOptions(s, base)) }})
	})
}

// tables makes those of own, for their reader.
func tables(r rows, db database) {
	r.exec(own.tables[db.driver])
	for _, g := range own.grants {
		table, columns, _ := strings.Cut(g, " ")
		r.exec(db.grant(table, columns))
	}
}

func openSQL(t *testing.T, driver directory.Driver, dsn string, q directory.Queries) *directory.SQL {
	t.Helper()
	d, err := directory.OpenSQL(driver, dsn, q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// clock is moved by the test: an hour must not take one.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const (
	jan    = "jan.novak@domena.cz"
	eva    = "eva@domena.cz"
	nobody = "nobody@domena.cz"
	// prompt is how long an answer may take that nobody waits for.
	prompt = 500 * time.Millisecond
	// patience is the deadline of SPEC.md section 7, and what a busy machine adds.
	patience = 2*time.Second + prompt
)

// asked looks one login up and says how that went.
func asked(d directory.Directory, login string) (string, time.Duration, error) {
	began := time.Now()
	a, found, err := d.Account(context.Background(), login)
	took := time.Since(began)
	switch {
	case err != nil:
		return "failed", took, err
	case !found:
		return "none", took, nil
	case a.SMTP:
		return "enabled", took, nil
	}
	return "disabled", took, nil
}

func expect(t *testing.T, d directory.Directory, login, want string, within time.Duration) error {
	t.Helper()
	got, took, err := asked(d, login)
	if got != want || took > within {
		t.Errorf("%s is %s after %s (%v), want %s within %s", login, got, took, err, want, within)
	}
	return err
}

// recover asks once a second, as the daemon does, until the source is up.
func recovers(t *testing.T, c *directory.Cache, now *clock) {
	t.Helper()
	for began := time.Now(); !c.Health().Up; {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the source answers again, but is held to be down: %+v", c.Health())
		}
		now.add(time.Second)
		c.Tick()
		time.Sleep(50 * time.Millisecond) // a real server is asked
	}
}

// What is known goes on, what is not fails; nobody is let in by it, and nobody
// refused for good.
func TestRealKilled(t *testing.T) {
	patients(t, func(t *testing.T, p patient) {
		now := &clock{now: time.Now()}
		c := cached(t, p.open(t), directory.CacheOptions{Name: t.Name(), TTL: time.Minute, Now: now.Now})
		expect(t, c, jan, "enabled", patience)
		expect(t, c, eva, "disabled", patience)
		expect(t, c, nobody, "none", patience)
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		now.add(2 * time.Minute)
		expect(t, c, jan, "enabled", patience)
		expect(t, c, eva, "disabled", patience)
		for range 5 {
			err := expect(t, c, nobody, "failed", patience) // somebody may have been added
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("the error shows the password: %v", err)
			}
		}
		if h := c.Health(); h.Up || h.Err == nil {
			t.Errorf("the source is dead, and held to be up: %+v", h)
		}
		now.add(20 * time.Minute)
		expect(t, c, jan, "failed", patience) // too long ago
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		recovers(t, c, now)
		expect(t, c, jan, "enabled", patience)
		expect(t, c, nobody, "none", patience)
	})
}

// A server that accepts and does not answer is the worst: each look-up ends
// within the deadline, soon nobody waits any more, and nothing piles up.
func TestRealFrozen(t *testing.T) {
	patients(t, func(t *testing.T, p patient) {
		now := &clock{now: time.Now()}
		c := cached(t, p.open(t), directory.CacheOptions{Name: t.Name(), TTL: time.Minute, Now: now.Now})
		expect(t, c, jan, "enabled", patience)
		now.add(2 * time.Minute)
		if err := p.Freeze(); err != nil {
			t.Fatal(err)
		}
		defer p.Thaw() //nolint:errcheck // the test has failed already if it was not thawed below
		before := runtime.NumGoroutine()
		flood(t, c)
		expect(t, c, jan, "enabled", prompt)
		expect(t, c, nobody, "failed", prompt)
		// What waits for the server are ten look-ups at most, and what their drivers do.
		for began := time.Now(); runtime.NumGoroutine() > before+100; time.Sleep(50 * time.Millisecond) {
			if time.Since(began) > 20*time.Second {
				t.Fatalf("%d goroutines before, %d now", before, runtime.NumGoroutine())
			}
		}
		if err := p.Thaw(); err != nil {
			t.Fatal(err)
		}
		recovers(t, c, now)
		expect(t, c, nobody, "none", patience)
	})
}

// flood asks for many at once.
func flood(t *testing.T, d directory.Directory) {
	t.Helper()
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			got, took, err := asked(d, fmt.Sprintf("user%d@domena.cz", i))
			if got != "failed" || took > patience {
				t.Errorf("a look-up is %s after %s (%v)", got, took, err)
			}
		})
	}
	all.Wait()
}

// Many look-ups use ten connections.
func TestRealConnections(t *testing.T) {
	count := map[directory.Driver]string{
		directory.Postgres: "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'mail%'",
		directory.MySQL:    "SELECT COUNT(*) FROM information_schema.processlist WHERE user LIKE 'mail%'",
	}
	each(t, func(t *testing.T, s *sqlServer) {
		db := s.fresh(t)
		r := rows{t, db.driver, db.admin}
		tables(r, db)
		own.fill(r, directorytest.Small())
		c := cached(t, openSQL(t, db.driver, db.dsn, own.queries), directory.CacheOptions{TTL: time.Minute})
		var all sync.WaitGroup
		for i := range 500 {
			all.Go(func() {
				if got, _, err := asked(c, fmt.Sprintf("user%d@domena.cz", i)); got != "none" {
					t.Errorf("a look-up is %s: %v", got, err)
				}
			})
		}
		all.Wait()
		var n int
		if err := db.admin.QueryRow(count[s.driver]).Scan(&n); err != nil || n == 0 || n > 10 {
			t.Errorf("%d connections, %v; want 1 to 10", n, err)
		}
	})
}

// A query that takes too long ends on the server, too: it must not go on there
// for nobody.
func TestRealSlowQuery(t *testing.T) {
	sleep := map[directory.Driver]string{directory.Postgres: "pg_sleep(30)", directory.MySQL: "SLEEP(30)"}
	running := map[directory.Driver]string{
		directory.Postgres: "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'mail%' AND state = 'active'",
		directory.MySQL:    "SELECT COUNT(*) FROM information_schema.processlist WHERE user LIKE 'mail%' AND info LIKE '%SLEEP%'",
	}
	each(t, func(t *testing.T, s *sqlServer) {
		db := s.fresh(t)
		tables(rows{t, db.driver, db.admin}, db)
		q := own.queries
		q.Addresses = "SELECT 'a@domena.cz' FROM (SELECT " + sleep[s.driver] + ") slow WHERE ? <> ''"
		c := cached(t, openSQL(t, db.driver, db.dsn, q), directory.CacheOptions{TTL: time.Minute})
		began := time.Now()
		if list, err := c.Addresses(context.Background(), jan); err == nil || time.Since(began) > patience {
			t.Errorf("a query of 30 s gives %q, %v after %s", list, err, time.Since(began))
		}
		expect(t, c, nobody, "none", prompt) // other questions go on
		for {
			var n int
			if err := db.admin.QueryRow(running[s.driver]).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			if time.Since(began) > 10*time.Second {
				t.Fatal("the query still runs on the server")
			}
			time.Sleep(100 * time.Millisecond) // a real server is asked
		}
	})
}

// What a postmaster gets wrong is an error that says so, without a secret.
func TestRealMistakes(t *testing.T) {
	each(t, func(t *testing.T, s *sqlServer) {
		db := s.fresh(t)
		wrong := openSQL(t, db.driver, strings.Replace(db.dsn, password, "jine-Heslo:8", 1), own.queries)
		mistake(t, wrong, "jine-Heslo:8", map[directory.Driver]string{directory.Postgres: "password authentication failed", directory.MySQL: "Access denied"}[s.driver])
		r := rows{t, db.driver, db.admin}
		tables(r, db)
		r.exec("ALTER TABLE accounts RENAME TO gone;\n")
		empty := openSQL(t, db.driver, db.dsn, own.queries)
		mistake(t, empty, password, map[directory.Driver]string{directory.Postgres: `relation "accounts" does not exist`, directory.MySQL: "accounts' doesn't exist"}[s.driver])
		r.exec("ALTER TABLE gone RENAME TO accounts;\n")
		expect(t, empty, nobody, "none", patience)
		columns := own.queries
		columns.Account = "SELECT smpt FROM accounts WHERE login = ?"
		mistake(t, openSQL(t, db.driver, db.dsn, columns), password, "smpt")
	})
}

func TestRealLDAPMistakes(t *testing.T) {
	s, other := newSlapd(t), newSlapd(t)
	base := loadLDAP(t, s, directorytest.Small())
	for name, tt := range map[string]struct {
		change func(o *directory.LDAPOptions)
		want   string
	}{
		"another authority":   {func(o *directory.LDAPOptions) { o.CA = other.CA }, "certificate signed by unknown authority"},
		"another, with ldaps": {func(o *directory.LDAPOptions) { o.CA, o.URL, o.StartTLS = other.CA, s.LDAPS(), false }, "certificate signed by unknown authority"},
		"the system's":        {func(o *directory.LDAPOptions) { o.CA = nil }, "certificate signed by unknown authority"},
		"another name":        {func(o *directory.LDAPOptions) { o.URL = strings.Replace(o.URL, "127.0.0.1", "localhost", 1) }, "certificate is not valid for any names"},
		"no such user":        {func(o *directory.LDAPOptions) { o.BindDN = "cn=nobody,dc=test" }, "Invalid Credentials"},
		"no such base":        {func(o *directory.LDAPOptions) { o.Base = "ou=nowhere,dc=test" }, "No Such Object"},
		"nobody there":        {func(o *directory.LDAPOptions) { o.URL = "ldap://127.0.0.1:1" }, "connection refused"},
		"TLS at the plain port": {func(o *directory.LDAPOptions) {
			o.URL, o.StartTLS = strings.Replace(s.LDAP(), "ldap:", "ldaps:", 1), false
		}, "TLS"},
		"anonymous": {func(o *directory.LDAPOptions) { o.BindDN, o.Password = "", "" }, "No Such Object"}, // an access rule hides the tree
	} {
		t.Run(name, func(t *testing.T) {
			o := ldapOptions(s, base)
			tt.change(&o)
			mistake(t, openLDAP(t, o), password, tt.want)
		})
	}
	o := ldapOptions(s, base)
	o.Password = "jine-Heslo:8"
	mistake(t, openLDAP(t, o), "jine-Heslo:8", "Invalid Credentials")
}

func mistake(t *testing.T, d directory.Directory, secret, want string) {
	t.Helper()
	got, took, err := asked(d, nobody)
	if got != "failed" || took > patience || !strings.Contains(err.Error(), want) {
		t.Errorf("a look-up is %s, %v after %s; want an error with %q", got, err, took, want)
	}
	if err != nil && (strings.Contains(err.Error(), secret) || strings.ContainsAny(err.Error(), "\n\r")) {
		t.Errorf("the error shows the password, or is more than a line: %q", err)
	}
}

// The first of two hosts accepts and says nothing: the second is asked in time.
func TestRealSecondHost(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections for it
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() //nolint:errcheck // nobody has written to it
	s := newPostgres(t)
	db := s.fresh(t)
	r := rows{t, db.driver, db.admin}
	tables(r, db)
	own.fill(r, directorytest.Small())
	dsn := strings.Replace(db.dsn, "@", "@"+silent.Addr().String()+",", 1)
	for _, more := range []string{"", "&connect_timeout=10"} {
		c := cached(t, openSQL(t, db.driver, dsn+more, own.queries), directory.CacheOptions{TTL: time.Minute})
		expect(t, c, jan, "enabled", patience)
	}
}

// A connection whose charset lets a letter swallow the backslash of a quoted quote.
func TestRealQuotesInGBK(t *testing.T) {
	s := newMariaDB(t)
	db := s.fresh(t)
	r := rows{t, db.driver, db.admin}
	tables(r, db)
	own.fill(r, directorytest.Small())
	d := openSQL(t, db.driver, db.dsn+"?interpolateParams=true&charset=gbk", own.queries)
	expect(t, d, jan, "enabled", patience)
	expect(t, d, "縗'@domena.cz", "none", patience)
	expect(t, d, "縗'||1#@domena.cz", "none", patience)
}
