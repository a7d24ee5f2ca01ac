//go:build packaged

package packaged

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"
)

// certificate holds key and certificate; Postfix and Dovecot read it as root.
const certificate = "/etc/ssl/private/mx.test.pem"

// settings is what the postmaster of the stories' host has in main.cf: everything is
// taken and nothing leaves, and clients may say who they are.
var settings = []string{
	"myhostname = mx.test", "mydestination = mx.test", "mynetworks = 127.0.0.1/32", "smtpd_peername_lookup = no",
	"virtual_mailbox_domains = domena.cz, domena.eu, firma.cz, b.cz, hačky.cz, xn--haky-hua.cz",
	"local_transport = discard:", "virtual_transport = discard:", "relay_transport = discard:", "default_transport = discard:",
	"alias_maps =", "local_recipient_maps =", "smtpd_authorized_xclient_hosts = 127.0.0.0/8",
	"smtpd_error_sleep_time = 0", "smtpd_client_connection_count_limit = 0", "compatibility_level = 3.6",
	"smtpd_tls_cert_file = " + certificate, "smtpd_tls_key_file = " + certificate,
	"maillog_file = /var/log/mail.log",
}

// dovecot is likewise for Dovecot, by version.
var dovecot = map[string]string{
	"2.3": "ssl_cert = <{cert}\nssl_key = <{cert}\ndisable_plaintext_auth = no\nauth_failure_delay = 0\nfirst_valid_gid = 1\n" +
		"passdb {\n  driver = passwd-file\n  args = /etc/dovecot/users\n}\n" +
		"userdb {\n  driver = static\n  args = uid=nobody gid=nogroup home=/var/vmail/%u\n}\nmail_location = maildir:~\n",
	"2.4": "ssl_server_cert_file = {cert}\nssl_server_key_file = {cert}\nauth_allow_cleartext = yes\nauth_failure_delay = 1s\nfirst_valid_gid = 1\n" +
		"passdb passwd-file {\n  passwd_file_path = /etc/dovecot/users\n}\n" +
		"userdb static {\n  fields {\n    uid = nobody\n    gid = nogroup\n    home = /var/vmail/%{user}\n  }\n}\nmail_driver = maildir\nmail_path = ~\nmail_inbox_path =\n",
}

// mailHost is a host that has served mail before Portreeve came.
func mailHost(h host) {
	h.must(os.WriteFile(certificate, selfSigned(h), 0o600))
	h.run("postconf", append([]string{"-e"}, settings...)...)
	version := h.run("dovecot", "--version")[:3]
	h.edit("/etc/dovecot/conf.d/10-auth.conf", "\n!include auth-system.conf.ext", "\n#!include auth-system.conf.ext")
	h.write("/etc/dovecot/users", h.read("../testdata/users"))
	h.write("/etc/dovecot/conf.d/20-host.conf", strings.ReplaceAll(dovecot[version], "{cert}", certificate))
	h.run("install", "-d", "-o", "nobody", "-g", "nogroup", "/var/vmail")
	h.run("systemctl", "restart", "postfix.service", "dovecot.service")
	answers(h, 25, 110)
}

// answers waits until the ports do.
func answers(h host, ports ...int) {
	h.Helper()
	for _, port := range ports {
		h.until(fmt.Sprintf("port %d", port), 20*time.Second, func() error {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				return err
			}
			return c.Close()
		})
	}
}

// connected: what the documentation says, in its order.
func connected(h host) {
	h.write(etc+"/accounts.toml", h.read("../testdata/accounts.toml"))
	h.edit(etc+"/portreeve.toml", `trusted = ["127.0.0.0/8", "::1/128"]`, `trusted = ["127.0.0.1/32"]`)
	h.edit(etc+"/portreeve.toml", "[auth_policy]", "[relay]\nlocal_domains = [\"mx.test\"]\n\n[auth_policy]")
	if out := h.run(program, "reload"); out != "reloaded\n" {
		h.Errorf("reload: %s", out)
	}
	token := h.read(etc + "/token")
	for _, target := range []string{"dovecot", "postfix"} {
		if out := h.run(program, "setup", target, "--apply", "--reload"); !strings.Contains(out, "\nchanged; the old files are in ") {
			h.Fatalf("setup %s:\n%s", target, out)
		}
	}
	if h.read(etc+"/token") != token {
		h.Error("setup has changed the token that the package made")
	}
	answers(h, 25, 587, 465, 110, 143, 995, 993)
	h.Logf("portreeve check:\n%s", h.run(program, "check")) // status 0: no problem, at most advice
}

func selfSigned(h host) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "mx.test"}, DNSNames: []string{"mx.test"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	h.must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	h.must(err)
	out := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...)
}
