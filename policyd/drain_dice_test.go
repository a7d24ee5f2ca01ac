package policyd_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"portreeve/internal/listen"
	"portreeve/rules"
)

// askUntilCut asks until a request can not be written any more. One that could be is
// answered.
func askUntilCut(path string, n int) error {
	c, err := net.Dial("unix", path)
	if err != nil {
		return nil //nolint:nilerr // it has drained already
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	for i := 0; ; i++ {
		name := fmt.Sprintf("%d.%d@a.cz", n, i)
		request, cut := full(name), 0
		if i%5 == 4 {
			cut = 100
		}
		for _, part := range []string{request[:cut], request[cut:]} {
			if _, err := io.WriteString(c, part); err != nil {
				return nil //nolint:nilerr // Postfix opens another connection
			}
		}
		want := "action=550 5.1.0 " + name + "\n\n"
		got := make([]byte, len(want))
		switch k, err := io.ReadFull(c, got); {
		case i == 0 && err != nil:
			return nil //nolint:nilerr // it waited to be accepted
		case err != nil || string(got) != want:
			return fmt.Errorf("%q, %w, want %q", got[:k], err, want)
		}
		if i%7 == n%7 {
			time.Sleep(200 * time.Microsecond)
		}
	}
}

// TestDrainAtAnyMoment: over a unix socket no request is taken and not answered, and
// what the drain itself has cut is nobody's error.
func TestDrainAtAnyMoment(t *testing.T) {
	inEachWay(t, func(t *testing.T, w way) {
		for round := range 20 {
			path := filepath.Join(t.TempDir(), "policy.sock")
			ln, err := listen.Open(listen.Address{Network: "unix", Addr: path}, 0o666)
			if err != nil {
				t.Fatal(err)
			}
			p, closed, err := w.server(mirror{})
			if err != nil {
				t.Fatal(err)
			}
			var bad counter
			p.Meter = &bad
			s := &listen.Server{Name: rules.ProtocolPolicy, Handle: p.Handle}
			ctx, drain := context.WithCancel(t.Context())
			var all sync.WaitGroup
			for n := range 20 {
				all.Go(func() {
					if err := askUntilCut(path, n); err != nil {
						t.Errorf("round %d: %v", round, err)
					}
				})
			}
			time.AfterFunc(time.Duration(2+round%9)*time.Millisecond, drain)
			if err := s.Serve(ctx, ln); err != nil {
				t.Error(err)
			}
			all.Wait()
			if err := closed(); err != nil {
				t.Error(err)
			}
			if n := bad.Load(); n > 0 {
				t.Errorf("round %d: %d malformed requests", round, n)
			}
		}
	})
}
