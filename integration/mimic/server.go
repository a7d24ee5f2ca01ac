package mimic

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// patience bounds every read and write: a story that hangs should fail.
const patience = time.Minute

// hostname is the mail host's name in greetings, as on the real test host.
const hostname = "mx.test"

// Fronts says where Portreeve listens, in Postfix's notation (unix:/path or
// inet:host:port), and the token that Dovecot shows it. Without a milter
// Postfix is configured by the recipe "policy only".
type Fronts struct{ Policy, Milter, Auth, Token string }

// Server is one mail host.
type Server struct {
	fronts  Fronts
	dovecot *dovecot
	tls     *tls.Config
	log     *slog.Logger
	ports   map[int]net.Listener
	queue   counter // of queue ids
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]bool
}

// service is what listens on a port: contrib/postfix/master.cf and Dovecot.
type service struct {
	name    string // smtpd_sasl_service, or Dovecot's protocol
	wrapped bool   // TLS from the first byte
	serve   func(*Server, *peer, service)
}

var services = map[int]service{
	25:  {"smtp", false, (*Server).smtp},
	587: {"submission", false, (*Server).smtp},
	465: {"submission", true, (*Server).smtp},
	110: {"pop3", false, (*Server).pop3},
	995: {"pop3", true, (*Server).pop3},
	143: {"imap", false, (*Server).imap},
	993: {"imap", true, (*Server).imap},
}

// New starts a mail host whose passwords stand in a Dovecot passwd-file. Each
// port listens on a loopback port of its own; Dial finds it.
func New(fronts Fronts, users []byte, log *slog.Logger) (*Server, error) {
	known, err := parseUsers(users)
	if err != nil {
		return nil, err
	}
	config, err := certificate()
	if err != nil {
		return nil, fmt.Errorf("making the host's certificate: %w", err)
	}
	s := &Server{
		fronts: fronts, dovecot: newDovecot(fronts, known), tls: config, log: log,
		ports: map[int]net.Listener{}, open: map[net.Conn]bool{},
	}
	for port, service := range services {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("opening the stand-in for port %d: %w", port, err), s.Close())
		}
		s.ports[port] = l
		s.running.Go(func() { s.accept(l, port, service) })
	}
	return s, nil
}

// Dial connects from a loopback address, which the host sees as the client's.
func (s *Server) Dial(ctx context.Context, from netip.Addr, port int) (net.Conn, error) {
	l := s.ports[port]
	if l == nil {
		return nil, fmt.Errorf("the mail host has no port %d", port)
	}
	if !from.IsLoopback() {
		return nil, fmt.Errorf("no connection can come from %s; connect from 127.1.x.y and use XCLIENT", from)
	}
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	return d.DialContext(ctx, "tcp", l.Addr().String())
}

// Close ends all connections and waits for them.
func (s *Server) Close() error {
	var errs []error
	for _, l := range s.ports {
		errs = append(errs, l.Close())
	}
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		// The session that owns it may be closing it at this moment.
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.mu.Unlock()
	s.running.Wait()
	s.dovecot.client.CloseIdleConnections()
	return errors.Join(errs...)
}

func (s *Server) accept(l net.Listener, port int, service service) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // closed: loopback listeners have no other reason
		}
		s.running.Go(func() {
			defer s.untrack(c)
			if s.track(c) {
				s.session(c, port, service)
			}
		})
	}
}

// track makes the connection known to Close. It is false when that is over.
func (s *Server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = true
	return !s.closed
}

func (s *Server) untrack(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		s.log.Debug("closing a client's connection failed", "error", err)
	}
}

func (s *Server) session(c net.Conn, port int, service service) {
	from, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		s.log.Error("client without an address", "error", err)
		return
	}
	p := &peer{addr: from.Addr().Unmap(), clientPort: from.Port(), port: port}
	p.attach(c)
	if service.wrapped && p.startTLS(s.tls) != nil {
		return // the client hung up, or does not speak TLS
	}
	service.serve(s, p, service)
}

// peer is one client's connection.
type peer struct {
	conn       net.Conn
	read       *bufio.Reader
	addr       netip.Addr // the zero Addr is "unknown" (FACTS.md 1.6)
	clientPort uint16
	port       int // of the service
	tls        bool
}

func (p *peer) attach(c net.Conn) { p.conn, p.read = c, bufio.NewReader(c) }

// line reads a line; Postfix and Dovecot take a bare LF for its end.
func (p *peer) line() (string, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	l, err := p.read.ReadString('\n')
	return strings.TrimSuffix(strings.TrimSuffix(l, "\n"), "\r"), err
}

// say writes lines. A client that has gone is noticed at the next read.
func (p *peer) say(lines ...string) {
	if p.conn.SetWriteDeadline(time.Now().Add(patience)) == nil {
		io.WriteString(p.conn, strings.Join(lines, "\r\n")+"\r\n") //nolint:errcheck,gosec // see above
	}
}

func (p *peer) startTLS(config *tls.Config) error {
	t := tls.Server(p.conn, config)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	p.attach(t)
	p.tls = true
	return nil
}
