package real

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// hostname is the mail host's name, in Postfix's greeting and the certificate.
const hostname = "mx.test"

// stockMaster is the master.cf of Debian's package, as it was before any
// postmaster edited it.
const stockMaster = "/usr/share/postfix/master.cf.dist"

// overrides is what the test host needs beside the fragment of contrib/postfix.
func (i *Instance) overrides() []string {
	set := []string{
		// A private instance, beside the machine's own Postfix.
		"compatibility_level = 3.6",
		"queue_directory = " + i.queue(),
		"data_directory = " + filepath.Join(i.Dir, "data"),
		"inet_interfaces = " + i.interfaces(),
		"inet_protocols = all", // a story's client may be an IPv6 one (XCLIENT)
		"multi_instance_name = postfix-" + strings.ReplaceAll(i.Addr.String(), ".", "-"),
		"syslog_name = postfix", // as in every log that the follower will read
		// The host of the stories, which has no DNS.
		"myhostname = " + hostname,
		"mydestination = " + hostname,
		"virtual_mailbox_domains = domena.cz, domena.eu, firma.cz, b.cz, hačky.cz, xn--haky-hua.cz",
		"smtpd_peername_lookup = no",
		"mynetworks = " + i.Peers,
		// Nothing leaves the host, and nothing is kept.
		"local_transport = discard:", "virtual_transport = discard:",
		"relay_transport = discard:", "default_transport = discard:",
		"alias_maps =", "local_recipient_maps =",
		// A story's client may say who it is.
		"smtpd_authorized_xclient_hosts = 127.0.0.0/8",
		"smtpd_tls_cert_file = " + i.certFile(),
		"smtpd_tls_key_file = " + i.certFile(),
		// Stories make many mistakes in one session; Postfix would slow down.
		"smtpd_error_sleep_time = 0",
		// With the SASL relay away, smtpd cannot start; do not punish that for 60 s.
		"service_throttle_time = 1s",
	}
	switch i.Recipe {
	case RecipeSASL:
		// The line that contrib/postfix/main.cf has commented out.
		set = append(set, "smtpd_sasl_path = portreeve/sasl.sock")
	case RecipeSASLDB, RecipeSASLAuthd:
		// What docs/by-hand.md says of hosts with Cyrus SASL.
		set = append(set, "smtpd_sasl_type = cyrus", "smtpd_sasl_path = smtpd", "cyrus_sasl_config_path = "+i.cyrusConfig())
	case RecipeSyslog:
		return set
	}
	return append(set, "maillog_file = "+i.MailLog(), "maillog_file_prefixes = "+i.Dir)
}

// interfaces: Postfix wants addresses that an interface has been given, which
// most of 127.0.0.0/8 are not. The services name the instance's address
// themselves (bind).
func (i *Instance) interfaces() string {
	if i.Addr.IsUnspecified() {
		return "all"
	}
	return "loopback-only"
}

// service is a network service's name in a master.cf fragment.
var service = regexp.MustCompile(`(?m)^(smtp|submission|submissions)( +inet )`)

// bind puts the instance's address before the services' names.
func (i *Instance) bind(fragment []byte) []byte {
	if i.Addr.IsUnspecified() {
		return fragment
	}
	return service.ReplaceAll(fragment, []byte(i.Addr.String()+":$1$2"))
}

func (i *Instance) fragment(name string) string {
	if i.Recipe == RecipePolicy {
		return filepath.Join(i.Contrib, "postfix", "policy-only", name)
	}
	return filepath.Join(i.Contrib, "postfix", name)
}

// PostfixConfig is Postfix's config_directory.
func (i *Instance) PostfixConfig() string { return filepath.Join(i.Dir, "postfix") }

// startPostfix starts the master as our child.
func (i *Instance) startPostfix(ctx context.Context) error {
	// postconf puts each override in the place of the fragment's line, as a
	// postmaster would; a second line further down would be warned of.
	if err := i.postfix(ctx, "postconf", append([]string{"-e"}, i.overrides()...)...); err != nil {
		return err
	}
	if err := i.postfix(ctx, "postfix", "check"); err != nil { // makes the queue's directories, too
		return err
	}
	libexec, err := exec.CommandContext(ctx, "postconf", "-h", "daemon_directory").Output()
	if err != nil {
		return fmt.Errorf("asking Postfix where its daemons are: %w", err)
	}
	// As `postfix start-fg`, which leaves a shell between us and the master.
	master := filepath.Join(strings.TrimSpace(string(libexec)), "master")
	i.master, err = spawn(i.MailLog(), master, "-s", "-c", i.PostfixConfig())
	return err
}

// postfixFiles writes main.cf, master.cf and the directories.
func (i *Instance) postfixFiles(context.Context) error {
	main, err := os.ReadFile(i.fragment("main.cf"))
	if err != nil {
		return err
	}
	services, err := i.services()
	if err != nil {
		return err
	}
	return errors.Join(
		os.MkdirAll(i.PostfixConfig(), 0o755),
		os.WriteFile(filepath.Join(i.PostfixConfig(), "main.cf"), main, 0o644),
		os.WriteFile(filepath.Join(i.PostfixConfig(), "master.cf"), services, 0o644),
		os.MkdirAll(i.queue(), 0o755),
		directory(filepath.Join(i.queue(), "private"), 0o700, "postfix", "root"), // for Dovecot's socket
		directory(filepath.Join(i.Dir, "data"), 0o700, "postfix", "postfix"),
		// The directory protects Portreeve's sockets: Postfix may enter it.
		directory(i.SocketDir(), 0o750, "root", "postfix"),
	)
}

// services is Debian's master.cf with the fragment's services in the place of
// those of the same names.
func (i *Instance) services() ([]byte, error) {
	stock, err := os.ReadFile(stockMaster)
	if err != nil {
		return nil, fmt.Errorf("%w; install Debian's Postfix", err)
	}
	fragment, err := os.ReadFile(i.fragment("master.cf"))
	if err != nil {
		return nil, err
	}
	var kept strings.Builder
	drop := false
	for line := range strings.Lines(string(stock)) {
		if f := strings.Fields(line); len(f) > 1 && line[0] != ' ' && line[0] != '\t' {
			drop = f[0] == "smtp" && f[1] == "inet"
		}
		if !drop {
			kept.WriteString(line)
		}
	}
	return append([]byte(kept.String()), i.bind(i.serviceNames(fragment))...), nil
}

// serviceNames does what the fragment says of hosts with Cyrus SASL.
func (i *Instance) serviceNames(fragment []byte) []byte {
	if _, cyrus := smtpdConf[i.Recipe]; !cyrus {
		return fragment
	}
	return bytes.ReplaceAll(fragment, []byte("smtpd_sasl_service=submission"), []byte("smtpd_sasl_service=smtp"))
}

// postfix runs one of Postfix's commands on this instance.
func (i *Instance) postfix(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, append([]string{"-c", i.PostfixConfig()}, args...)...)
	cmd.Dir = "/" // postfix(1) complains of a directory that its user cannot enter
	if out, err := cmd.CombinedOutput(); err != nil {
		// Without a terminal some complaints go to syslog only.
		return fmt.Errorf("%s %s: %w: %s; run it by hand to see why", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
