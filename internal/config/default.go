package config

import (
	"log/slog"
	"net/netip"
	"time"

	"portreeve/internal/listen"
	"portreeve/rules"
)

// Default is what an empty file means (SPEC.md section 4).
func Default() *Config {
	return &Config{
		Mode: ModeEnforce,
		Listen: Listen{
			Policy: listen.Address{Network: "unix", Addr: "/var/spool/postfix/portreeve/policy.sock"},
			Milter: listen.Address{Network: "unix", Addr: "/var/spool/postfix/portreeve/milter.sock"},
			Admin:  listen.Address{Network: "unix", Addr: "/run/portreeve/admin.sock"},
		},
		Ports: Ports{Submission: []uint16{465, 587}, Mixed: []uint16{25}},
		Networks: Networks{Trusted: []netip.Prefix{
			netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
		}},
		Directory: Directory{
			Source:    SourceFile,
			File:      "/etc/portreeve/accounts.toml",
			CacheTTL:  time.Minute,
			OnFailure: FailDefer,
		},
		Sender: Sender{Match: MatchDomain, HeaderFrom: HeaderObserve, NullSender: NullHeader},
		AuthFailures: AuthFailures{
			Limit: 10, Window: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64,
			SamePassword: SameCount, Protocols: []string{"smtp", "submission"},
		},
		LoginFailures: LoginFailures{Window: time.Hour, Delay: maxDelay},
		AuthPolicy:    AuthPolicy{Hints: true},
		SMTPAfterPOP:  SMTPAfterPOP{Validity: time.Hour, Protocols: []string{"pop3"}, MaxAccounts: 5},
		Relay:         Relay{RefuseForwarded: true},
		Store: Store{
			Kind: StoreEmbedded, Path: "/var/lib/portreeve/portreeve.db", MaxClients: 1_000_000,
			Valkey: Valkey{Addresses: []string{"127.0.0.1:6379"}, Timeout: 200 * time.Millisecond},
		},
		Journal: Journal{Keep: 720 * time.Hour, MaxSize: 2 << 30},
		Log:     Log{Level: slog.LevelInfo, Format: LogText},
		Replies: rules.DefaultReplies(),
	}
}
