package authpolicy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/authpolicy"
	"portreeve/internal/listen"
	"portreeve/rules"
)

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

type running struct {
	client *http.Client
	path   string
	log    syncBuffer
	meter  meter
	cancel context.CancelFunc
	done   chan error
}

func serve(t *testing.T, g authpolicy.Gate, drain time.Duration) *running {
	t.Helper()
	r := &running{path: filepath.Join(t.TempDir(), "auth.sock"), done: make(chan error, 1)}
	ln, err := listen.Open(listen.Address{Network: "unix", Addr: r.path}, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(r.cancel)
	log := slog.New(slog.NewTextHandler(&r.log, nil))
	s := &authpolicy.Server{
		Handler: authpolicy.New(authpolicy.Options{Token: func() string { return token }, Gate: g, Log: log}),
		Log:     log, Meter: &r.meter, Drain: drain,
	}
	go func() { r.done <- s.Serve(ctx, ln) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	r.client = &http.Client{Transport: transport}
	return r
}

func (r *running) post(command, body string) (string, error) {
	q, err := http.NewRequest(http.MethodPost, "http://portreeve/?command="+command, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	q.Header.Set("X-Api-Key", token)
	w, err := r.client.Do(q)
	if err != nil {
		return "", err
	}
	defer w.Body.Close()
	b, err := io.ReadAll(w.Body)
	return strings.TrimSuffix(string(b), "\n"), err
}

// mirror refuses with the login, so that a mixed-up answer shows.
type mirror struct{ gate }

func (*mirror) Decide(_ context.Context, r *rules.Request) rules.Decision {
	return rules.Decision{Action: rules.Refuse, Reply: rules.Reply{Text: r.Login}}
}

func TestConcurrentLoad(t *testing.T) {
	g := new(mirror)
	r := serve(t, g, 0)
	var clients sync.WaitGroup
	for i := range 40 {
		clients.Go(func() {
			for j := range 25 {
				login := fmt.Sprintf("u%d.%d@a.cz", i, j)
				body := fmt.Sprintf(`{"login":%q,"protocol":"smtp","remote":"192.0.2.1","success":false,"policy_reject":false}`, login)
				want := fmt.Sprintf(`{"status":-1,"msg":%q}`, login)
				if got, err := r.post("allow", body); err != nil || got != want {
					t.Errorf("%s, %v; want %s", got, err, want)
				}
				if got, err := r.post("report", body); err != nil || got != goOn {
					t.Errorf("%s, %v", got, err)
				}
			}
		})
	}
	clients.Wait()
	if len(g.told) != 1000 {
		t.Errorf("%d reports remembered", len(g.told))
	}
	r.cancel() // with idle connections open
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	if opened, closed := r.meter.counts["opened auth_policy"], r.meter.counts["closed auth_policy"]; opened == 0 || opened != closed {
		t.Errorf("opened %d, closed %d", opened, closed)
	}
}

func TestPanicEndsOneRequest(t *testing.T) {
	r := serve(t, new(gate), 0)
	if got, err := r.post("allow", `{"login":"panic","protocol":"smtp","remote":""}`); err == nil {
		t.Errorf("answered %s", got)
	}
	if got, err := r.post("allow", `{"login":"a","protocol":"smtp","remote":""}`); err != nil || got != goOn {
		t.Errorf("%s, %v", got, err)
	}
	if !strings.Contains(r.log.String(), "a bug") {
		t.Errorf("log %s", r.log.String())
	}
}

// slow answers when it is released.
type slow struct {
	gate
	begun, release chan struct{}
}

func (s *slow) Tell(ctx context.Context, e rules.Event) error {
	close(s.begun)
	<-s.release
	return ctx.Err()
}

// TestDrain: a report that has begun is remembered and answered, even though
// the daemon stops and Dovecot has hung up.
func TestDrain(t *testing.T) {
	g := &slow{begun: make(chan struct{}), release: make(chan struct{})}
	r := serve(t, g, 0)
	answered := make(chan string)
	go func() {
		got, err := r.post("report", report(`,"success":false,"policy_reject":false`))
		if err != nil {
			got = err.Error()
		}
		answered <- got
	}()
	<-g.begun
	r.cancel()
	close(g.release)
	if got := <-answered; got != goOn {
		t.Error(got)
	}
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	if strings.Contains(r.log.String(), "could not be remembered") {
		t.Error(r.log.String())
	}
	if _, err := r.post("allow", "{}"); err == nil {
		t.Error("answered after the drain")
	}
}

func TestDrainGivesUp(t *testing.T) {
	g := &slow{begun: make(chan struct{}), release: make(chan struct{})}
	r := serve(t, g, time.Millisecond)
	ended := make(chan error)
	go func() {
		_, err := r.post("report", report(`,"success":false,"policy_reject":false`))
		ended <- err
	}()
	<-g.begun
	r.cancel()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("answered without Tell")
	}
	close(g.release)
}

func TestListenerFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	s := &authpolicy.Server{Handler: http.NotFoundHandler()}
	if err := s.Serve(t.Context(), ln); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "restart") {
		t.Errorf("got %v", err)
	}
}
