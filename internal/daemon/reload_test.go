package daemon

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"portreeve/internal/admin"
)

// hangUp sends SIGHUP and waits until the reload is done.
func (h *host) hangUp() {
	h.t.Helper()
	select {
	case h.reload <- syscall.SIGHUP:
	case <-time.After(patience):
		h.t.Fatal("nobody takes the signal")
	}
	for _, want := range []bool{false, true} {
		select {
		case done := <-h.tells:
			if done != want {
				h.t.Fatalf("systemd is told done=%v, want %v", done, want)
			}
		case <-time.After(patience):
			h.t.Fatal("the reload does not end")
		}
	}
}

var newAlias = envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@nova.cz"}

const refusedAlias = "550 5.1.0 <jan@nova.cz> sender rejected"

func TestReloadTakesANewAlias(t *testing.T) {
	for name, reload := range map[string]func(*host){
		"by SIGHUP": (*host).hangUp,
		"by admin": func(h *host) {
			if r := h.reloaded(); len(r.Problems)+len(r.NeedsRestart) > 0 {
				t.Errorf("got %+v", r)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, plain)
			if got := h.ask(newAlias); got != refusedAlias {
				t.Fatalf("before: %q", got)
			}
			h.clock.forward(time.Minute)
			h.write("accounts.toml", strings.Replace(accounts, `"domena.eu"`, `"domena.eu", "nova.cz"`, 1))
			if got := h.ask(newAlias); got != refusedAlias {
				t.Errorf("the file is read before it is told to: %q", got)
			}
			reload(h)
			if got := h.ask(newAlias); got != "DUNNO" {
				t.Errorf("after: %q", got)
			}
			if s := h.status(); !s.Loaded.Equal(noon.Add(time.Minute)) || !s.Since.Equal(noon) {
				t.Errorf("since %v, loaded %v", s.Since, s.Loaded)
			}
		})
	}
}

// A file with problems changes nothing, and all of them are reported: to who
// asked, and in the log for who sent a signal.
func TestReloadOfABadFile(t *testing.T) {
	h := start(t, plain)
	h.clock.forward(time.Minute)
	h.write("portreeve.toml", "mode = \"strict\"\nobserve = [\"nothing\"]\n"+plain)
	h.write("accounts.toml", "[accounts]\n\"jan@nova.cz\" = {}\n")
	r := h.reloaded()
	if len(r.Problems) != 3 || len(r.NeedsRestart) != 0 {
		t.Fatalf("got %q", r.Problems)
	}
	for i, want := range []string{"portreeve.toml:1: mode", "portreeve.toml:2: observe[0]", "accounts.toml:2: "} {
		if !strings.Contains(r.Problems[i], want) {
			t.Errorf("problem %d is %q, want %q", i, r.Problems[i], want)
		}
	}
	if n := strings.Count(h.log.String(), "configuration not reloaded"); n != 3 {
		t.Errorf("%d problems in the log", n)
	}
	if got := h.ask(newAlias); got != refusedAlias {
		t.Errorf("the directory: %q", got)
	}
	if s := h.status(); s.Mode != "enforce" || !s.Loaded.Equal(noon) {
		t.Errorf("mode %s, loaded %v", s.Mode, s.Loaded)
	}
	for _, want := range []bool{false, true} { // systemd must not wait for ever
		if done := <-h.tells; done != want {
			t.Errorf("systemd is told done=%v, want %v", done, want)
		}
	}

	if err := os.Remove(h.path("portreeve.toml")); err != nil {
		t.Fatal(err)
	}
	if r := h.reloaded(); len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "does not exist") {
		t.Errorf("without a file: %q", r.Problems)
	}
	<-h.tells
	<-h.tells
	h.write("portreeve.toml", plain)
	h.write("accounts.toml", accounts)
	h.hangUp()
	if !strings.Contains(h.log.String(), `msg="configuration reloaded"`) {
		t.Errorf("the mended file is not taken:\n%s", h.log.String())
	}
}

// What cannot change is said and stays as it was; what depends on it follows
// what is open, not what the file says.
func TestReloadOfWhatNeedsARestart(t *testing.T) {
	h := start(t, plain)
	changed := plain
	for old, now := range map[string]string{
		`"unix:policy.sock"`: `"unix:elsewhere.sock"`, `"portreeve.db"`: `"elsewhere.db"`,
		`auth = "inet:127.0.0.1:0"`: ``, `token_file = "token"`: ``, `enabled = true`: `enabled = false`,
	} {
		changed = strings.Replace(changed, old, now, 1)
	}
	h.write("portreeve.toml", changed+"[log]\nformat = \"json\"\n")
	want := []string{"listen.policy", "listen.auth", "store.path", "log.format"}
	for range 2 { // it is said again as long as it is so
		if r := h.reloaded(); len(r.Problems) > 0 || !slices.Equal(r.NeedsRestart, want) {
			t.Fatalf("got %+v, want %q", r, want)
		}
	}
	s := h.status()
	if s.Listeners["policy"] != "unix:"+h.path("policy.sock") || s.Store.Path != h.path("portreeve.db") || len(s.Warnings) > 0 {
		t.Errorf("status %+v", s)
	}
	h.absent("elsewhere.sock", "elsewhere.db")

	// The auth policy goes on with the token that it had, and with it refuse_at = mail.
	h.block("192.0.2.9", "jan@domena.cz")
	p := h.connect("192.0.2.9", 587)
	if got := p.helo(); got != "" {
		t.Errorf("HELO is refused: %s", got)
	}
	if got := p.mail("jan@domena.cz"); !strings.Contains(got, "Connection refused from 192.0.2.9.") {
		t.Errorf("MAIL is answered %q", got)
	}
	p.abort()

	h.stop()
	h.write("portreeve.toml", strings.Replace(changed, "elsewhere.db", "portreeve.db", 1))
	h.run() // now without auth policy: blocked clients are refused at HELO
	if got := h.connect("192.0.2.9", 587).helo(); !strings.Contains(got, "Connection refused from 192.0.2.9.") {
		t.Errorf("after the restart HELO is answered %q", got)
	}
}

// A listener that the file now has, but that is not open, changes no rule.
func TestReloadOfAListenerThatIsNotOpen(t *testing.T) {
	h := start(t, strings.Replace(plain, `"unix:milter.sock"`, `""`, 1))
	h.write("portreeve.toml", plain)
	if r := h.reloaded(); !slices.Equal(r.NeedsRestart, []string{"listen.milter"}) {
		t.Errorf("got %+v", r)
	}
	if s := h.status(); len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0], "nobody shows message headers") {
		t.Errorf("warnings %q", s.Warnings)
	}
}

func TestReloadOfObserve(t *testing.T) {
	h := start(t, plain)
	foreign := envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@seznam.cz"}
	find := func() admin.ExplainAnswer { return h.explain(admin.ExplainRequest{Senders: []string{"jan@seznam.cz"}}) }
	for _, tt := range []struct{ first, mode, observe, answer string }{
		{`mode = "observe"`, "observe", "", "DUNNO"},
		{`observe = ["sender", "relay"]`, "enforce", "sender relay", "DUNNO"},
		{`observe = ["relay"]`, "enforce", "relay", "550 5.1.0 <jan@seznam.cz> sender rejected"},
		{``, "enforce", "", "550 5.1.0 <jan@seznam.cz> sender rejected"},
	} {
		h.clock.forward(2 * time.Minute) // so that no earlier entry is shared
		h.write("portreeve.toml", tt.first+"\n"+plain)
		h.hangUp()
		s := h.status()
		if s.Mode != tt.mode || strings.Join(s.Observe, " ") != tt.observe {
			t.Errorf("%s: status says %s %q", tt.first, s.Mode, s.Observe)
		}
		if got := h.ask(foreign); got != tt.answer {
			t.Errorf("%s: %q", tt.first, got)
		}
		if x := find().Found[0]; x.Observed != (tt.answer == "DUNNO") || !x.Time.Equal(h.clock.now()) {
			t.Errorf("%s: the journal says observed=%v at %v", tt.first, x.Observed, x.Time)
		}
	}
	if c := h.status().Counts; c.Observed != 2 || c.Refused != 2 {
		t.Errorf("counts %+v", c)
	}
}

// A new token is in force at once, and the old one no more.
func TestReloadOfTheToken(t *testing.T) {
	h := start(t, plain)
	body := map[string]any{"login": "jan@domena.cz", "protocol": "submission", "remote": "192.0.2.9"}
	try := func(want map[string]int) {
		t.Helper()
		for token, status := range want {
			if got, answer := h.dovecot("allow", token, body); got != status {
				t.Errorf("the token %q is answered %d %s", token, got, answer)
			}
		}
	}
	try(map[string]int{"secret": http.StatusOK, "another": http.StatusForbidden, "": http.StatusForbidden})
	h.write("token", "another\n")
	h.hangUp()
	try(map[string]int{"secret": http.StatusForbidden, "another": http.StatusOK, "": http.StatusForbidden})
	h.write("token", "\n")
	if r := h.reloaded(); len(r.Problems) != 1 {
		t.Errorf("an empty token: %+v", r)
	}
	try(map[string]int{"another": http.StatusOK, "": http.StatusForbidden})
	if strings.Contains(h.log.String(), "another") {
		t.Error("the log has the token")
	}
}

func TestReloadOfTheLogLevel(t *testing.T) {
	h := prepare(t, plain+"[log]\nlevel = \"error\"\n")
	d, c, err := open(t.Context(), h.options())
	if err != nil {
		t.Fatal(err)
	}
	if got := d.level.Level(); got != slog.LevelError || c.Log.Level != got {
		t.Errorf("at the start %v", got)
	}
	h.write("portreeve.toml", plain+"[log]\nlevel = \"debug\"\n")
	if r := d.reload(); len(r.Problems)+len(r.NeedsRestart) > 0 || d.level.Level() != slog.LevelDebug {
		t.Errorf("after the reload %v, %+v", d.level.Level(), r)
	}
	if err := d.db.Close(); err != nil {
		t.Error(err)
	}
}

// Under a stream of decisions each follows one configuration as a whole. Both
// refuse what only the other one's directory has, in words of their own: the
// words of one with the directory of the other would be half a configuration.
func TestReloadUnderLoad(t *testing.T) {
	files := func(h *host, name string) {
		h.write("portreeve.toml", plain+fmt.Sprintf("[replies]\nsender = { code = 550, enhanced = \"5.1.0\", text = \"<{sender}> is not of %s\" }\n", name))
		h.write("accounts.toml", fmt.Sprintf("[domains]\n\"domena.cz\" = { aliases = [%q] }\n[accounts]\n\"jan@domena.cz\" = {}\n", name+".cz"))
	}
	h := prepare(t, "")
	files(h, "a")
	h.run()
	ctx, stop := context.WithCancel(t.Context())
	var askers sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		other := map[string]string{"a": "b", "b": "a"}[name]
		possible := regexp.MustCompile(`^(DUNNO|550 5\.1\.0 <jan@` + name + `\.cz> is not of ` + other + `)$`)
		c := h.open("policy.sock")
		askers.Go(func() {
			seen := map[string]int{}
			r := bufio.NewReader(c)
			request := envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@" + name + ".cz"}.String()
			for ctx.Err() == nil || len(seen) < 2 {
				if _, err := fmt.Fprint(c, request); err != nil {
					t.Error(err)
					return
				}
				line, err := r.ReadString('\n')
				if _, err2 := r.ReadString('\n'); err != nil || err2 != nil {
					t.Error(err, err2)
					return
				}
				answer := strings.TrimSuffix(strings.TrimPrefix(line, "action="), "\n")
				if seen[answer]++; !possible.MatchString(answer) {
					t.Errorf("jan@%s.cz is answered %q", name, answer)
					return
				}
			}
		})
	}
	for i := range 30 {
		files(h, []string{"b", "a"}[i%2])
		if r := h.reloaded(); len(r.Problems)+len(r.NeedsRestart) > 0 {
			t.Errorf("reload %d: %+v", i, r)
		}
	}
	stop()
	askers.Wait()
}

// Reloads that come together are done one after the other.
func TestReloadsDoNotOverlap(t *testing.T) {
	h := start(t, plain)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			if _, err := h.admin.Reload(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	for i := range 16 {
		if done := <-h.tells; done != (i%2 == 1) {
			t.Fatalf("notice %d is done=%v", i, done)
		}
	}
}
