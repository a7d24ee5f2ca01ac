package daemon

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The daemon as a whole under a closed loop of connections, each of which asks
// again when it is answered. docs/performance.md has what bench/ measures from
// outside; these are for profiles:
//
//	go test ./internal/daemon -run '^$' -bench Load -cpuprofile cpu.out

// loadAccounts is how many accounts the directory has.
const loadAccounts = 10_000

// startLoad runs a daemon with real time, which logs to a file as under systemd.
func startLoad(b *testing.B) *host {
	b.Helper()
	h := prepare(b, plain)
	var text strings.Builder
	text.WriteString("[domains]\n")
	for i := range loadAccounts / 10 {
		fmt.Fprintf(&text, "\"d%d.cz\" = { aliases = [\"d%d.eu\"] }\n", i, i)
	}
	text.WriteString("[accounts]\n")
	for i := range loadAccounts {
		fmt.Fprintf(&text, "%q = {}\n", loadAccount(i))
	}
	h.write("accounts.toml", text.String())
	logged := must[*os.File](b)(os.Create(h.path("log")))
	b.Cleanup(func() { logged.Close() })
	o := h.options()
	o.Now, o.Log = time.Now, slog.New(slog.NewTextHandler(logged, nil))
	h.launch(func(ctx context.Context, ready func()) error { return Run(ctx, o, ready) })
	return h
}

func loadAccount(n int) string {
	n %= loadAccounts
	return fmt.Sprintf("user%d@d%d.cz", n, n%(loadAccounts/10))
}

// loadRequest is what Postfix 3.10 asks at RCPT on port 587.
func loadRequest(n int, client, sender string) string {
	return fmt.Sprintf(`request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=%s
client_name=host.example.net
client_port=%d
reverse_client_name=host.example.net
server_address=192.0.2.10
server_port=587
helo_name=[%s]
sender=%s
recipient=someone%d@example.com
recipient_count=0
queue_id=
instance=%x.69270000.%x.0
size=20480
etrn_domain=
stress=
sasl_method=PLAIN
sasl_username=%s
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=TLSv1.3
encryption_cipher=TLS_AES_256_GCM_SHA384
encryption_keysize=256
policy_context=
compatibility_level=3.6
mail_version=3.10.5

`, client, 40000+n%20000, client, sender, n%5000, n%100000, n, loadAccount(n))
}

// load asks b.N times over so many connections, each question from make, and
// wants each answer to begin with want.
func load(b *testing.B, network, address string, connections int, question func(n int) string, read func(*bufio.Reader) (string, error), want string) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	var asked atomic.Int64
	var clients sync.WaitGroup
	for range connections {
		clients.Go(func() {
			c, err := net.Dial(network, address)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			r := bufio.NewReader(c)
			for {
				n := int(asked.Add(1))
				if n > b.N {
					return
				}
				if _, err := io.WriteString(c, question(n)); err != nil {
					b.Error(err)
					return
				}
				if line, err := read(r); err != nil || !strings.HasPrefix(line, want) {
					b.Errorf("got %q, %v, want %q", line, err, want)
					return
				}
			}
		})
	}
	clients.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// readAction reads a policy service's answer.
func readAction(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err == nil {
		_, err = r.ReadString('\n')
	}
	return line, err
}

// readStatus reads an HTTP answer whose body is one line.
func readStatus(r *bufio.Reader) (string, error) {
	status, err := r.ReadString('\n')
	for line := status; err == nil && line != "\r\n"; {
		line, err = r.ReadString('\n')
	}
	if err == nil {
		_, err = r.ReadString('\n')
	}
	return status, err
}

// prepared makes the questions beforehand, so that the profile is the daemon's.
func prepared(question func(n int) string) func(n int) string {
	const most = 20_000
	made := make([]string, most)
	for n := range made {
		made[n] = question(n)
	}
	return func(n int) string { return made[n%most] }
}

func passing(n int) string {
	return loadRequest(n, fmt.Sprintf("198.51.%d.%d", n%4, n%250), loadAccount(n))
}

func BenchmarkLoadPass(b *testing.B) {
	for _, connections := range []int{16, 100} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) {
			h := startLoad(b)
			load(b, "unix", h.path("policy.sock"), connections, prepared(passing), readAction, "action=DUNNO\n")
		})
	}
}

// BenchmarkLoadFloor is the same client against the least that a server can do.
func BenchmarkLoadFloor(b *testing.B) {
	for _, connections := range []int{16, 100} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "floor.sock")
			ln := must[net.Listener](b)(net.Listen("unix", path))
			defer ln.Close()
			go floor(ln)
			load(b, "unix", path, connections, prepared(passing), readAction, "action=DUNNO\n")
		})
	}
}

func floor(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			in := make([]byte, 64<<10)
			end := 0
			for {
				n, err := c.Read(in[end:])
				if err != nil {
					return
				}
				end += n
				if string(in[max(0, end-2):end]) == "\n\n" {
					end = 0
					if _, err := io.WriteString(c, "action=DUNNO\n\n"); err != nil {
						return
					}
				}
			}
		}()
	}
}

// Each refusal is of another sender, and so has an entry of its own.
func BenchmarkLoadRefuse(b *testing.B) {
	h := startLoad(b)
	load(b, "unix", h.path("policy.sock"), 100, func(n int) string {
		return loadRequest(n, fmt.Sprintf("11.%d.%d.%d", n>>16&255, n>>8&255, n&255), fmt.Sprintf("x%d@elsewhere.example", n))
	}, readAction, "action=550 5.1.0 <x")
}

func BenchmarkLoadBlocked(b *testing.B) {
	h := startLoad(b)
	h.block("198.51.100.9", "jan@d1.cz")
	load(b, "unix", h.path("policy.sock"), 100, prepared(func(n int) string {
		return loadRequest(n, "198.51.100.9", loadAccount(n))
	}), readAction, "action=550 5.1.0 ")
}

// Reports of failed logins, each from another address.
func BenchmarkLoadReport(b *testing.B) {
	h := startLoad(b)
	where := strings.TrimPrefix(h.status().Listeners["auth"], "inet:")
	load(b, "tcp", where, 100, func(n int) string {
		body := fmt.Sprintf(`{"device_id":"","login":%q,"protocol":"smtp","pwhash":"%03x","remote":"11.%d.%d.%d",`+
			`"tls":false,"session_id":"","success":false,"policy_reject":false}`, loadAccount(n), n&0xfff, n>>16&255, n>>8&255, n&255)
		return fmt.Sprintf("POST /?command=report HTTP/1.1\r\nHost: %s\r\nUser-Agent: dovecot/auth-policy-client\r\nConnection: Keep-Alive\r\n"+
			"X-Api-Key: secret\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", where, len(body), body)
	}, readStatus, fmt.Sprintf("HTTP/1.1 %d", http.StatusOK))
}
