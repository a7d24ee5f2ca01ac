package hostcheck

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"portreeve/directory"
	"portreeve/internal/admin"
	"portreeve/internal/config"
	"portreeve/internal/hostcheck/dovecot"
	"portreeve/internal/hostcheck/postfix"
	"portreeve/internal/listen"
	"portreeve/rules"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is a recorded host that a test breaks in one place.
type world struct {
	*testing.T
	*Host
	files   map[string]string
	tables  map[string]string // what postmap -s says
	dialErr map[string]error
}

// hostOf is one of testdata/hosts, as it was recorded: all is well there.
func hostOf(t *testing.T, name string) *world {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/hosts/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, files: map[string]string{}, tables: map[string]string{}, dialErr: map[string]error{}}
	for _, f := range archive.Files {
		w.files[f.Name] = string(f.Data)
	}
	c := config.Default()
	c.Path = "/etc/portreeve/portreeve.toml"
	c.Listen.Auth = listen.Address{Network: "tcp", Addr: "127.0.0.1:9192"}
	c.AuthPolicy.Token, c.AuthPolicy.TokenFile = "of-the-recorded-hosts", filepath.Join(t.TempDir(), "token")
	c.Relay.LocalDomains = []string{"mx.test"}
	if strings.HasSuffix(name, "policy-only") {
		c.Listen.Milter = listen.Address{}
	}
	w.write(c.AuthPolicy.TokenFile, "of-the-recorded-hosts\n", 0o600)
	w.Host = &Host{
		Config: c, Root: true, Now: noon, Run: w.run,
		Postfix: postfix.New("/etc/postfix", w.files["postconf-names"]+w.files["postconf-set"], w.files["postconf-services"]),
		Dial:    func(_, addr string) error { return w.dialErr[addr] },
		Who:     func(string) (Identity, error) { return Identity{Name: "postfix", UID: 100, Groups: []uint32{102}}, nil },
		Synced:  func() (bool, bool) { return true, true },
		Stat:    func(string) (time.Time, error) { return noon.Add(-time.Hour), nil },
		Status: &admin.Status{
			Config: c.Path, Since: noon.Add(-48 * time.Hour), Now: noon, Loaded: noon, Mode: "enforce", Store: admin.StoreStatus{Up: true, Path: "/var/lib/portreeve/portreeve.db"},
		},
	}
	w.Status.Counts.AuthReports = 7
	w.accounts("[domains]\n\"domena.cz\" = { aliases = [\"domena.eu\"] }\n\"firma.cz\" = {}\n")
	if w.Dovecot, err = dovecot.New(w.files["dovecot-version"], w.files["doveconf"]); err != nil {
		t.Fatal(err)
	}
	w.Dovecot.Settings["auth_policy_hash_nonce"] = "of-the-recorded-hosts"
	w.Dovecot.Path = filepath.Join(t.TempDir(), "dovecot.conf") // whose directory is looked through
	return w
}

func (w *world) write(path, text string, mode os.FileMode) {
	w.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		w.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		w.Fatal(err)
	}
}

func (w *world) accounts(text string) {
	w.Helper()
	w.Config.Directory.File = filepath.Join(w.TempDir(), "accounts.toml")
	w.write(w.Config.Directory.File, text, 0o600)
	file, problems := directory.OpenFile(w.Config.Directory.File, rules.Logins{})
	if len(problems) > 0 {
		w.Fatal(problems)
	}
	w.Directory = file
}

// run is postmap for the tables of the test.
func (w *world) run(_ context.Context, name string, args ...string) ([]byte, error) {
	if text, ok := w.tables[strings.Join(args, " ")]; ok && name == "postmap" {
		return []byte(text), nil
	}
	return nil, errors.New("open: permission denied")
}

// set gives main.cf a value.
func (w *world) set(name, value string) { w.Postfix.Main[name] = value }

// option gives a service a value with -o.
func (w *world) option(service, name, value string) {
	w.Helper()
	for _, s := range w.Postfix.Services {
		if s.Name == service {
			s.Options = append(s.Options, postfix.Option{Name: name, Value: value})
			return
		}
	}
	w.Fatalf("there is no service %s", service)
}

// master replaces a text in what postconf -M said.
func (w *world) master(old, now string) {
	w.Helper()
	text := w.files["postconf-services"]
	if old != "" && !strings.Contains(text, old) {
		w.Fatalf("postconf -M has no %q", old)
	}
	if old == "" {
		text += now + "\n"
	}
	main := w.Postfix.Main
	w.Postfix = postfix.New("/etc/postfix", "", strings.ReplaceAll(text, old, now))
	if old == "" {
		w.Postfix = postfix.New("/etc/postfix", "", text)
	}
	for name, value := range main {
		w.Postfix.Main[name] = value
	}
}

func (w *world) dovecotSet(name, value string) { w.Dovecot.Settings[name] = value }

func (w *world) talk(reports, failures int64, logins int) {
	w.Status.Talkers = admin.Talkers{Since: noon, Reports: 1000, Top: []admin.Talker{{Client: "192.0.2.7", Reports: reports, Failures: failures, Logins: logins}}}
}

// found lists the findings of one check: "problem: …" or "advice: …".
func (w *world) found(check string) []string {
	var list []string
	for _, f := range w.Check().Findings {
		if f.Check == check {
			list = append(list, string(f.Severity)+": "+f.String())
		}
	}
	return list
}

func networks(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, s := range texts {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

// page turns the help-desk page on.
func (w *world) page(token config.Secret, mode os.FileMode) {
	w.Helper()
	w.Config.Listen.Web = listen.Address{Network: "tcp", Addr: "127.0.0.1:9193"}
	w.Config.Web = config.Web{Token: token, TokenFile: filepath.Join(w.TempDir(), "web-token")}
	w.write(w.Config.Web.TokenFile, string(token)+"\n", mode)
}
