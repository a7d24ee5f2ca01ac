// Package config reads portreeve.toml (SPEC.md section 4; docs/ explains each
// key). It reports everything that is wrong at once, with line and remedy, and
// turns the file into the values that the rest of the program uses.
package config

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"portreeve/internal/listen"
	"portreeve/internal/tomlfile"
	"portreeve/rules"
)

// Config is the whole file, with defaults where it says nothing. Paths are
// absolute, domains are A-labels, networks are unmapped and masked.
type Config struct {
	Path string `toml:"-"` // the file, absolute

	Mode    Mode         `toml:"mode"`
	Observe []rules.Rule `toml:"observe"`

	Listen        Listen        `toml:"listen"`
	Ports         Ports         `toml:"ports"`
	Networks      Networks      `toml:"networks"`
	Login         Login         `toml:"login"`
	Directory     Directory     `toml:"directory"`
	Sender        Sender        `toml:"sender"`
	AuthFailures  AuthFailures  `toml:"auth_failures"`
	LoginFailures LoginFailures `toml:"login_failures"`
	AuthPolicy    AuthPolicy    `toml:"auth_policy"`
	Maillog       Maillog       `toml:"maillog"`
	SASL          SASL          `toml:"sasl"`
	SMTPAfterPOP  SMTPAfterPOP  `toml:"smtp_after_pop"`
	Relay         Relay         `toml:"relay"`
	Quota         Quota         `toml:"quota"`
	Store         Store         `toml:"store"`
	Journal       Journal       `toml:"journal"`
	Web           Web           `toml:"web"`
	Log           Log           `toml:"log"`
	Replies       rules.Replies `toml:"replies"` // of every rule
}

// Listen says where to listen; the zero Address is off.
type Listen struct {
	Policy listen.Address `toml:"policy"`
	Milter listen.Address `toml:"milter"`
	Auth   listen.Address `toml:"auth"`
	SASL   listen.Address `toml:"sasl"`
	Admin  listen.Address `toml:"admin"`
	Web    listen.Address `toml:"web"`
	Allow  []netip.Prefix `toml:"allow"` // who may reach inet listeners beyond loopback
}

// Ports says what is asked of clients on which server port.
type Ports struct {
	Submission []uint16 `toml:"submission"`
	Mixed      []uint16 `toml:"mixed"`
}

// Networks are the clients that are known by their address.
type Networks struct {
	Trusted []netip.Prefix `toml:"trusted"`
	Webmail []netip.Prefix `toml:"webmail"`
	Shared  []netip.Prefix `toml:"shared"`
}

// Login says how SASL logins are read.
type Login struct {
	DefaultDomain string `toml:"default_domain"` // A-labels, or empty
}

// Directory says who knows the accounts.
type Directory struct {
	Source    Source        `toml:"source"`
	File      string        `toml:"file"`
	CacheTTL  time.Duration `toml:"cache_ttl"`
	OnFailure OnFailure     `toml:"on_failure"`
	SQL       SQL           `toml:"sql"`
	LDAP      LDAP          `toml:"ldap"`
	Senders   SendersSource `toml:"senders"`
}

// SQL is [directory.sql]: a database and its questions (SPEC.md section 7).
type SQL struct {
	Driver      SQLDriver `toml:"driver"`
	DSNFile     string    `toml:"dsn_file"`
	DSN         Secret    `toml:"-"`      // the file's content
	Schema      SQLSchema `toml:"schema"` // fills in the queries that are empty
	Account     string    `toml:"account"`
	Domains     string    `toml:"domains"`
	Addresses   string    `toml:"addresses"`
	Senders     string    `toml:"senders"`
	LocalDomain string    `toml:"local_domain"`
}

// LDAP is [directory.ldap]: a server, and a filter and attributes for each
// question (SPEC.md section 7).
type LDAP struct {
	URL          string `toml:"url"`
	StartTLS     bool   `toml:"starttls"`
	CAFile       string `toml:"ca_file"` // empty: the system's authorities
	CA           string `toml:"-"`       // the file's content
	BindDN       string `toml:"bind_dn"`
	PasswordFile string `toml:"password_file"`
	Password     Secret `toml:"-"` // the file's content
	Base         string `toml:"base"`

	AccountFilter   string `toml:"account_filter"`
	DomainsFilter   string `toml:"domains_filter"`
	AddressesFilter string `toml:"addresses_filter"`
	SendersFilter   string `toml:"senders_filter"`
	LocalFilter     string `toml:"local_domain_filter"`

	SMTPAttribute       string `toml:"smtp_attribute"`
	ForwardAttribute    string `toml:"forward_attribute"`
	MessagesAttribute   string `toml:"messages_per_hour_attribute"`
	RecipientsAttribute string `toml:"recipients_per_hour_attribute"`
	DomainsAttribute    string `toml:"domains_attribute"`
	AddressesAttribute  string `toml:"addresses_attribute"`
	SendersAttribute    string `toml:"senders_attribute"`
}

// SendersSource is [directory.senders]: another database for the external
// senders alone, such as Roundcube's.
type SendersSource struct {
	Driver  SQLDriver     `toml:"driver"`
	DSNFile string        `toml:"dsn_file"`
	DSN     Secret        `toml:"-"`      // the file's content
	Schema  SendersSchema `toml:"schema"` // fills in the query if that is empty
	Query   string        `toml:"query"`
}

// Sender is rules 5 and 6.
type Sender struct {
	Match      Match      `toml:"match"`
	HeaderFrom HeaderFrom `toml:"header_from"`
	NullSender NullSender `toml:"null_sender"`
}

// AuthFailures is rule 2.
type AuthFailures struct {
	Limit        int           `toml:"limit"`
	Window       time.Duration `toml:"window"`
	IPv4Prefix   int           `toml:"ipv4_prefix"`
	IPv6Prefix   int           `toml:"ipv6_prefix"`
	SamePassword SamePassword  `toml:"same_password"`
	Protocols    []string      `toml:"protocols"`
	RefuseAt     RefuseAt      `toml:"refuse_at"`
}

// LoginFailures is rule 11; a limit of 0 turns it off.
type LoginFailures struct {
	Limit  int           `toml:"limit"`
	Window time.Duration `toml:"window"`
	Delay  time.Duration `toml:"delay"`
}

// AuthPolicy is what Dovecot's auth policy server needs.
type AuthPolicy struct {
	TokenFile string `toml:"token_file"`
	Token     Secret `toml:"-"` // the file's content
	Hints     bool   `toml:"hints"`
}

// Maillog names the logs to follow; "journal" is systemd's.
type Maillog struct {
	Files []string `toml:"files"`
}

// SASL is rule 12.
type SASL struct {
	Upstream listen.Address `toml:"upstream"`
}

// SMTPAfterPOP is rule 8.
type SMTPAfterPOP struct {
	Enabled     bool          `toml:"enabled"`
	Validity    time.Duration `toml:"validity"`
	Protocols   []string      `toml:"protocols"`
	MaxAccounts int           `toml:"max_accounts"`
}

// Relay is rule 7 and the domains of rule 3.
type Relay struct {
	RefuseForwarded bool     `toml:"refuse_forwarded"`
	LocalDomains    []string `toml:"local_domains"` // A-labels
}

// Quota is rule 9; 0 is no limit.
type Quota struct {
	MessagesPerHour   int `toml:"messages_per_hour"`
	RecipientsPerHour int `toml:"recipients_per_hour"`
}

// Store says where failures, grants and quotas are kept.
type Store struct {
	Kind       StoreKind `toml:"kind"`
	Path       string    `toml:"path"`
	MaxClients int       `toml:"max_clients"`
	Valkey     Valkey    `toml:"valkey"`
}

// Valkey is [store.valkey].
type Valkey struct {
	Addresses            []string      `toml:"addresses"`
	SentinelMaster       string        `toml:"sentinel_master"`
	Username             string        `toml:"username"`
	PasswordFile         string        `toml:"password_file"`
	Password             Secret        `toml:"-"` // the file's content
	SentinelPasswordFile string        `toml:"sentinel_password_file"`
	SentinelPassword     Secret        `toml:"-"` // the file's content
	TLS                  bool          `toml:"tls"`
	CAFile               string        `toml:"ca_file"` // empty: the system's authorities
	CA                   string        `toml:"-"`       // the file's content
	Timeout              time.Duration `toml:"timeout"`
}

// Journal bounds the journal; whichever comes first.
type Journal struct {
	Keep    time.Duration `toml:"keep"`
	MaxSize tomlfile.Size `toml:"max_size"` // bytes
}

// Web is the help-desk page; without a token file it is off.
type Web struct {
	TokenFile string `toml:"token_file"`
	Token     Secret `toml:"-"` // the file's content
}

// Log is the daemon's own log.
type Log struct {
	Level  slog.Level `toml:"level"`
	Format LogFormat  `toml:"format"`
}

// Load reads the file and checks it. The Config is nil if the file could not be
// read or is no TOML. With any other problem it holds what could be read, so
// that `check` can go on; only a Config without problems may be put in force.
func Load(path string) (*Config, []tomlfile.Problem) {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs // relative paths in the file must survive a change of directory
	}
	doc, problems := tomlfile.Read(path)
	if doc == nil {
		return nil, problems
	}
	return decode(path, doc)
}

// decode is Load after the file was read.
func decode(path string, doc *tomlfile.Document) (*Config, []tomlfile.Problem) {
	c := Default()
	c.Path = path
	dir := filepath.Dir(path)
	problems := doc.Decode(c, texts(dir)...)
	c.resolvePaths(dir)
	k := newChecker(c, doc, problems)
	k.all()
	tomlfile.Sort(k.problems)
	return c, k.problems
}

// resolvePaths makes paths absolute: they are relative to the file's directory.
// Socket paths are resolved as they are parsed.
func (c *Config) resolvePaths(dir string) {
	paths := []*string{
		&c.Directory.File, &c.Directory.SQL.DSNFile, &c.Directory.LDAP.PasswordFile,
		&c.Directory.LDAP.CAFile, &c.Directory.Senders.DSNFile, &c.AuthPolicy.TokenFile, &c.Store.Path,
		&c.Store.Valkey.PasswordFile, &c.Store.Valkey.SentinelPasswordFile, &c.Store.Valkey.CAFile, &c.Web.TokenFile,
	}
	for i, file := range c.Maillog.Files {
		if file != MaillogJournal {
			paths = append(paths, &c.Maillog.Files[i])
		}
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}
