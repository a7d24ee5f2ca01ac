package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"portreeve/internal/listen"
	"portreeve/internal/tomlfile"
	"portreeve/rules"
)

// The keys that take one of a few words. An unlisted word is reported where it
// stands, so a Config holds no other value.
type (
	Mode          string // mode
	Source        string // directory.source
	OnFailure     string // directory.on_failure
	SQLDriver     string // directory.sql.driver, directory.senders.driver
	SQLSchema     string // directory.sql.schema
	SendersSchema string // directory.senders.schema
	Match         string // sender.match
	HeaderFrom    string // sender.header_from
	NullSender    string // sender.null_sender
	SamePassword  string // auth_failures.same_password
	RefuseAt      string // auth_failures.refuse_at; empty: see Config.AtHelo
	StoreKind     string // store.kind
	LogFormat     string // log.format
)

// Their words.
const (
	ModeEnforce Mode = "enforce"
	ModeObserve Mode = "observe"

	SourceFile Source = "file"
	SourceSQL  Source = "sql"
	SourceLDAP Source = "ldap"

	FailDefer  OnFailure = "defer"
	FailAccept OnFailure = "accept"

	MatchDomain  Match = "domain"
	MatchAddress Match = "address"

	HeaderOff     HeaderFrom = "off"
	HeaderObserve HeaderFrom = "observe"
	HeaderEnforce HeaderFrom = "enforce"

	NullHeader NullSender = "header"
	NullAllow  NullSender = "allow"
	NullRefuse NullSender = "refuse"

	SameCount SamePassword = "count"
	SameOnce  SamePassword = "once"

	RefuseAtMail RefuseAt = "mail"
	RefuseAtHelo RefuseAt = "helo"

	StoreEmbedded StoreKind = "embedded"
	StoreValkey   StoreKind = "valkey"

	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// MaillogJournal stands in maillog.files for systemd's journal.
const MaillogJournal = "journal"

// texts are the parsers of all values that stand in quotes. dir is where
// relative socket paths begin.
func texts(dir string) []tomlfile.Text {
	return []tomlfile.Text{
		tomlfile.OneOf(ModeEnforce, ModeObserve),
		tomlfile.OneOf(SourceFile, SourceSQL, SourceLDAP),
		tomlfile.OneOf(FailDefer, FailAccept),
		tomlfile.OneOf[SQLDriver]("", "postgres", "mysql", "sqlite"),
		tomlfile.OneOf[SQLSchema]("", "postfixadmin", "iredmail", "ispconfig", "mailcow", "modoboa"),
		tomlfile.OneOf[SendersSchema]("", "roundcube"),
		tomlfile.OneOf(MatchDomain, MatchAddress),
		tomlfile.OneOf(HeaderOff, HeaderObserve, HeaderEnforce),
		tomlfile.OneOf(NullHeader, NullAllow, NullRefuse),
		tomlfile.OneOf(SameCount, SameOnce),
		tomlfile.OneOf("", RefuseAtMail, RefuseAtHelo),
		tomlfile.OneOf(StoreEmbedded, StoreValkey),
		tomlfile.OneOf(LogText, LogJSON),
		tomlfile.OneOf(append(slices.Clone(rules.Rules), rules.RuleLoginFailures)...),
		tomlfile.TextOf("a log level", "info", parseLevel),
		tomlfile.TextOf("a network", "192.0.2.0/24", parseNetwork),
		tomlfile.TextOf("an address to listen at", "inet:127.0.0.1:9192", func(s string) (listen.Address, error) {
			return parseAddress(dir, s)
		}),
	}
}

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

func parseLevel(s string) (slog.Level, error) {
	level, ok := levels[s]
	if !ok {
		return 0, &tomlfile.Mistake{What: "is not a log level", Remedy: `write "debug", "info", "warn" or "error"`}
	}
	return level, nil
}

// parseNetwork reads a network or one address. IPv4 that is written as IPv6
// becomes IPv4, as client addresses do. Host bits are refused: 10.1.2.3/8 may
// mean one address or sixteen million.
func parseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, &tomlfile.Mistake{
				What: "is not a network", Remedy: `write one such as "192.0.2.0/24", "2001:db8::/32" or a single address`,
			}
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, &tomlfile.Mistake{
				What: "covers more than the IPv4 addresses in it", Remedy: `write the IPv4 network as such, "0.0.0.0/0" for all of them`,
			}
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return netip.Prefix{}, &tomlfile.Mistake{
			What:   "has bits set beyond its prefix",
			Remedy: fmt.Sprintf("write %q for the network, or %q for the one address", p.Masked(), p.Addr()),
		}
	}
	return p, nil
}

// parseAddress reads Postfix's notation; empty is off.
func parseAddress(dir, s string) (listen.Address, error) {
	if s == "" {
		return listen.Address{}, nil
	}
	full := s
	if path, ok := strings.CutPrefix(s, "unix:"); ok && path != "" && !filepath.IsAbs(path) {
		full = "unix:" + filepath.Join(dir, path)
	}
	a, err := listen.Parse(full)
	if err != nil {
		return listen.Address{}, addressMistake(full, err)
	}
	return a, nil
}

// addressMistake splits listen's error, `address "…": what: remedy`: the
// problem names the value itself.
func addressMistake(s string, err error) error {
	text := strings.TrimPrefix(err.Error(), fmt.Sprintf("address %q: ", s))
	m := &tomlfile.Mistake{What: "is no address (" + text + ")", Remedy: "write unix:/path or inet:host:port"}
	if i := strings.LastIndex(text, ": "); i >= 0 {
		m.What, m.Remedy = "is no address ("+text[:i]+")", text[i+2:]
	}
	return m
}

// Secret is the content of a file that nobody should see. It shows itself as
// stars; convert it to a string where it is compared.
type Secret string

const stars = "***"

// String hides the secret from fmt.
func (s Secret) String() string { return stars }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return stars }

// LogValue hides the secret from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(stars) }

// MarshalText hides the secret from JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(stars), nil }
