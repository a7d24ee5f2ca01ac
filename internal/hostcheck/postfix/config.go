package postfix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Config is what Postfix's configuration says.
type Config struct {
	Dir      string            // config_directory
	Main     map[string]string // main.cf and the defaults of names, expanded (postconf -x)
	Services []*Service        // that clients reach with SMTP
	Entries  []*Entry          // all of master.cf
}

// Service is one smtpd of master.cf.
type Service struct {
	*Entry
	Port     uint16 // of a pass service: that of the postscreen before it
	Screened bool   // behind postscreen
	config   *Config
}

// names are the parameters that are looked at and may stand at their defaults.
var names = []string{
	"compatibility_level", "config_directory", "cyrus_sasl_config_path", "local_header_rewrite_clients", "mail_owner", "mail_version", "milter_default_action",
	"milter_protocol", "mydestination", "mydomain", "myhostname", "mynetworks", "non_smtpd_milters", "postscreen_bare_newline_enable",
	"postscreen_non_smtp_command_enable", "postscreen_pipelining_enable", "queue_directory", "receive_override_options",
	"relay_domains", "smtpd_authorized_xclient_hosts", "smtpd_client_restrictions", "smtpd_data_restrictions", "smtpd_delay_reject",
	"smtpd_end_of_data_restrictions", "smtpd_helo_restrictions", "smtpd_milters", "smtpd_policy_service_default_action",
	"smtpd_recipient_restrictions", "smtpd_relay_restrictions", "smtpd_sasl_auth_enable", "smtpd_sasl_path", "smtpd_sasl_security_options",
	"smtpd_sasl_service", "smtpd_sasl_tls_security_options", "smtpd_sasl_type", "smtpd_sender_login_maps", "smtpd_sender_restrictions", "smtpd_tls_auth_only",
	"smtpd_tls_cert_file", "smtpd_tls_chain_files", "smtpd_tls_key_file", "smtpd_tls_security_level", "smtpd_tls_wrappermode", "smtpd_use_tls", "soft_bounce",
	"virtual_alias_domains", "virtual_mailbox_domains",
}

// Run runs a program and returns its standard output. It is exec.ErrNotFound
// (errors.Is) where there is no such program.
type Run func(ctx context.Context, name string, args ...string) ([]byte, error)

// sbin is where postconf and dovecot are on hosts whose PATH does not say so:
// Debian's su without "-" keeps a user's, and cron has /usr/bin:/bin.
var sbin = []string{"/usr/sbin", "/usr/local/sbin", "/sbin"}

// Find is the path of a program; exec.ErrNotFound if this host has none.
func Find(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range sbin {
		if err == nil {
			break
		}
		path, err = exec.LookPath(filepath.Join(dir, name))
	}
	if err != nil {
		return "", exec.ErrNotFound
	}
	return path, nil
}

// Exec is the Run of this host.
func Exec(ctx context.Context, name string, args ...string) ([]byte, error) {
	path, err := Find(name)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Dir = "/" // postfix(1) complains of a directory that its user cannot enter
	out, err := cmd.Output()
	if said := strings.TrimSpace(stderr.String()); err != nil && said != "" {
		return out, fmt.Errorf("%s: %w: %s", command(name, args), err, strings.ReplaceAll(said, "\n", "; "))
	}
	if err != nil {
		return out, fmt.Errorf("%s: %w", command(name, args), err)
	}
	return out, nil
}

// command is what was run, as far as a sentence has room for it.
func command(name string, args []string) string {
	const room = 5
	if len(args) > room {
		args = append(slices.Clone(args[:room]), "…")
	}
	return strings.Join(append([]string{name}, args...), " ")
}

// Load asks postconf. dir is Postfix's config_directory; empty is the default.
func Load(ctx context.Context, run Run, dir string) (*Config, error) {
	var where []string
	if dir != "" {
		where = []string{"-c", dir}
	}
	defaults, err := run(ctx, "postconf", slices.Concat(where, []string{"-x"}, names)...)
	if err != nil {
		return nil, err
	}
	set, err := run(ctx, "postconf", slices.Concat(where, []string{"-x", "-n"})...)
	if err != nil {
		return nil, err
	}
	services, err := run(ctx, "postconf", slices.Concat(where, []string{"-M"})...)
	if err != nil {
		return nil, err
	}
	return New(dir, string(defaults)+string(set), string(services)), nil
}

// New reads the output of postconf -x, and of postconf -M.
func New(dir, main, services string) *Config {
	c := &Config{Dir: dir, Main: map[string]string{}}
	for line := range strings.Lines(main) {
		if name, value, ok := Assignment(line); ok {
			c.Main[name] = value
		}
	}
	if c.Dir == "" {
		c.Dir = c.Main["config_directory"]
	}
	c.Entries = ParseMaster(services).Entries()
	c.Services = c.services()
	return c
}

func (c *Config) services() []*Service {
	var list []*Service
	screened := uint16(0)
	for _, e := range c.Entries {
		if e.Type == "inet" && e.Command == "postscreen" {
			screened = e.Port()
		}
	}
	for _, e := range c.Entries {
		s := &Service{Entry: e, Port: e.Port(), config: c}
		if e.Type == "pass" {
			s.Port, s.Screened = screened, true
		}
		if e.Command == "smtpd" && s.Port != 0 {
			list = append(list, s)
		}
	}
	return list
}

// ID is the service as postconf names it: smtp/inet.
func (s *Service) ID() string { return s.Name + "/" + s.Type }

// Value is a parameter as the service has it, expanded. An error names the
// parameter; the value is then as it was written.
func (s *Service) Value(name string) (string, error) {
	raw, own := s.Option(name)
	if !own {
		return s.config.Main[name], nil
	}
	value, err := Expand(raw, func(n string) (string, bool) {
		if v, ok := s.Option(n); ok && n != name {
			return v, true
		}
		v, ok := s.config.Main[n]
		return v, ok
	})
	if err != nil {
		return raw, fmt.Errorf("%s of %s: %w", name, s.ID(), err)
	}
	return strings.Trim(value, blanks), nil
}

// Get is Value where an expression that is not understood may count as empty.
func (s *Service) Get(name string) string {
	value, err := s.Value(name)
	if err != nil {
		return ""
	}
	return value
}

// Yes tells whether a boolean parameter is on.
func (s *Service) Yes(name string) bool { return strings.EqualFold(s.Get(name), "yes") }

// Own tells whether the service sets the parameter itself.
func (s *Service) Own(name string) bool {
	_, own := s.Option(name)
	return own
}

// List is a restriction list as the service has it.
func (s *Service) List(name string) ([]Restriction, error) {
	value, err := s.Value(name)
	if err != nil {
		return nil, err
	}
	list, err := Restrictions(value)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", name, s.ID(), err)
	}
	return list, nil
}

// Milters is smtpd_milters as the service has it.
func (s *Service) Milters() ([]Milter, error) {
	value, err := s.Value("smtpd_milters")
	if err != nil {
		return nil, err
	}
	list, err := Milters(value)
	if err != nil {
		return nil, fmt.Errorf("smtpd_milters of %s: %w", s.ID(), err)
	}
	return list, nil
}

// Chrooted tells whether the service runs in the queue directory. The default
// has changed with compatibility level 1 (Postfix 3.0).
func (s *Service) Chrooted() bool {
	if s.Chroot != "-" {
		return s.Chroot == "y"
	}
	level, _, _ := strings.Cut(s.config.Main["compatibility_level"], ".")
	n, err := strconv.Atoi(level)
	return err != nil || n < 1
}

// Endpoint is where a socket that the service names really is: a path of the
// host ("unix"), or host and port ("tcp").
func (s *Service) Endpoint(text string) (network, addr string, err error) {
	kind, rest, found := strings.Cut(text, ":")
	if !found { // smtpd_sasl_path
		kind, rest = "unix", text
	}
	switch kind {
	case "unix", "local":
		// smtpd works in the queue directory; chrooted, "/" is that as well.
		if !filepath.IsAbs(rest) || s.Chrooted() {
			rest = filepath.Join(s.config.Main["queue_directory"], rest)
		}
		return "unix", filepath.Clean(rest), nil
	case "inet", "inet6":
		host, port, err := net.SplitHostPort(rest)
		if err != nil {
			if i := strings.LastIndexByte(rest, '@'); i >= 0 { // sendmail's port@host
				host, port, err = rest[i+1:], rest[:i], nil
			}
		}
		if err != nil {
			return "", "", fmt.Errorf("%q is no host and port: write inet:host:port", text)
		}
		return "tcp", net.JoinHostPort(host, port), nil
	}
	return "", "", fmt.Errorf("%q is no socket: write unix:path or inet:host:port", text)
}

// NotFound tells whether the program is not on this host at all.
func NotFound(err error) bool { return errors.Is(err, exec.ErrNotFound) }
