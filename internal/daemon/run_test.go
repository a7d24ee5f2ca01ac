package daemon

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"

	"portreeve/internal/admin"
	"portreeve/internal/config"
	"portreeve/internal/listen"
)

// fails starts a daemon that must not start.
func (h *host) fails() error {
	h.t.Helper()
	err := Run(h.t.Context(), h.options(), func() { h.t.Error("a daemon that cannot start says that it is ready") })
	if err == nil {
		h.t.Fatal("the daemon ran")
	}
	return err
}

func (h *host) absent(names ...string) {
	h.t.Helper()
	for _, name := range names {
		if _, err := os.Lstat(h.path(name)); !errors.Is(err, fs.ErrNotExist) {
			h.t.Errorf("%s is there (%v)", name, err)
		}
	}
}

func TestRunUntilTheContextEnds(t *testing.T) {
	h := start(t, plain)
	s := h.status()
	for name, want := range map[string]string{
		"policy": "unix:" + h.path("policy.sock"), "milter": "unix:" + h.path("milter.sock"), "admin": "unix:" + h.path("admin.sock"),
	} {
		if s.Listeners[name] != want {
			t.Errorf("listen.%s is %q", name, s.Listeners[name])
		}
	}
	for _, name := range []string{"auth", "web"} { // with the port that was found for them
		if !regexp.MustCompile(`^inet:127\.0\.0\.1:[1-9]`).MatchString(s.Listeners[name]) {
			t.Errorf("listen.%s is %q", name, s.Listeners[name])
		}
	}
	for name, mode := range map[string]fs.FileMode{"policy.sock": 0o666, "milter.sock": 0o666, "admin.sock": 0o660} {
		if info := must[fs.FileInfo](t)(os.Stat(h.path(name))); info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	h.stop()
	h.absent("policy.sock", "milter.sock", "admin.sock")
	if !strings.HasSuffix(h.log.String(), "level=INFO msg=stopped\n") {
		t.Errorf("the log ends without a word:\n%s", h.log.String())
	}
}

func TestContextThatHasEnded(t *testing.T) {
	h := prepare(t, plain)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	readies := 0
	if err := Run(ctx, h.options(), func() { readies++ }); err != nil || readies != 1 {
		t.Errorf("ready %d times, %v", readies, err)
	}
	h.absent("policy.sock", "admin.sock")
}

// Every problem of both files, each with its line and its remedy, and nothing
// is opened.
func TestBadConfiguration(t *testing.T) {
	h := prepare(t, "mode = \"strict\"\nmdoe = \"observe\"\n[auth_failures]\nlimit = 0\n"+plain)
	h.write("accounts.toml", "[accounts]\n\"jan@domena.cz\" = {}\n")
	err := h.fails()
	var problems ProblemsError
	if !errors.As(err, &problems) || len(problems) != 4 {
		t.Fatalf("got %v", err)
	}
	text := strings.Split(err.Error(), "\n")
	for i, want := range []string{
		"the configuration has 4 problems; mend them and try again:",
		"portreeve.toml:1: mode = \"strict\"", "portreeve.toml:2: ", "portreeve.toml:4: auth_failures.limit = 0", "accounts.toml:2: ",
	} {
		if !strings.Contains(text[i], want) {
			t.Errorf("line %d is %q, want %q in it", i, text[i], want)
		}
	}
	h.absent("policy.sock", "portreeve.db", "portreeve.db.lock")

	h.write("accounts.toml", accounts)
	h.write("portreeve.toml", "mode = \"strict\"\n"+plain)
	if err := h.fails(); !strings.HasPrefix(err.Error(), "the configuration has a problem; mend it and try again:\n") {
		t.Errorf("one problem: %v", err)
	}
	h.write("portreeve.toml", "mode = \n")
	if err := h.fails(); !strings.Contains(err.Error(), "portreeve.toml:1: ") {
		t.Errorf("no TOML: %v", err)
	}
	if err := os.Remove(h.path("portreeve.toml")); err != nil {
		t.Fatal(err)
	}
	if err := h.fails(); !strings.Contains(err.Error(), "portreeve.toml: does not exist") {
		t.Errorf("no file: %v", err)
	}
}

// A second daemon on the same store opens nothing, and the first goes on.
func TestStoreInUse(t *testing.T) {
	h := start(t, plain)
	second := prepare(t, strings.Replace(plain, `"portreeve.db"`, `"`+h.path("portreeve.db")+`"`, 1))
	err := second.fails()
	if want := "another portreeve uses this store"; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	second.absent("policy.sock", "milter.sock", "admin.sock")
	if got := h.ask(envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@domena.eu"}); got != "DUNNO" {
		t.Errorf("the first daemon answers %q", got)
	}
}

// A socket that somebody else listens on, and a file that is no socket, stay
// as they are; what had been opened before is closed and unlinked.
func TestSocketInTheWay(t *testing.T) {
	h := prepare(t, plain)
	theirs := must[net.Listener](t)(net.Listen("unix", h.path("milter.sock")))
	err := h.fails()
	if !strings.HasPrefix(err.Error(), "opening listen.milter: another process listens on unix:"+h.path("milter.sock")) {
		t.Errorf("got %v", err)
	}
	h.absent("policy.sock", "admin.sock")
	h.open("milter.sock") // it still answers
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}

	h.write("milter.sock", "not a socket")
	if err := h.fails(); !strings.Contains(err.Error(), "is in the way of a socket and is none") {
		t.Errorf("got %v", err)
	}
	if body := must[[]byte](t)(os.ReadFile(h.path("milter.sock"))); string(body) != "not a socket" {
		t.Errorf("the file became %q", body)
	}
	h.absent("policy.sock", "admin.sock")

	if err := os.Remove(h.path("milter.sock")); err != nil {
		t.Fatal(err)
	}
	h.run() // the store was left unlocked each time
}

// A port that is taken, too, after the unix sockets are open.
func TestPortInTheWay(t *testing.T) {
	theirs := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer theirs.Close()
	h := prepare(t, strings.Replace(plain, `web = "inet:127.0.0.1:0"`, `web = "inet:`+theirs.Addr().String()+`"`, 1))
	if err := h.fails(); !strings.HasPrefix(err.Error(), "opening listen.web: another process listens on inet:127.0.0.1:") {
		t.Errorf("got %v", err)
	}
	h.absent("policy.sock", "milter.sock", "admin.sock")
}

// A listener that fails ends the daemon with an error, not silently.
func TestListenerFails(t *testing.T) {
	h := prepare(t, plain)
	d, c, err := open(t.Context(), h.options())
	if err != nil {
		t.Fatal(err)
	}
	sockets, _, err := openListeners(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.serve(t.Context(), c, sockets, func() { sockets[0].ln.Close() }) }()
	if err := <-ended; err == nil || !strings.HasPrefix(err.Error(), "listen.policy: serve policy on ") {
		t.Errorf("got %v", err)
	}
	if err := d.db.Close(); err != nil {
		t.Error(err)
	}
	h.absent("policy.sock", "milter.sock", "admin.sock")
}

// A file that is no database is moved aside and said; the daemon starts.
func TestDamagedStore(t *testing.T) {
	h := prepare(t, plain)
	h.write("portreeve.db", "once upon a time")
	h.run()
	if want := `level=ERROR msg="store was damaged, moved aside, started an empty one"`; !strings.Contains(h.log.String(), want) {
		t.Errorf("the log has no %s:\n%s", want, h.log.String())
	}
	if s := h.status(); !s.Store.Up {
		t.Errorf("the new store: %+v", s.Store)
	}
}

func TestWarnings(t *testing.T) {
	at := listen.Address{Network: "unix", Addr: "/x.sock"}
	whole := func() *config.Config {
		c := config.Default()
		c.Listen.Auth = at
		return c
	}
	for name, tt := range map[string]struct {
		change func(*config.Config)
		want   []string // the beginnings
	}{
		"nothing is missing": {func(*config.Config) {}, nil},
		"no auth policy": {
			func(c *config.Config) { c.Listen.Auth = listen.Address{} },
			[]string{"nobody tells of failed logins"},
		},
		"a log follower instead":   {func(c *config.Config) { c.Listen.Auth, c.Maillog.Files = listen.Address{}, []string{"journal"} }, nil},
		"the SASL relay instead":   {func(c *config.Config) { c.Listen.Auth, c.Listen.SASL = listen.Address{}, at }, nil},
		"SMTP after POP with both": {func(c *config.Config) { c.SMTPAfterPOP.Enabled = true }, nil},
		"SMTP after POP without a witness": {
			func(c *config.Config) { c.Listen.Auth, c.SMTPAfterPOP.Enabled = listen.Address{}, true },
			[]string{"nobody tells of failed logins", "nobody tells of POP logins"},
		},
		"SMTP after POP with the SASL relay, which sees no POP": {
			func(c *config.Config) {
				c.Listen.Auth, c.Listen.SASL, c.SMTPAfterPOP.Enabled = listen.Address{}, at, true
			},
			[]string{"nobody tells of POP logins"},
		},
		"SMTP after POP without the policy service": {
			func(c *config.Config) { c.Listen.Policy, c.SMTPAfterPOP.Enabled = listen.Address{}, true },
			[]string{"nobody asks about relaying"},
		},
		"no milter": {
			func(c *config.Config) { c.Listen.Milter = listen.Address{} },
			[]string{"nobody shows message headers"},
		},
		"no milter and no rule for it": {func(c *config.Config) { c.Listen.Milter, c.Relay.RefuseForwarded = listen.Address{}, false }, nil},
		"observing":                    {func(c *config.Config) { c.Mode = config.ModeObserve }, []string{"mode is observe"}},
	} {
		c := whole()
		tt.change(c)
		got := warnings(c)
		if len(got) != len(tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
			continue
		}
		for i, w := range got {
			if !strings.HasPrefix(w, tt.want[i]) {
				t.Errorf("%s: %q, want %q", name, w, tt.want[i])
			}
		}
	}
}

// What status warns of has been logged at the start.
func TestWarningsAreLogged(t *testing.T) {
	h := start(t, "[listen]\npolicy = \"unix:policy.sock\"\nmilter = \"\"\nadmin = \"unix:admin.sock\"\n[directory]\nfile = \"accounts.toml\"\n[store]\npath = \"portreeve.db\"\n")
	s := h.status()
	if len(s.Warnings) != 2 {
		t.Errorf("warnings %q", s.Warnings)
	}
	for _, w := range s.Warnings {
		if !strings.Contains(h.log.String(), "level=WARN msg=\""+w) {
			t.Errorf("not in the log: %s", w)
		}
	}
	if _, ok := s.Listeners["milter"]; ok || len(s.Listeners) != 2 {
		t.Errorf("listeners %v", s.Listeners)
	}
}

// The log's level may change while it is in use; both formats escape.
func TestLog(t *testing.T) {
	for format, want := range map[config.LogFormat]string{
		config.LogText: `msg=refused sender="a\nb"`, config.LogJSON: `"msg":"refused","sender":"a\nb"`,
	} {
		var out lines
		var level slog.LevelVar
		w := newLogWriter(&out)
		log := newLog(w, format, &level)
		log.Info("refused", "sender", "a\nb")
		level.Set(slog.LevelError)
		log.Info("too much")
		w.flush()
		if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, want) {
			t.Errorf("%s: %q", format, got)
		}
	}
}

// A daemon with an unreachable admin socket is a daemon that is not running.
func TestNobodyRuns(t *testing.T) {
	h := prepare(t, plain)
	_, err := h.admin.Unblock(t.Context(), admin.UnblockRequest{Addresses: []string{"192.0.2.1"}})
	if err == nil || !strings.HasSuffix(err.Error(), "start it with `portreeve serve`, or name its configuration with --config") {
		t.Errorf("got %v", err)
	}
}
