package dialogue

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

// fakeHost is a world whose server answers each line by a table.
type fakeHost struct {
	t       testing.TB
	waited  time.Duration
	files   []string
	started []string
	verbs   []string
	answers []bool // what the directory was made to do
	rigid   bool   // it cannot be made to do anything
	ids     int
}

func (h *fakeHost) Start(testing.TB, Settings) World {
	if h.rigid {
		return struct{ World }{h} // no Breakable
	}
	return h
}

func (h *fakeHost) Log() string { return "first line\nlast line of the log\n" }

func (h *fakeHost) Wait(_ context.Context, d time.Duration) error { h.waited += d; return nil }

func (h *fakeHost) Accounts(_ context.Context, content string) error {
	h.files = append(h.files, content)
	return nil
}

func (h *fakeHost) Directory(answers bool) { h.answers = append(h.answers, answers) }

func (h *fakeHost) Restart(_ context.Context, kill bool) error {
	h.started = append(h.started, fmt.Sprint(kill))
	return nil
}

func (h *fakeHost) Verb(_ context.Context, args ...string) (Output, error) {
	h.verbs = append(h.verbs, strings.Join(args, " "))
	switch args[0] {
	case "missing":
		return Output{}, errors.New("no such program")
	case "bad":
		return Output{Stderr: "bad is no verb; see --help\n", Exit: 2}, nil
	}
	return Output{Stdout: "first\nanswer to " + strings.Join(args, " ") + "\n"}, nil
}

func (h *fakeHost) Dial(_ context.Context, _ netip.Addr, port int) (net.Conn, error) {
	if port == 1 {
		return nil, errors.New("nothing listens there")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	server, err := l.Accept()
	if err != nil {
		return nil, err
	}
	h.t.Cleanup(func() { server.Close() })
	go h.serve(server, port)
	return client, nil
}

// id makes a new id each time.
func (h *fakeHost) id() string {
	h.ids++
	return fmt.Sprintf("%022d", h.ids)
}

// answer is what the server says to a line; EHLO, DATA and TLS are handled
// where they need more than one line.
func (h *fakeHost) answer(line string) string {
	const same = "AAAAAAAAAAAAAAAAAAAAAA"
	switch {
	case strings.HasPrefix(line, "EHLO "):
		return "250-host\r\n250-AUTH PLAIN LOGIN\r\n250 CHUNKING"
	case line == "NEW":
		return "550 5.1.0 " + h.id() + " authentication failed"
	case line == "SAME":
		return "550 5.1.0 " + same + " authentication failed"
	case strings.HasPrefix(line, "AUTH PLAIN "):
		return "235 " + line[11:]
	case line == "AUTH LOGIN":
		return "334 VXNlcm5hbWU6"
	case line == "am9l": // joe
		return "334 UGFzc3dvcmQ6"
	case line == "c2VjcmV0": // secret
		return "235 2.7.0 ok"
	case line == "YmFkdXNlcg==": // baduser
		return "535 5.7.8 no"
	case strings.HasPrefix(line, "USER nobody"):
		return "-ERR who"
	case strings.HasPrefix(line, "USER "):
		return "+OK"
	case line == "CAPA":
		return "+OK\r\nSTLS\r\n."
	case strings.HasPrefix(line, "a1 LOGIN "):
		return "* CAPABILITY IMAP4rev1\r\na1 OK " + line[9:]
	case strings.HasPrefix(line, "LIST"):
		return "-ERR no"
	}
	return "250 " + fmt.Sprintf("%q", line)
}

// goAhead is what begins a TLS handshake; port 25 of this host has none.
var goAhead = map[string]string{"STARTTLS": "220 go", "STLS": "+OK go", "a1 STARTTLS": "a1 OK go"}

func (h *fakeHost) serve(conn net.Conn, port int) {
	defer conn.Close()
	if port == 465 || port == 993 || port == 995 {
		conn = tls.Server(conn, testTLS(h.t))
	}
	greeting := map[speech]string{smtp: "220 host", pop3: "+OK ready", imap: "* OK ready"}
	fmt.Fprintf(conn, "%s\r\n", greeting[speechOf(port)])
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "DATA" && port == 25:
			fmt.Fprintf(conn, "354 go\r\n")
			var got []string
			for line, _ = r.ReadString('\n'); line != ".\r\n"; line, _ = r.ReadString('\n') {
				got = append(got, strings.TrimRight(line, "\r\n"))
			}
			fmt.Fprintf(conn, "250 %s\r\n", strings.Join(got, "|"))
			continue
		case line == "CLOSE":
			return
		case port != 25 && goAhead[line] != "":
			fmt.Fprintf(conn, "%s\r\n", goAhead[line])
			conn = tls.Server(conn, testTLS(h.t))
			r = bufio.NewReader(conn)
			continue
		}
		fmt.Fprintf(conn, "%s\r\n", h.answer(line))
	}
}

func testTLS(t testing.TB) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Error(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Error(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// recorder is a testing.TB that keeps a failure instead of failing.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Helper() {}
func (r *recorder) Fatal(args ...any) {
	r.failure = fmt.Sprint(args...)
	runtime.Goexit()
}

// play plays a story text and returns how it failed, or nothing.
func play(t *testing.T, h *fakeHost, text string) string {
	t.Helper()
	story, err := Parse("t.dlg", []byte("# A title\n"+text))
	if err != nil {
		t.Fatalf("parsing: %v", err)
	}
	h.t = t
	rec := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		Play(rec, h, story)
	}()
	<-done
	return rec.failure
}
