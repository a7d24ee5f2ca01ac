package daemon

import (
	"context"
	"database/sql"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"portreeve/directory"
	"portreeve/internal/config"
	"portreeve/internal/listen"
	"portreeve/rules"
)

// inSQL is plain with its accounts in a database.
var inSQL = strings.Replace(plain, "[directory]\nfile = \"accounts.toml\"\n", `[directory]
source = "sql"
[directory.sql]
driver = "sqlite"
dsn_file = "dsn"
account = "SELECT login, smtp FROM accounts WHERE login = ?"
domains = "SELECT name FROM domains WHERE customer = (SELECT customer FROM domains WHERE name = ?)"
`, 1)

const accountsSQL = `
CREATE TABLE domains (name TEXT PRIMARY KEY, customer TEXT);
CREATE TABLE accounts (login TEXT PRIMARY KEY, smtp INTEGER);
INSERT INTO domains VALUES ('domena.cz', '1'), ('domena.eu', '1'), ('firma.cz', '2');
INSERT INTO accounts VALUES ('jan@domena.cz', 1), ('eva@domena.cz', 0);
`

// prepareSQL makes the files, and the database that "dsn" names.
func prepareSQL(t *testing.T, config string) *host {
	t.Helper()
	h := prepare(t, config)
	h.write("dsn", h.path("accounts.db")+"\n")
	h.exec("accounts.db", accountsSQL)
	return h
}

func (h *host) exec(name, script string) {
	h.t.Helper()
	db := must[*sql.DB](h.t)(sql.Open("sqlite", "file:"+h.path(name)))
	defer db.Close()
	if _, err := db.Exec(script); err != nil {
		h.t.Fatal(err)
	}
}

var (
	byJan   = envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@domena.eu"}
	byEva   = envelope{client: "192.0.2.9", login: "eva@domena.cz", sender: "eva@domena.cz"}
	byGhost = envelope{client: "192.0.2.9", login: "ghost@domena.cz", sender: "ghost@domena.cz"}
)

func (h *host) expect(e envelope, want string) {
	h.t.Helper()
	if got := h.ask(e); !strings.Contains(got, want) {
		h.t.Errorf("%s is answered %q, want %q", e.login, got, want)
	}
}

// eventually waits for what happens in the background, while the clock goes on.
func (h *host) eventually(what string, is func() bool) {
	h.t.Helper()
	for began := time.Now(); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > patience {
			h.t.Fatalf("%s: not so; the log:\n%s", what, h.log.String())
		}
		h.clock.forward(time.Second)
	}
}

func (h *host) directoryUp() bool { return h.status().Directory[0].Up }

func TestDirectoryInSQL(t *testing.T) {
	h := prepareSQL(t, inSQL)
	h.run()
	h.expect(byJan, "DUNNO")
	h.expect(byEva, "access disabled")
	h.expect(byGhost, "authentication rejected")
	if d := h.status().Directory; len(d) != 1 || d[0].Name != "sql (sqlite)" || !d[0].Up || d[0].Since != nil {
		t.Errorf("status shows %+v", d)
	}
	if _, body := h.get("/metrics"); !strings.Contains(body, "portreeve_directory_up 1") {
		t.Error("the metrics say that it is down")
	}

	// The tables go. What was found goes on, the rest is asked to come back.
	h.exec("accounts.db", "ALTER TABLE accounts RENAME TO gone;")
	h.clock.forward(2 * time.Minute)
	h.expect(byJan, "DUNNO")
	h.expect(byGhost, "temporary lookup failure")
	h.eventually("status tells", func() bool { return !h.directoryUp() })
	if d := h.status().Directory[0]; d.Since == nil || !strings.Contains(d.Error, "no such table: accounts") {
		t.Errorf("status shows %+v", d)
	}
	if _, body := h.get("/metrics"); !strings.Contains(body, "portreeve_directory_up 0") || !strings.Contains(body, `portreeve_directory_answers_total{from="stale"} 1`) {
		t.Error("the metrics say that it is up, or that no answer was stale")
	}
	h.eventually("the log tells", func() bool {
		return strings.Contains(h.log.String(), `msg="directory does not answer, known answers go on"`)
	})

	// They are back, and nobody has asked.
	h.exec("accounts.db", "ALTER TABLE gone RENAME TO accounts;")
	h.eventually("status tells that it is back", h.directoryUp)
	h.eventually("the log tells that it is back", func() bool { return strings.Contains(h.log.String(), `msg="directory answers again"`) })
	h.expect(byGhost, "authentication rejected")
}

// A database that is away at the start keeps nobody from starting, and is said.
func TestDirectoryAwayAtStart(t *testing.T) {
	h := prepare(t, inSQL)
	h.write("dsn", h.path("absent.db")+"\n")
	h.run()
	h.expect(byJan, "temporary lookup failure")
	h.eventually("status tells", func() bool { return !h.directoryUp() })
	h.exec("absent.db", accountsSQL)
	h.eventually("status tells that it is there", h.directoryUp)
	h.expect(byJan, "DUNNO")
}

func TestDirectoryAwayIsAccepted(t *testing.T) {
	h := prepare(t, strings.Replace(inSQL, "source = \"sql\"\n", "source = \"sql\"\non_failure = \"accept\"\n", 1))
	h.write("dsn", h.path("absent.db")+"\n")
	h.run()
	h.expect(byJan, "DUNNO")
}

// A reload asks anew; the connections stay if nothing about them has changed.
func TestReloadOfSQL(t *testing.T) {
	h := prepareSQL(t, inSQL)
	h.run()
	h.expect(byGhost, "authentication rejected")
	h.exec("accounts.db", "INSERT INTO accounts VALUES ('ghost@domena.cz', 1); UPDATE accounts SET smtp = 0 WHERE login = 'jan@domena.cz';")
	h.expect(byGhost, "authentication rejected") // from memory
	if r := h.reloaded(); len(r.Problems) > 0 {
		t.Fatalf("%q", r.Problems)
	}
	h.expect(byGhost, "DUNNO")
	h.expect(byJan, "access disabled")

	// Another database, and a broken file in between.
	h.exec("other.db", accountsSQL)
	h.write("dsn", "one\ntwo\n")
	if r := h.reloaded(); len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "holds more than one line") {
		t.Fatalf("%q", r.Problems)
	}
	h.expect(byGhost, "DUNNO")
	h.write("dsn", h.path("other.db")+"\n")
	if r := h.reloaded(); len(r.Problems) > 0 {
		t.Fatalf("%q", r.Problems)
	}
	h.expect(byGhost, "authentication rejected")
	h.expect(byJan, "DUNNO")

	// And back to the file.
	h.write("portreeve.toml", plain)
	if r := h.reloaded(); len(r.Problems) > 0 {
		t.Fatalf("%q", r.Problems)
	}
	h.expect(byGhost, "authentication rejected")
	if d := h.status().Directory; len(d) != 1 || !strings.HasPrefix(d[0].Name, "file, ") || !d[0].Up {
		t.Errorf("status shows %+v", d)
	}
}

// Sources are opened once for equal settings, and closed when nobody uses them.
func TestSourcesAreSettled(t *testing.T) {
	h := prepareSQL(t, inSQL)
	s := newSources(time.Now, nil)
	load := func() *directory.Set {
		t.Helper()
		_, state, problems := s.load(h.path("portreeve.toml"))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		set, ok := state.Directory.(*directory.Set)
		if !ok {
			t.Fatalf("the directory is a %T", state.Directory)
		}
		return set
	}
	first, again := load(), load()
	if first.Sources()[0] != again.Sources()[0] {
		t.Error("equal settings are opened twice")
	}
	h.write("portreeve.toml", inSQL+"[directory.senders]\ndriver = \"sqlite\"\ndsn_file = \"dsn\"\nschema = \"roundcube\"\n")
	both := load()
	if len(both.Sources()) != 2 || both.Sources()[0] != first.Sources()[0] {
		t.Errorf("sources %v", both.Sources())
	}
	h.write("dsn", h.path("other.db")+"\n")
	third := load()
	if third.Sources()[0] == first.Sources()[0] || len(s.open) != 4 {
		t.Errorf("another connection string is the same source; %d are open", len(s.open))
	}
	s.settle(third, time.Hour, func(error) {})
	if len(s.open) != 2 || len(s.retired) != 2 {
		t.Errorf("%d are open and %d retired", len(s.open), len(s.retired))
	}
	s.settle(nil, time.Hour, func(error) {})
	if err := s.close(); err != nil || len(s.open)+len(s.retired) > 0 {
		t.Errorf("%d are open and %d retired: %v", len(s.open), len(s.retired), err)
	}
}

// slow is a source that answers when it is told to, unless it is closed before.
type slow struct {
	directory.Directory
	begun, goOn chan struct{}
}

func (s slow) Account(ctx context.Context, login string) (*rules.Account, bool, error) {
	close(s.begun)
	select {
	case <-s.goOn:
		return &rules.Account{Login: login, SMTP: true}, true, nil
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

// A look-up that began before the reload gets its answer.
func TestReloadLeavesLookupsAlone(t *testing.T) {
	source := slow{begun: make(chan struct{}), goOn: make(chan struct{})}
	c, err := directory.NewCache(source, directory.CacheOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := newSources(time.Now, nil)
	s.open["of before"] = c
	answer := make(chan error)
	go func() {
		_, _, err := c.Account(t.Context(), "jan@domena.cz")
		answer <- err
	}()
	<-source.begun
	s.settle(nil, closeAfter, func(err error) { t.Error(err) })
	if len(s.open) != 0 || len(s.retired) != 1 {
		t.Errorf("%d are open, %d retired", len(s.open), len(s.retired))
	}
	close(source.goOn)
	if err := <-answer; err != nil {
		t.Error(err)
	}
	if err := s.close(); err != nil || len(s.retired) > 0 {
		t.Errorf("%d retired: %v", len(s.retired), err)
	}
}

// What is retired is closed, in the end.
func TestRetiredIsClosed(t *testing.T) {
	h := prepareSQL(t, inSQL)
	s := newSources(time.Now, nil)
	_, state, _ := s.load(h.path("portreeve.toml"))
	c := state.Directory.(*directory.Set).Sources()[0]
	if _, _, err := c.Account(t.Context(), "jan@domena.cz"); err != nil {
		t.Fatal(err)
	}
	s.settle(nil, 0, func(err error) { t.Error(err) })
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		if _, _, err := c.Account(t.Context(), "eva@domena.cz"); err != nil {
			return
		}
		c.Purge()
		if time.Since(began) > patience {
			t.Fatal("it is not closed")
		}
	}
}

// The password is in no log, no status, no problem.
func TestPasswordsAreNotShown(t *testing.T) {
	const secret = "tajneHeslo"
	h := prepare(t, strings.Replace(inSQL, `"sqlite"`, `"postgres"`, 1))
	h.write("dsn", "postgres://portreeve:"+secret+"@127.0.0.1:1/mail\n")
	if err := os.Chmod(h.path("dsn"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.run()
	h.expect(byJan, "temporary lookup failure")
	h.eventually("status tells", func() bool { return !h.directoryUp() })
	s := h.status()
	if len(s.Warnings) == 0 || !strings.Contains(strings.Join(s.Warnings, "\n"), "everybody on this host can read the password in "+h.path("dsn")) {
		t.Errorf("no warning of the file's mode: %q", s.Warnings)
	}
	h.write("dsn", "postgres://portreeve:"+secret+"@127.0.0.1:"+secret+"/mail\n")
	r := h.reloaded()
	if len(r.Problems) != 1 {
		t.Errorf("problems %q", r.Problems)
	}
	for what, text := range map[string]string{"log": h.log.String(), "status": s.Directory[0].Error, "problems": strings.Join(r.Problems, "\n")} {
		if text == "" || strings.Contains(text, secret) {
			t.Errorf("the %s: %s", what, text)
		}
	}
}

func TestDirectoryWarnings(t *testing.T) {
	c := config.Default()
	c.Listen.Auth = listen.Address{Network: "tcp", Addr: "127.0.0.1:9192"}
	c.Directory.Source = config.SourceLDAP
	c.Directory.LDAP = config.LDAP{URL: "ldap://ldap.example.com", BindDN: "cn=x", PasswordFile: "/nonexistent"}
	if got := warnings(c); len(got) != 1 || !strings.HasPrefix(got[0], "directory.ldap sends its password over the network unencrypted: ") {
		t.Errorf("got %q", got)
	}
	c.Directory.LDAP.StartTLS = true
	if got := warnings(c); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

// LDAP's keys reach the source.
func TestLDAPOptions(t *testing.T) {
	l := config.LDAP{
		URL: "ldap://h", StartTLS: true, CA: "pem", BindDN: "cn=x", Password: "p", Base: "dc=x", AccountFilter: "1", DomainsFilter: "2", AddressesFilter: "3", SendersFilter: "4", LocalFilter: "5",
		SMTPAttribute: "6", ForwardAttribute: "7", MessagesAttribute: "8", RecipientsAttribute: "9", DomainsAttribute: "10", AddressesAttribute: "11", SendersAttribute: "12",
	}
	got := ldapOptions(l)
	want := directory.LDAPOptions{
		URL: "ldap://h", StartTLS: true, BindDN: "cn=x", Password: "p", Base: "dc=x", AccountFilter: "1", DomainsFilter: "2", AddressesFilter: "3", SendersFilter: "4", LocalFilter: "5",
		SMTP: "6", Forward: "7", Messages: "8", Recipients: "9", Domains: "10", Addresses: "11", Senders: "12",
	}
	if string(got.CA) != "pem" {
		t.Errorf("CA %q", got.CA)
	}
	if got.CA = nil; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}
