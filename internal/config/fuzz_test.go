package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portreeve/internal/tomlfile"
	"portreeve/rules"
)

// FuzzDecode: no text does harm, each problem is one line with a remedy, and
// what has no problem is fit for use.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "testdata/spec.toml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		doc, problems := tomlfile.Parse("portreeve.toml", []byte(text))
		var c *Config
		if doc != nil {
			c, problems = decode("/etc/portreeve/portreeve.toml", doc)
		}
		for _, p := range problems {
			if p.What == "" || p.Remedy == "" || strings.ContainsAny(p.String(), "\r\n\x00") {
				t.Errorf("bad problem %+v", p)
			}
		}
		if len(problems) == 0 {
			fit(t, c)
		}
	})
}

// fit checks what every front relies on.
func fit(t *testing.T, c *Config) {
	p := c.Policy()
	for _, rule := range rules.Rules {
		reply := p.Replies.Render(rule, "0000000000000000000000", "a@example.com", netip.IPv6Unspecified())
		s := reply.String()
		if len(s) > maxReply || s[0] != s[4] || s[0] != '4' && s[0] != '5' || !printableASCII(s) {
			t.Errorf("%s would be answered %q", rule, s)
		}
	}
	if p.Throttle.Limit < 1 || p.Throttle.Window <= 0 {
		t.Errorf("throttle %+v", p.Throttle)
	}
	if _, ok := p.Throttle.Prefix(netip.MustParseAddr("2001:db8::1")); !ok {
		t.Errorf("throttle %+v has no IPv6 prefix", p.Throttle)
	}
	for _, n := range p.Trusted {
		if n != n.Masked() || n.Addr().Is4In6() {
			t.Errorf("network %s is not canonical", n)
		}
	}
}
