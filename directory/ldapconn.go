package directory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"portreeve/internal/tomlfile"
)

// server is where an LDAP URL leads.
type server struct {
	network, addr string
	host          string // that its certificate must name
	tls           bool   // from the first byte: ldaps
}

// parseLDAPURL reads ldap://host:port, ldaps://host:port, and ldapi:///path or
// ldapi://%2Fpath.
func parseLDAPURL(s string) (server, bool) {
	if rest, ok := strings.CutPrefix(s, "ldapi://"); ok {
		path, err := url.PathUnescape(rest)
		if path == "" || path == "/" {
			path = "/run/slapd/ldapi"
		}
		return server{network: "unix", addr: path}, err == nil && path[0] == '/'
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return server{}, false
	}
	port, ok := map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	if u.Port() != "" {
		port = u.Port()
	}
	return server{network: "tcp", addr: net.JoinHostPort(u.Hostname(), port), host: u.Hostname(), tls: u.Scheme == "ldaps"}, ok
}

// CheckLDAPURL tells what is wrong with directory.ldap.url.
func CheckLDAPURL(s string, startTLS bool) *tomlfile.Mistake {
	at, ok := parseLDAPURL(s)
	switch {
	case !ok:
		return &tomlfile.Mistake{What: "is no address of an LDAP server", Remedy: "write one such as ldap://ldap.example.com, ldaps://ldap.example.com or ldapi:///run/slapd/ldapi"}
	case startTLS && (at.tls || at.network == "unix"):
		return &tomlfile.Mistake{What: "needs no StartTLS", Remedy: "remove starttls, or write ldap://"}
	}
	return nil
}

// IsCA tells whether the text has a certificate in PEM.
func IsCA(text []byte) bool { return x509.NewCertPool().AppendCertsFromPEM(text) }

// Overheard tells whether the password would cross a network unencrypted.
func (o LDAPOptions) Overheard() bool {
	at, ok := parseLDAPURL(o.URL)
	if !ok || at.tls || at.network == "unix" || o.StartTLS || o.BindDN == "" {
		return false
	}
	ip := net.ParseIP(at.host)
	return at.host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// ldapConn is one connection that has been bound.
type ldapConn struct {
	*ldap.Conn
	raw  net.Conn
	used time.Time
}

// guarded runs a conversation that ends with ctx: the library knows no contexts,
// but all it does ends with the connection.
func (c *ldapConn) guarded(ctx context.Context, talk func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = c.raw.Close() }) // its end is the error that counts
	err := talk()
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

// ldapPool keeps connections for the next look-up.
type ldapPool struct {
	server server
	config *tls.Config // nil: no StartTLS, no ldaps
	start  bool        // StartTLS
	bindDN string
	word   string // the password
	slots  chan struct{}

	mu     sync.Mutex
	idle   []*ldapConn
	closed bool
}

// newLDAPPool checks the options; it connects to nobody.
func newLDAPPool(o LDAPOptions) (*ldapPool, error) {
	at, ok := parseLDAPURL(o.URL)
	if !ok {
		return nil, fmt.Errorf("%q is no address of an LDAP server: write one such as ldap://ldap.example.com", o.URL)
	}
	p := &ldapPool{server: at, start: o.StartTLS, bindDN: o.BindDN, word: o.Password, slots: make(chan struct{}, connections)}
	if at.tls || o.StartTLS {
		p.config = &tls.Config{ServerName: at.host, MinVersion: tls.VersionTLS12}
		if o.CA != nil {
			p.config.RootCAs = x509.NewCertPool()
			if !p.config.RootCAs.AppendCertsFromPEM(o.CA) {
				return nil, errors.New("the CA file has no certificate in it: name a file in PEM")
			}
		}
	}
	return p, nil
}

// search asks one question. A connection that the server has closed meanwhile is
// replaced once.
func (p *ldapPool) search(ctx context.Context, r *ldap.SearchRequest) (*ldap.SearchResult, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for {
		c, reused, err := p.get(ctx)
		if err != nil {
			return nil, err
		}
		var result *ldap.SearchResult
		err = c.guarded(ctx, func() error {
			result, err = c.Search(r)
			return err
		})
		if answered(err) {
			p.put(c)
			return result, err
		}
		_ = c.raw.Close() // its error says nothing beyond err
		if !reused || ctx.Err() != nil {
			return nil, err
		}
	}
}

// answered tells whether the server has spoken, be it a refusal: the connection
// is good then.
func answered(err error) bool {
	if err == nil {
		return true
	}
	e, ok := errors.AsType[*ldap.Error](err)
	return ok && e.ResultCode < ldap.ErrorNetwork && e.ResultCode != ldap.LDAPResultUnavailable && e.ResultCode != ldap.LDAPResultBusy
}

// get takes an idle connection, or makes one.
func (p *ldapPool) get(ctx context.Context) (c *ldapConn, reused bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		last := len(p.idle) - 1
		c, p.idle = p.idle[last], p.idle[:last]
		if time.Since(c.used) < idleFor && !c.IsClosing() {
			return c, true, nil
		}
		_ = c.raw.Close() // nothing was under way
	}
	if p.closed {
		return nil, false, errors.New("the directory is closed: try again")
	}
	p.mu.Unlock()
	c, err = p.connect(ctx)
	p.mu.Lock()
	return c, false, err
}

func (p *ldapPool) put(c *ldapConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.raw.Close() // nothing is under way
		return
	}
	c.used = time.Now()
	p.idle = append(p.idle, c)
}

func (p *ldapPool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		_ = c.raw.Close() // nothing is under way
	}
	p.idle = nil
}

// connect opens a connection, encrypts it, and binds. The password is sent to no
// server whose certificate is not good.
func (p *ldapPool) connect(ctx context.Context) (*ldapConn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, p.server.network, p.server.addr)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	conn := raw
	if p.server.tls {
		secured := tls.Client(raw, p.config)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("TLS: %w", err), raw.Close())
		}
		conn = secured
	}
	c := &ldapConn{Conn: ldap.NewConn(conn, p.server.tls), raw: raw}
	c.Start()
	err = c.guarded(ctx, func() error {
		if p.start {
			if err := c.StartTLS(p.config); err != nil {
				return fmt.Errorf("StartTLS: %w", err)
			}
		}
		if p.bindDN == "" {
			return nil
		}
		if err := c.Bind(p.bindDN, p.word); err != nil {
			return fmt.Errorf("binding as %s: %w", p.bindDN, err)
		}
		return nil
	})
	if err != nil {
		_ = raw.Close() // the first error is the cause
		return nil, err
	}
	return c, nil
}
