package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"portreeve/internal/tomlfile"
	"portreeve/rules"
)

// maxDelay is what Dovecot may be told to wait. Postfix gives the whole AUTH
// 10 s (FACTS.md 2.7).
const maxDelay = 5 * time.Second

// checker looks for what is wrong with values that could be read: out of range,
// or contradicting one another.
type checker struct {
	c        *Config
	doc      *tomlfile.Document
	problems []tomlfile.Problem
	broken   map[string]bool // keys whose value could not be read
}

func newChecker(c *Config, doc *tomlfile.Document, problems []tomlfile.Problem) *checker {
	k := &checker{c: c, doc: doc, problems: problems, broken: map[string]bool{}}
	for _, p := range problems {
		k.broken[p.Key] = true
	}
	return k
}

// all runs every check.
func (k *checker) all() {
	k.listeners()
	k.ports()
	k.ranges()
	k.domains()
	k.features()
	k.directory()
	k.valkey()
	k.secrets()
	k.replies()
}

// add reports a problem of a dotted key; what goes on after its name.
func (k *checker) add(key, what, remedy string, index ...int) {
	at := strings.Split(key, ".")
	for _, i := range index {
		at = append(at, tomlfile.Index(i))
	}
	if what = strings.TrimSpace(what); what != "" {
		what = " " + what
	}
	k.problems = append(k.problems, k.doc.Problem(tomlfile.Path(at).String()+what, remedy, at...))
}

// unreadable tells whether the key, or the table around it, has a problem of
// its own already, so that its default says nothing about what was meant.
func (k *checker) unreadable(key string) bool {
	table, _, _ := strings.Cut(key, ".")
	return k.broken[key] || k.broken[table]
}

func (k *checker) ports() {
	p := k.c.Ports
	for key, list := range map[string][]uint16{"ports.submission": p.Submission, "ports.mixed": p.Mixed} {
		for i, port := range list {
			if port == 0 && !k.broken[fmt.Sprintf("%s[%d]", key, i)] {
				k.add(key, "= 0 is no port", "write a port from 1 to 65535", i)
			}
		}
	}
	for i, port := range p.Mixed {
		if port != 0 && slices.Contains(p.Submission, port) {
			k.add("ports.mixed", fmt.Sprintf("= %d is in ports.submission, too", port),
				"leave it in one of them: submission if every client must be authenticated there", i)
		}
	}
}

// ranges checks numbers and durations, each by itself.
func (k *checker) ranges() {
	c := k.c
	const perHour = "write a number from 0; 0 is no limit"
	k.atLeast("auth_failures.limit", c.AuthFailures.Limit, 1, "write a number from 1; the first failures up to it are not refused")
	k.atLeast("login_failures.limit", c.LoginFailures.Limit, 0, "write a number from 0; 0 turns it off")
	k.atLeast("smtp_after_pop.max_accounts", c.SMTPAfterPOP.MaxAccounts, 1, "write a number from 1, or enabled = false to turn SMTP after POP off")
	k.atLeast("quota.messages_per_hour", c.Quota.MessagesPerHour, 0, perHour)
	k.atLeast("quota.recipients_per_hour", c.Quota.RecipientsPerHour, 0, perHour)
	k.atLeast("store.max_clients", c.Store.MaxClients, 1, "write a number from 1; a million addresses is the default")
	k.prefix("auth_failures.ipv4_prefix", c.AuthFailures.IPv4Prefix, 32)
	k.prefix("auth_failures.ipv6_prefix", c.AuthFailures.IPv6Prefix, 128)

	k.positive("auth_failures.window", c.AuthFailures.Window, "1h")
	k.positive("login_failures.window", c.LoginFailures.Window, "1h")
	k.positive("smtp_after_pop.validity", c.SMTPAfterPOP.Validity, "1h")
	k.positive("store.valkey.timeout", c.Store.Valkey.Timeout, "200ms")
	k.positive("journal.keep", c.Journal.Keep, "720h")
	if c.Journal.MaxSize <= 0 {
		k.add("journal.max_size", "is not above zero", `write a size such as "2GiB"`)
	}
	if c.Directory.CacheTTL < 0 {
		k.add("directory.cache_ttl", fmt.Sprintf("= %q is negative", c.Directory.CacheTTL), `write a duration such as "60s", or "0s" for no cache`)
	}
	switch d := c.LoginFailures.Delay; {
	case d < time.Second:
		k.add("login_failures.delay", fmt.Sprintf("= %q is below a second", d), `write a duration from "1s" to "5s", or limit = 0 to turn the rule off`)
	case d%time.Second != 0:
		k.add("login_failures.delay", fmt.Sprintf("= %q is not in whole seconds, which Dovecot counts in", d), `write a duration such as "3s"`)
	case d > maxDelay:
		k.add("login_failures.delay", fmt.Sprintf("= %q is too long, since Postfix waits 10 s for Dovecot", d), `write a duration up to "5s"`)
	}
}

func (k *checker) atLeast(key string, n, least int, remedy string) {
	if n < least {
		k.add(key, fmt.Sprintf("= %d is below %d", n, least), remedy)
	}
}

func (k *checker) prefix(key string, bits, most int) {
	if bits < 1 || bits > most {
		k.add(key, fmt.Sprintf("= %d is no prefix length", bits), fmt.Sprintf("write a number from 1 to %d", most))
	}
}

func (k *checker) positive(key string, d time.Duration, example string) {
	if d <= 0 {
		k.add(key, fmt.Sprintf("= %q is not above zero", d), fmt.Sprintf("write a duration such as %q", example))
	}
}

// domains checks domains and puts their canonical form in place.
func (k *checker) domains() {
	const remedy = `write a plain domain, such as "example.com"`
	if d := &k.c.Login.DefaultDomain; *d != "" {
		if a, err := rules.CanonicalDomain(*d); err != nil {
			k.add("login.default_domain", fmt.Sprintf("= %q is not a domain", *d), remedy)
		} else {
			*d = a
		}
	}
	for i, d := range k.c.Relay.LocalDomains {
		if k.broken[fmt.Sprintf("relay.local_domains[%d]", i)] {
			continue
		}
		a, err := rules.CanonicalDomain(d)
		if err != nil {
			k.add("relay.local_domains", fmt.Sprintf("= %q is not a domain", d), remedy, i)
			continue
		}
		k.c.Relay.LocalDomains[i] = a
	}
}

// features checks what one part needs of another.
func (k *checker) features() {
	c := k.c
	if c.Store.Path == "" {
		k.add("store.path", "is empty", "name the database file; it is made if it does not exist")
	}
	k.services("auth_failures.protocols", c.AuthFailures.Protocols)
	k.maillogs(c.Maillog.Files)
	if pop := c.SMTPAfterPOP; pop.Enabled {
		if len(c.Maillog.Files) == 0 && k.empty("listen.auth", c.Listen.Auth.Addr) && !k.unreadable("maillog.files") {
			k.add("smtp_after_pop.enabled", "= true, but nothing would tell of POP logins",
				"set listen.auth and point Dovecot's auth_policy_server_url to it, or name the mail log in maillog.files")
		}
		if len(pop.Protocols) == 0 {
			k.add("smtp_after_pop.protocols", "is empty, so no login would count", `write ["pop3"] or ["pop3", "imap"]`)
		}
	}
	for i, p := range c.SMTPAfterPOP.Protocols {
		if p != "pop3" && p != "imap" && !k.broken[fmt.Sprintf("smtp_after_pop.protocols[%d]", i)] {
			k.add("smtp_after_pop.protocols", fmt.Sprintf("= %q is not a protocol for collecting mail", p), `write "pop3" or "imap"`, i)
		}
	}
}

// maillogs checks the names of the mail logs. Whether they can be read is seen
// when they are opened: one that is missing is waited for.
func (k *checker) maillogs(files []string) {
	for i, file := range files {
		switch {
		case k.broken[fmt.Sprintf("maillog.files[%d]", i)]:
		case file == "":
			k.add("maillog.files", `= "" is no file`, `name the mail log, or write "journal" for systemd's`, i)
		case slices.Contains(files[:i], file):
			k.add("maillog.files", fmt.Sprintf("= %q is named twice, so each failure would count twice", file), "name it once", i)
		}
	}
}

// services checks Dovecot's names of services. They are free (Postfix's
// smtpd_sasl_service sets them), so only what can never match is wrong.
func (k *checker) services(key string, names []string) {
	for i, name := range names {
		if (name == "" || strings.ContainsAny(name, " \t\r\n")) && !k.broken[fmt.Sprintf("%s[%d]", key, i)] {
			k.add(key, fmt.Sprintf("= %q is no name of a service", name), `write one such as "smtp" or "submission"`, i)
		}
	}
}

// secrets reads the files that hold them.
func (k *checker) secrets() {
	c := k.c
	if k.empty("auth_policy.token_file", c.AuthPolicy.TokenFile) && c.Listen.Auth.Addr != "" {
		k.add("listen.auth", "needs auth_policy.token_file, or anyone who reaches it could block any address",
			"write a random word to a file, and name that file in auth_policy.token_file")
	}
	k.secret("auth_policy.token_file", c.AuthPolicy.TokenFile, &c.AuthPolicy.Token)
	k.secret("web.token_file", c.Web.TokenFile, &c.Web.Token)
}

// secret reads one such file: a single line.
func (k *checker) secret(key, path string, into *Secret) {
	if path == "" {
		return
	}
	text, err := readSmall(path)
	if err != nil {
		k.add(key, fmt.Sprintf("= %q cannot be read (%s)", path, tomlfile.Cause(err)), "correct the path, or let Portreeve's user read it")
		return
	}
	token := strings.TrimSpace(string(text))
	switch {
	case token == "":
		k.add(key, fmt.Sprintf("= %q is an empty file", path), "write a long random word to it")
	case !printableASCII(token) || strings.Contains(token, " "):
		k.add(key, fmt.Sprintf("= %q holds more than one word of printable ASCII", path), "leave one long random word in it")
	default:
		*into = Secret(token)
	}
}

// maxSecret is more than any token or password needs, in bytes.
const maxSecret = 64 << 10

// readSmall reads a regular file of moderate size: a named pipe would hold the
// reload up, a mistaken path could be a disk.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	case info.Size() > maxSecret:
		return nil, fmt.Errorf("it is larger than %d bytes", maxSecret)
	}
	return os.ReadFile(path)
}

func printableASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
