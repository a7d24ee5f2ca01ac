// Package dovecot reads Dovecot's configuration as doveconf shows it, of 2.3
// and of 2.4.
package dovecot

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"portreeve/internal/hostcheck/postfix"
)

// Config is what doveconf says.
type Config struct {
	Version  string // 2.3.19.1
	Path     string // dovecot.conf
	Settings map[string]string
	Sections []Section
}

// Section is a block: service auth { … }.
type Section struct {
	Kind, Name string
	Settings   map[string]string
	Sections   []Section
}

// Load asks Dovecot. path is its dovecot.conf; empty is the default.
func Load(ctx context.Context, run postfix.Run, path string) (*Config, error) {
	version, err := run(ctx, "dovecot", "--version")
	if err != nil {
		return nil, err
	}
	var where []string
	if path != "" {
		where = []string{"-c", path}
	}
	out, err := run(ctx, "doveconf", slices.Concat(where, []string{"-n"})...)
	if err != nil {
		return nil, err
	}
	c, err := New(string(version), string(out))
	if err != nil {
		return nil, fmt.Errorf("reading the output of doveconf -n: %w", err)
	}
	// The nonce is hidden without -P; asked alone, no private key is shown with it.
	name := "auth_policy_hash_nonce"
	if c.Is("2.4") {
		name = "auth_policy"
	}
	out, err = run(ctx, "doveconf", slices.Concat(where, []string{"-P", name})...)
	if err != nil {
		return nil, err
	}
	nonce, err := New(string(version), string(out))
	if err != nil {
		return nil, fmt.Errorf("reading the output of doveconf -P: %w", err)
	}
	c.Settings["auth_policy_hash_nonce"] = nonce.Settings["auth_policy_hash_nonce"]
	if path != "" {
		c.Path = path
	}
	return c, nil
}

// New reads the output of `dovecot --version` and of `doveconf -n`.
func New(version, text string) (*Config, error) {
	v, _, _ := strings.Cut(strings.TrimSpace(version), " ")
	c := &Config{Version: v, Path: "/etc/dovecot/dovecot.conf"}
	if first, _, _ := strings.Cut(text, "\n"); strings.HasPrefix(first, "# ") {
		if _, path, ok := strings.Cut(first, ": "); ok && strings.HasPrefix(path, "/") {
			c.Path = strings.TrimSpace(path)
		}
	}
	top, err := parse(text)
	if err != nil {
		return nil, err
	}
	c.Settings, c.Sections = top.Settings, top.Sections
	// 2.4 shows auth_policy_server_url as auth_policy { server_url }.
	for _, s := range c.Sections {
		for name, value := range s.Settings {
			if s.Name == "" {
				c.Settings[s.Kind+"_"+name] = value
			}
		}
	}
	return c, nil
}

// Is tells whether the version is of that series: "2.4".
func (c *Config) Is(series string) bool { return strings.HasPrefix(c.Version, series+".") }

// defaults of what is looked at (both series).
var defaults = map[string]string{
	"auth_mechanisms": "plain", "ssl": "yes",
	"auth_policy_check_before_auth": "yes", "auth_policy_check_after_auth": "yes", "auth_policy_report_after_auth": "yes",
	"auth_policy_log_only": "no",
}

// Get is a setting, or its default.
func (c *Config) Get(name string) string {
	if v, ok := c.Settings[name]; ok {
		return v
	}
	return defaults[name]
}

// Words is a setting that is a list.
func (c *Config) Words(name string) []string { return strings.Fields(strings.Trim(c.Get(name), `"`)) }

// Protocols lists what is served.
func (c *Config) Protocols() []string {
	if v, ok := c.Settings["protocols"]; ok { // 2.3
		return strings.Fields(strings.Trim(v, `"`))
	}
	var list []string
	for _, s := range c.Sections {
		if s.Kind == "protocols" && s.Name == "" {
			for name, on := range s.Settings {
				if on == "yes" {
					list = append(list, name)
				}
			}
		}
	}
	slices.Sort(list)
	return list
}

// Listener finds a unix_listener of a service.
func (c *Config) Listener(service, name string) (Section, bool) {
	for _, s := range c.Sections {
		if s.Kind != "service" || s.Name != service {
			continue
		}
		for _, l := range s.Sections {
			if l.Kind == "unix_listener" && l.Name == name {
				return l, true
			}
		}
	}
	return Section{}, false
}

// Off tells whether an inet_listener of a service is turned off (port = 0).
func (c *Config) Off(service, listener string) bool {
	for _, s := range c.Sections {
		if s.Kind != "service" || s.Name != service {
			continue
		}
		for _, l := range s.Sections {
			if l.Kind == "inet_listener" && l.Name == listener && l.Settings["port"] == "0" {
				return true
			}
		}
	}
	return false
}

// Mode is a listener's mode; ok is false where it is not set, or unreadable.
func (s Section) Mode() (mode uint64, ok bool) {
	mode, err := strconv.ParseUint(s.Settings["mode"], 8, 32)
	return mode, err == nil
}

// PenaltyOff tells whether Dovecot's own penalty is turned off (FACTS.md 2.7).
func (c *Config) PenaltyOff() bool {
	l, ok := c.Listener("anvil", "anvil-auth-penalty")
	mode, set := l.Mode()
	return ok && set && mode == 0
}
