package policyd_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/rules"
)

// echo answers with everything that its request names, and is sometimes at it while
// other connections are.
type echo struct{}

func (echo) Decide(_ context.Context, r *rules.Request) rules.Decision {
	if len(r.Sender)%3 == 0 {
		runtime.Gosched()
	}
	if strings.HasPrefix(r.Sender, "panic") {
		panic("a bug")
	}
	return rules.Decision{Action: rules.Refuse, Reply: rules.Reply{Code: 550, Enhanced: "5.1.0", Text: r.Sender + " " + r.Recipient + " " + r.Login + " " + r.Instance}}
}

// someRequest is one of its own kind, and what must be answered.
func someRequest(r *rand.Rand, name string) (request, answer string) {
	sender, login := name+strings.Repeat("s", r.IntN(40)), ""
	lines := []string{"request=smtpd_access_policy", "protocol_state=RCPT", "sender=" + sender, "instance=i" + name}
	recipient := ""
	if r.IntN(2) == 0 {
		recipient = "r" + name
		lines = append(lines, "recipient="+recipient)
	}
	if r.IntN(2) == 0 {
		login = "l" + name
		lines = append(lines, "sasl_username="+login)
	}
	if r.IntN(4) == 0 {
		lines = append(lines, "other="+strings.Repeat("o", r.IntN(60_000)))
	}
	r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return strings.Join(lines, "\n") + "\n\n", fmt.Sprintf("action=550 5.1.0 %s %s %s i%s\n\n", sender, recipient, login, name)
}

// talk has one connection say a number of requests, in pieces of all sizes, alone or
// several together, and end in one of the ways in which connections end.
func talk(path string, r *rand.Rand, name string) error {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	var said, want strings.Builder
	for i := range 1 + r.IntN(8) {
		request, answer := someRequest(r, fmt.Sprintf("%s.%d", name, i))
		said.WriteString(request)
		want.WriteString(answer)
		if r.IntN(3) > 0 {
			continue
		}
		if err := exchange(c, r, said.String(), want.String()); err != nil {
			return err
		}
		said.Reset()
		want.Reset()
	}
	said.WriteString([]string{"", "", "sender=half", "no equal sign\n\n", "request=smtpd_access_policy\nprotocol_state=RCPT\nsender=panic\n\n"}[r.IntN(5)])
	panics := strings.Contains(said.String(), "sender=panic")
	go func() {
		pieces(c, r, said.String()) //nolint:errcheck // a closed connection takes no more
		if !panics {
			c.CloseWrite() //nolint:errcheck // likewise
		}
	}()
	got, err := io.ReadAll(c)
	if panics {
		return nil // what was not yet written is lost with it
	}
	if err != nil || string(got) != want.String() {
		return fmt.Errorf("%q, %v, want %q", got, err, want.String())
	}
	return nil
}

func exchange(c net.Conn, r *rand.Rand, said, want string) error {
	written := make(chan error, 1)
	go func() { written <- pieces(c, r, said) }()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		return fmt.Errorf("%q, %v, want %q", got[:n], err, want)
	}
	return <-written
}

func pieces(c net.Conn, r *rand.Rand, text string) error {
	for len(text) > 0 {
		n := min(len(text), []int{1, 7, 300, 4096, 65536}[r.IntN(5)])
		if _, err := io.WriteString(c, text[:n]); err != nil {
			return err
		}
		if text = text[n:]; r.IntN(4) == 0 {
			time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond)
		}
	}
	return nil
}

// TestDesksAreOfOneAtATime: connections that lend each other their memory see nothing
// of each other, however they talk and end, and nothing of them stays.
func TestDesksAreOfOneAtATime(t *testing.T) {
	inEachWay(t, func(t *testing.T, w way) {
		check := nothingStays(t)
		path := filepath.Join(t.TempDir(), "policy.sock")
		end, err := w.listenAndServe(path, echo{})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for n := range 24 {
			all.Go(func() {
				for i := range 12 {
					if err := talk(path, rand.New(rand.NewPCG(uint64(n), uint64(i))), fmt.Sprintf("%d.%d", n, i)); err != nil {
						t.Errorf("connection %d.%d: %.600v", n, i, err)
						return
					}
				}
			})
		}
		all.Wait()
		if err := end(); err != nil {
			t.Error(err)
		}
		check()
	})
}
