package saslrelay_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/directory"
	"portreeve/internal/gate"
	"portreeve/internal/listen"
	"portreeve/internal/metrics"
	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
	"portreeve/saslrelay"
)

const accounts = `
[domains]
"domena.cz" = {}
[accounts]
"jan@domena.cz" = {}
"eva@domena.cz" = { smtp = false }
`

// host is a relay with a real gate behind it, a fake Dovecot, and sockets.
type host struct {
	t       *testing.T
	gate    *gate.Gate
	policy  *rules.Policy
	journal *journal.Journal
	meter   *metrics.Set
	dir     string
	dovecot *dovecot
}

func newHost(t *testing.T, change func(*rules.Policy)) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir()}
	db, err := store.Open(filepath.Join(h.dir, "portreeve.db"), store.Schema, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(h.dir, "accounts.toml")
	if err := os.WriteFile(file, []byte(accounts), 0o600); err != nil {
		t.Fatal(err)
	}
	known, problems := directory.OpenFile(file, rules.Logins{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	h.policy = &rules.Policy{
		Submission: []uint16{587}, Hints: true, SASLRelay: true, Replies: rules.DefaultReplies(),
		Shared:   []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
		Throttle: rules.Throttle{Limit: 10, Window: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64, Services: []string{"smtp"}},
	}
	if change != nil {
		change(h.policy)
	}
	ids := journal.NewIDs("mx1")
	memory, err := ledger.OpenEmbedded(t.Context(), db, ids, 1000, time.Now(), gate.Counting(h.policy), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	h.journal = journal.New(db)
	h.meter = metrics.New(metrics.Sources{Blocked: func() int { return 0 }, StoreUp: func() bool { return true }})
	h.gate, err = gate.New(gate.Options{Ledger: memory, Journal: h.journal, IDs: ids, Host: "mx1", Log: slog.New(slog.DiscardHandler), Meter: h.meter})
	if err != nil {
		t.Fatal(err)
	}
	h.gate.Use(gate.State{Policy: h.policy, Directory: known})
	h.dovecot = &dovecot{t: t, path: filepath.Join(h.dir, "auth")}
	h.dovecot.start()
	h.serve()
	return h
}

// serve runs the relay as the daemon does, until the test ends.
func (h *host) serve() {
	h.t.Helper()
	upstream := listen.Address{Network: "unix", Addr: h.dovecot.path}
	relay := &saslrelay.Server{Gate: h.gate, Meter: h.meter, Upstream: func() listen.Address { return upstream }}
	ln, err := listen.Open(listen.Address{Network: "unix", Addr: filepath.Join(h.dir, "sasl.sock")}, 0o666)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		server := &listen.Server{Name: rules.ProtocolSASL, Handle: relay.Handle, Meter: h.meter}
		ended <- server.Serve(ctx, ln)
	}()
	h.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
		h.dovecot.stop()
	})
}

// client is one smtpd process.
type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
	id int
}

func (h *host) connect() *client {
	h.t.Helper()
	n, err := net.Dial("unix", filepath.Join(h.dir, "sasl.sock"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { n.Close() })
	c := &client{t: h.t, Conn: n, in: bufio.NewReader(n)}
	fmt.Fprintf(c, "VERSION\t1\t1\nCPID\t%d\n", 100)
	return c
}

// handshake reads to DONE.
func (c *client) handshake() error {
	for {
		line, err := c.in.ReadString('\n')
		if err != nil || line == "DONE\n" {
			return err
		}
	}
}

// auth makes one attempt and returns the answer, without its id.
func (c *client) auth(from, login, password string) string {
	c.id++
	resp := base64.StdEncoding.EncodeToString([]byte("\x00" + login + "\x00" + password))
	fmt.Fprintf(c, "AUTH\t%d\tPLAIN\tservice=smtp\tnologin\tlip=127.0.0.1\trip=%s\tresp=%s\n", c.id, from, resp)
	line, err := c.in.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.Replace(strings.TrimSuffix(line, "\n"), fmt.Sprintf("\t%d\t", c.id), " ", 1)
}

// dovecot is Dovecot's auth-client socket; the right password of everybody is
// "right".
type dovecot struct {
	t    *testing.T
	path string
	hold func() // if not nil, called before each answer

	mu    sync.Mutex
	ln    net.Listener
	conns []net.Conn
	asked int
}

func (d *dovecot) start() {
	d.t.Helper()
	ln, err := net.Listen("unix", d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ln = ln
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.conns = append(d.conns, c)
			d.mu.Unlock()
			go d.talk(c)
		}
	}()
}

func (d *dovecot) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ln.Close()
	for _, c := range d.conns {
		c.Close()
	}
	d.conns = nil
}

func (d *dovecot) talk(c net.Conn) {
	io.WriteString(c, "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n")
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		f := strings.Split(lines.Text(), "\t")
		if f[0] != "AUTH" {
			continue
		}
		d.mu.Lock()
		d.asked++
		d.mu.Unlock()
		go func() {
			if d.hold != nil {
				d.hold()
			}
			resp, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(f[len(f)-1], "resp="))
			part := strings.Split(string(resp), "\x00")
			switch {
			case err != nil || len(part) != 3:
				fmt.Fprintf(c, "FAIL\t%s\n", f[1])
			case part[2] == "right":
				fmt.Fprintf(c, "OK\t%s\tuser=%s\n", f[1], part[1])
			default:
				fmt.Fprintf(c, "FAIL\t%s\tuser=%s\n", f[1], part[1])
			}
		}()
	}
}

func (d *dovecot) asks() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

const id = `[0-9A-Za-z]{22}`

func matches(t *testing.T, what, got, pattern string) {
	t.Helper()
	if !regexp.MustCompile("^" + pattern + "$").MatchString(got) {
		t.Errorf("%s: %q, want %s", what, got, pattern)
	}
}

func TestTexts(t *testing.T) {
	const from = "192.0.2.7"
	rejected, disabled, failed := id+" authentication rejected", id+" authentication rejected access disabled", id+" authentication failed"
	for _, tt := range []struct {
		name, from, login, password, want string
		change                            func(*rules.Policy)
	}{
		{"wrong", from, "jan@domena.cz", "wrong", "FAIL user=jan@domena.cz\treason=" + failed, nil},
		{"right", from, "jan@domena.cz", "right", "OK user=jan@domena.cz", nil},
		{"unknown", from, "ghost@domena.cz", "right", "FAIL user=ghost@domena.cz\treason=" + rejected, nil},
		{"not whole", from, "ghost", "right", "FAIL user=ghost\treason=" + rejected, nil},
		{"no name", from, "", "right", "FAIL reason=" + rejected, nil},
		{"disabled", from, "eva@domena.cz", "right", "FAIL user=eva@domena.cz\treason=" + disabled, nil},
		{"unknown address", "unknown", "jan@domena.cz", "wrong", "FAIL user=jan@domena.cz\treason=" + failed, nil},
		{"no hints, wrong", from, "ghost@domena.cz", "wrong", "FAIL user=ghost@domena.cz\treason=" + failed, func(p *rules.Policy) { p.Hints = false }},
		{"no hints, right", from, "eva@domena.cz", "right", "OK user=eva@domena.cz", func(p *rules.Policy) { p.Hints = false }},
		{"observe, wrong", from, "jan@domena.cz", "wrong", "FAIL user=jan@domena.cz", func(p *rules.Policy) { p.ObserveAll = true }},
		{"observe, disabled", from, "eva@domena.cz", "right", "OK user=eva@domena.cz", func(p *rules.Policy) { p.ObserveAll = true }},
		{"observe a rule", from, "eva@domena.cz", "wrong", "FAIL user=eva@domena.cz", func(p *rules.Policy) { p.Observe = map[rules.Rule]bool{rules.RuleAccessDisabled: true} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t, tt.change)
			matches(t, tt.name, h.connect().ready().auth(tt.from, tt.login, tt.password), tt.want)
		})
	}
}

func (c *client) ready() *client {
	c.t.Helper()
	if err := c.handshake(); err != nil {
		c.t.Fatal(err)
	}
	return c
}

// What the client was told is in the journal, without a name that may be a
// password.
func TestJournal(t *testing.T) {
	h := newHost(t, func(p *rules.Policy) { p.Hints = false })
	for login, shown := range map[string]string{"jan@domena.cz": "jan@domena.cz", "secret": "s… (6 characters)"} {
		answer := h.connect().ready().auth("192.0.2.7", login, "wrong")
		e, err := h.journal.Get(t.Context(), regexp.MustCompile(id).FindString(answer))
		if err != nil {
			t.Fatalf("%q is not in the journal: %v", answer, err)
		}
		if e.Login != shown || e.Rule != "auth_failed" || e.Protocol != "sasl" || e.Stage != "auth" || e.Client != "192.0.2.7" || strings.Contains(string(e.Facts), "secret") {
			t.Errorf("%s: %+v, facts %s", login, e, e.Facts)
		}
	}
}

// The eleventh failure blocks. Addresses that stand for many people are never.
func TestBlock(t *testing.T) {
	h := newHost(t, nil)
	c := h.connect().ready()
	for range 11 {
		matches(t, "failure", c.auth("192.0.2.7", "jan@domena.cz", "wrong"), "FAIL user=jan@domena.cz\treason="+id+" authentication failed")
	}
	asked := h.dovecot.asks()
	matches(t, "after the eleventh", c.auth("192.0.2.7", "jan@domena.cz", "right"), "FAIL user=jan@domena.cz\treason="+id+" Connection refused from 192.0.2.7. .*")
	if h.dovecot.asks() != asked {
		t.Error("Dovecot was asked about a blocked client")
	}
	for range 15 {
		c.auth("203.0.113.5", "jan@domena.cz", "wrong")
	}
	matches(t, "another address", c.auth("203.0.113.5", "jan@domena.cz", "right"), "OK user=jan@domena.cz")
	// Dovecot's auth policy sees the same logins, and neither counts nor refuses.
	d := h.gate.Decide(t.Context(), &rules.Request{
		Stage: rules.StageAuth, Protocol: rules.ProtocolAuthPolicy, Time: time.Now(),
		Client: netip.MustParseAddr("192.0.2.7"), Login: "ghost@domena.cz", Service: "smtp",
	})
	if d.Action != rules.Pass {
		t.Errorf("the auth policy refuses: %+v", d)
	}
	for range 11 {
		err := h.gate.Tell(t.Context(), rules.Event{
			Kind: rules.LoginFailed, Protocol: rules.ProtocolAuthPolicy, Time: time.Now(),
			Client: netip.MustParseAddr("192.0.2.8"), Login: "jan@domena.cz", Service: "smtp",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	matches(t, "told by the auth policy only", c.auth("192.0.2.8", "jan@domena.cz", "right"), "OK user=jan@domena.cz")
}

// Forty attempts at once: every failure counts (with a limit of 39, the last one
// blocks), no more than the one above the limit are told that they failed, and
// nobody passes after them.
func TestFortyAtOnce(t *testing.T) {
	for _, limit := range []int{10, 39} {
		h := newHost(t, func(p *rules.Policy) { p.Throttle.Limit = limit })
		all := make(chan struct{})
		var here, running sync.WaitGroup
		here.Add(40)
		h.dovecot.hold = func() {
			here.Done()
			<-all
		}
		answers := make(chan string, 40)
		for range 40 {
			c := h.connect().ready()
			running.Go(func() { answers <- c.auth("192.0.2.7", "jan@domena.cz", "wrong") })
		}
		here.Wait() // Dovecot has all of them
		close(all)
		running.Wait()
		close(answers)
		failed := 0
		for a := range answers {
			matches(t, "at once", a, "FAIL user=jan@domena.cz\treason="+id+" (authentication failed|Connection refused from 192.0.2.7.*)")
			if strings.HasSuffix(a, "authentication failed") {
				failed++
			}
		}
		if failed > limit+1 {
			t.Errorf("limit %d: %d are told that they failed", limit, failed)
		}
		tally := h.gate.Ledger.Tally(netip.MustParsePrefix("192.0.2.7/32"), time.Now(), gate.Window(h.policy))
		if tally.Count <= limit || tally.Block == "" {
			t.Errorf("limit %d: counted %+v", limit, tally)
		}
		matches(t, "afterwards", h.connect().ready().auth("192.0.2.7", "jan@domena.cz", "right"), "FAIL .*Connection refused .*")
	}
}

// The right password among them, answered last, does not slip through.
func TestSuccessDuringBlock(t *testing.T) {
	h := newHost(t, nil)
	asked, goOn := make(chan struct{}), make(chan struct{})
	h.dovecot.hold = func() {
		close(asked)
		<-goOn
	}
	first := h.connect().ready()
	answer := make(chan string)
	go func() { answer <- first.auth("192.0.2.7", "jan@domena.cz", "right") }()
	<-asked
	for range 11 {
		err := h.gate.Tell(t.Context(), rules.Event{
			Kind: rules.LoginFailed, Protocol: rules.ProtocolSASL, Time: time.Now(),
			Client: netip.MustParseAddr("192.0.2.7"), Service: "smtp", Login: "jan@domena.cz",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(goOn)
	matches(t, "answered last", <-answer, "FAIL user=jan@domena.cz\treason="+id+" Connection refused .*")
}

// Dovecot away: Postfix's connection is closed. Dovecot again: the next works.
func TestDovecotRestarts(t *testing.T) {
	h := newHost(t, nil)
	c := h.connect().ready()
	h.dovecot.stop()
	if _, err := c.in.ReadByte(); err != io.EOF {
		t.Errorf("while Dovecot ended: %v", err)
	}
	if err := h.connect().handshake(); err == nil {
		t.Error("a handshake without Dovecot")
	}
	h.dovecot.start()
	matches(t, "again", h.connect().ready().auth("192.0.2.7", "jan@domena.cz", "right"), "OK user=jan@domena.cz")
}
