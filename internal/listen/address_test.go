package listen_test

import (
	"strings"
	"testing"

	"portreeve/internal/listen"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in, network, addr string
	}{
		{"unix:/var/spool/postfix/portreeve/policy.sock", "unix", "/var/spool/postfix/portreeve/policy.sock"},
		{"unix:/tmp/a:b", "unix", "/tmp/a:b"},
		{"inet:127.0.0.1:9192", "tcp", "127.0.0.1:9192"},
		{"inet::9192", "tcp", ":9192"},
		{"inet:[::1]:9192", "tcp", "[::1]:9192"},
		{"inet:mx.domena.cz:0", "tcp", "mx.domena.cz:0"},
	} {
		got, err := listen.Parse(tt.in)
		if err != nil || got.Network != tt.network || got.Addr != tt.addr {
			t.Errorf("Parse(%q) = %+v, %v", tt.in, got, err)
		}
		if got.String() != tt.in {
			t.Errorf("Parse(%q).String() = %q", tt.in, got)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, remedy := range map[string]string{
		"":                                  "write unix:/path or inet:host:port",
		"/run/a.sock":                       "write unix:/path or inet:host:port",
		"unix:policy.sock":                  "write unix:/path",
		"unix:":                             "write unix:/path",
		"unix:/a\x00b":                      "remove it",
		"unix:/" + strings.Repeat("x", 107): "choose a shorter one",
		"inet:9192":                         "in brackets",
		"inet:::1:9192":                     "in brackets",
		"inet:localhost:":                   "correct it",
		"inet:localhost:smtp":               "correct it",
		"inet:localhost:65536":              "correct it",
		"inet:localhost:+25":                "correct it",
		"inet:localhost:025":                "correct it",
		"inet:a b:25":                       "correct it",
		"local:/run/a.sock":                 "write unix:/path or inet:host:port",
	} {
		got, err := listen.Parse(in)
		if err == nil || !strings.HasSuffix(err.Error(), remedy) {
			t.Errorf("Parse(%q) = %+v, %v; want an error that ends in %q", in, got, err, remedy)
		}
	}
}
