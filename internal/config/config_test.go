package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portreeve/internal/listen"
	"portreeve/rules"
)

// load writes the text to a file, which may use a token file beside it.
func load(t *testing.T, text string) *Config {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "portreeve.toml")
	for name, content := range map[string]string{"portreeve.toml": text, "token": " s3cret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, problems := Load(path)
	for _, p := range problems {
		t.Error(p)
	}
	if c == nil {
		t.FailNow()
	}
	return c
}

// TestSpecExample: the example of SPEC.md section 4 shows every key with its
// default, so it must load and mean the same as an empty file.
func TestSpecExample(t *testing.T) {
	c, problems := Load("testdata/spec.toml")
	if len(problems) > 0 {
		t.Fatalf("%d problems, the first is %s", len(problems), problems[0])
	}
	empty := load(t, "")
	c.Path, empty.Path = "", ""
	if got, want := fmt.Sprintf("%+v", c), fmt.Sprintf("%+v", empty); got != want {
		t.Errorf("the example of SPEC.md differs from the defaults:\n%s\n%s", got, want)
	}
}

func TestLoadAbsent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent.toml")
	c, problems := Load(path)
	if c != nil || len(problems) != 1 || problems[0].String() != path+": does not exist: create it, or name another file" {
		t.Errorf("got %v, %v", c, problems)
	}
}

// TestPartial: with a problem elsewhere, what could be read is there for check.
func TestPartial(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portreeve.toml")
	if err := os.WriteFile(path, []byte("mode = \"on\"\n[directory]\nfile = \"a.toml\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, problems := Load(path)
	if len(problems) != 1 || c == nil || c.Directory.File != filepath.Join(filepath.Dir(path), "a.toml") {
		t.Errorf("got %+v, %v", c, problems)
	}
}

func TestRelativePaths(t *testing.T) {
	c := load(t, `
[listen]
policy = "unix:run/policy.sock"
admin = "unix:/run/portreeve/admin.sock"
auth = "inet:127.0.0.1:9192"
[directory]
file = "accounts.toml"
[auth_policy]
token_file = "token"
[store]
path = "../portreeve.db"
`)
	dir := filepath.Dir(c.Path)
	for what, pair := range map[string][2]string{
		"socket":          {c.Listen.Policy.Addr, dir + "/run/policy.sock"},
		"absolute socket": {c.Listen.Admin.Addr, "/run/portreeve/admin.sock"},
		"accounts":        {c.Directory.File, dir + "/accounts.toml"},
		"token":           {c.AuthPolicy.TokenFile, dir + "/token"},
		"store":           {c.Store.Path, filepath.Dir(dir) + "/portreeve.db"},
		"unset":           {c.Web.TokenFile, ""},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %q, want %q", what, pair[0], pair[1])
		}
	}
	if string(c.AuthPolicy.Token) != "s3cret" {
		t.Errorf("token is %q, want it without the white space around it", string(c.AuthPolicy.Token))
	}
}

// TestSecretIsHidden: a configuration may be logged or shown whole.
func TestSecretIsHidden(t *testing.T) {
	c := &Config{AuthPolicy: AuthPolicy{Token: "s3cret"}, Web: Web{Token: "s3cret"}}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%v %+v %#v %s %q", c, c, c, c.Web.Token, c.Web.Token)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("configuration", "token", c.Web.Token, "all", c)
	if err := json.NewEncoder(&b).Encode(c); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "s3cret") || !strings.Contains(b.String(), stars) {
		t.Errorf("the secret shows: %s", b.String())
	}
}

func TestParseNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.0/24":            "192.0.2.0/24",
		"192.0.2.1":               "192.0.2.1/32",
		"2001:db8::1":             "2001:db8::1/128",
		"2001:db8::/32":           "2001:db8::/32",
		"::ffff:192.0.2.1":        "192.0.2.1/32",
		"::ffff:192.0.2.0/120":    "192.0.2.0/24",
		"::ffff:0:0/96":           "0.0.0.0/0",
		"::/0":                    "::/0",
		"::ffff:192.0.2.1/120":    "",
		"::ffff:0.0.0.0/95":       "",
		"192.0.2.1/24":            "",
		"192.0.2.0/33":            "",
		"192.0.2":                 "",
		"fe80::1%lo":              "",
		"":                        "",
		"192.0.2.0/255.255.255.0": "",
	} {
		got, err := parseNetwork(in)
		if want == "" && err == nil || want != "" && got.String() != want {
			t.Errorf("parseNetwork(%q) = %s, %v; want %q", in, got, err, want)
		}
	}
}

func TestPolicy(t *testing.T) {
	p := load(t, `
mode = "observe"
observe = ["relay"]
[listen]
auth = "inet:127.0.0.1:9192"
[auth_policy]
token_file = "token"
hints = false
[ports]
submission = [465]
mixed = [25, 2525]
[networks]
trusted = ["192.0.2.1"]
webmail = ["192.0.2.2"]
shared = ["192.0.2.3"]
[login]
default_domain = "Žluťoučký.cz"
[directory]
on_failure = "accept"
[sender]
match = "address"
null_sender = "refuse"
[auth_failures]
limit = 3
window = "10m"
ipv4_prefix = 24
ipv6_prefix = 56
protocols = ["smtp-25"]
[smtp_after_pop]
enabled = true
validity = "30m"
protocols = ["pop3", "imap"]
max_accounts = 2
[relay]
refuse_forwarded = false
local_domains = ["Example.COM."]
[replies]
relay = { text = "{id} no" }
sender = { code = 450, enhanced = "4.1.8" }
`).Policy()

	if !p.ObserveAll || !p.Observe[rules.RuleRelay] || p.Observe[rules.RuleSender] {
		t.Errorf("observe: %v, %v", p.ObserveAll, p.Observe)
	}
	if p.Hints || p.OnFailure != rules.FailAccept || !p.IsMixed(2525) || p.IsMixed(465) {
		t.Errorf("hints, on_failure or ports: %+v", p)
	}
	addr := netip.MustParseAddr
	if !p.IsTrusted(addr("192.0.2.1")) || !p.IsWebmail(addr("192.0.2.2")) || !p.IsShared(addr("192.0.2.3")) || p.IsTrusted(addr("127.0.0.1")) {
		t.Errorf("networks: %v %v %v", p.Trusted, p.Webmail, p.Shared)
	}
	if got, want := p.Logins.DefaultDomain, "xn--luouk-uva4it5a4g.cz"; got != want {
		t.Errorf("default domain is %q, want %q", got, want)
	}
	want := rules.Throttle{Limit: 3, Window: 10 * time.Minute, IPv4Prefix: 24, IPv6Prefix: 56, Services: []string{"smtp-25"}}
	if fmt.Sprint(p.Throttle) != fmt.Sprint(want) {
		t.Errorf("throttle: %+v, want %+v", p.Throttle, want)
	}
	if !p.Sender.ByAddress || p.Sender.Null != rules.NullRefuse {
		t.Errorf("sender: %+v", p.Sender)
	}
	if pop := p.POP; !pop.Enabled || pop.Validity != 30*time.Minute || len(pop.Services) != 2 || pop.MaxAccounts != 2 {
		t.Errorf("POP: %+v", pop)
	}
	if p.Relay.RefuseForwarded || !p.Relay.LocalDomains["example.com"] {
		t.Errorf("relay: %+v", p.Relay)
	}
	for rule, text := range map[rules.Rule]rules.ReplyText{
		rules.RuleRelay:  {Code: 550, Enhanced: "5.1.0", Text: "{id} no"},
		rules.RuleSender: {Code: 450, Enhanced: "4.1.8", Text: "<{sender}> sender rejected"},
		rules.RuleQuota:  rules.DefaultReplies()[rules.RuleQuota],
	} {
		if p.Replies[rule] != text {
			t.Errorf("reply of %s: %+v, want %+v", rule, p.Replies[rule], text)
		}
	}
	for _, null := range []NullSender{NullHeader, NullAllow, NullRefuse} {
		if _, ok := nullSenders[null]; !ok {
			t.Errorf("null_sender %q has no meaning", null)
		}
	}
}

// TestAtHelo is the default of refuse_at (rule 2).
func TestAtHelo(t *testing.T) {
	auth := "auth = \"inet:127.0.0.1:9192\"\n"
	token := "[auth_policy]\ntoken_file = \"token\"\n"
	for name, tt := range map[string]struct {
		text string
		want bool
	}{
		"milter alone":              {"", true},
		"with the auth policy":      {"[listen]\n" + auth + token, false},
		"no milter":                 {"[listen]\nmilter = \"\"\n", false},
		"mail is asked for":         {"[auth_failures]\nrefuse_at = \"mail\"\n", false},
		"helo is asked for, anyway": {"[listen]\n" + auth + token + "[auth_failures]\nrefuse_at = \"helo\"\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := load(t, tt.text).Policy().Throttle.AtHelo; got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRestartNeeded(t *testing.T) {
	old := Default()
	now := Default()
	now.Listen.Allow = []netip.Prefix{} // written as an empty list, which changes nothing
	now.AuthFailures.Limit = 5
	if keys := RestartNeeded(old, now); keys != nil {
		t.Errorf("restart for %v", keys)
	}
	now.Listen.Milter = listen.Address{}
	now.Listen.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	now.Store.MaxClients = 5
	now.Store.Valkey.Timeout = time.Second
	now.Store.Valkey.Password = "another"
	want := []string{"listen.milter", "listen.allow", "store.max_clients", "store.valkey.timeout", "store.valkey.password_file"}
	if got := RestartNeeded(old, now); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
