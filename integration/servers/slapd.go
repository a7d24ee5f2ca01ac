package servers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// SlapdOptions say what an LDAP server holds.
type SlapdOptions struct {
	Suffix   string // such as dc=test
	Password string // of cn=admin below it
	Schema   string // more attributetype and objectclass lines
	Access   string // access lines; empty: everybody reads
}

// Slapd is an OpenLDAP server with a certificate for 127.0.0.1, signed by CA.
type Slapd struct {
	*Server
	CA      []byte // PEM
	tlsPort int
}

// NewSlapd makes an OpenLDAP server below dir, with nothing but its suffix in it.
// It serves ldap:// with StartTLS, ldaps:// and ldapi://.
func NewSlapd(ctx context.Context, dir string, o SlapdOptions) (*Slapd, error) {
	s := &Slapd{Server: &Server{Dir: dir}}
	var err error
	if s.Port, err = freePort(); err != nil {
		return nil, err
	}
	if s.tlsPort, err = freePort(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		return nil, err
	}
	if err := s.certificate(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.path("slapd.conf"), []byte(s.config(o)), 0o600); err != nil {
		return nil, err
	}
	s.command = func() *exec.Cmd {
		return exec.Command("slapd", "-d", "none", "-f", s.path("slapd.conf"),
			"-h", strings.Join([]string{s.LDAP(), s.LDAPS(), s.LDAPI()}, " "))
	}
	s.ready = func(ctx context.Context) error {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr())
		if err != nil {
			return err
		}
		return c.Close()
	}
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	return s, s.Add(o, o.Suffix, map[string][]string{"objectClass": {"dcObject", "organization"}, "o": {"test"}, "dc": {strings.TrimPrefix(o.Suffix, "dc=")}})
}

// LDAP is its address without TLS, but with StartTLS.
func (s *Slapd) LDAP() string { return "ldap://" + s.Addr() }

// LDAPS is its address with TLS.
func (s *Slapd) LDAPS() string { return fmt.Sprintf("ldaps://127.0.0.1:%d", s.tlsPort) }

// LDAPI is its unix socket.
func (s *Slapd) LDAPI() string { return "ldapi://" + url.PathEscape(s.path("ldapi")) }

// Add writes one entry as the administrator.
func (s *Slapd) Add(o SlapdOptions, dn string, attributes map[string][]string) error {
	c, err := ldap.DialURL(s.LDAP())
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // the answer to Add is what counts
	if err := c.Bind("cn=admin,"+o.Suffix, o.Password); err != nil {
		return err
	}
	r := ldap.NewAddRequest(dn, nil)
	for name, values := range attributes {
		r.Attribute(name, values)
	}
	return c.Add(r)
}

func (s *Slapd) path(name string) string { return filepath.Join(s.Dir, name) }

func (s *Slapd) config(o SlapdOptions) string {
	access := o.Access
	if access == "" {
		access = "access to * by * read"
	}
	return fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
%s
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %s
TLSCACertificateFile %s
TLSCertificateFile %s
TLSCertificateKeyFile %s
database mdb
maxsize 67108864
suffix "%s"
directory %s
rootdn "cn=admin,%s"
rootpw %s
dbnosync
%s
`, o.Schema, s.path("pid"), s.path("ca.pem"), s.path("cert.pem"), s.path("key.pem"), o.Suffix, s.path("data"), o.Suffix, o.Password, access)
}

// certificate makes an authority, and a certificate of it for 127.0.0.1.
func (s *Slapd) certificate() error {
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the tests"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "ldap.test"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	if err != nil {
		return err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &leafKey.PublicKey, rootKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return err
	}
	s.CA = encode("CERTIFICATE", rootDER)
	for name, content := range map[string][]byte{"ca.pem": s.CA, "cert.pem": encode("CERTIFICATE", leafDER), "key.pem": encode("PRIVATE KEY", keyDER)} {
		if err := os.WriteFile(s.path(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func encode(kind string, der []byte) []byte {
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}) // a Buffer takes everything
	return b.Bytes()
}
