package authpolicy_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/authpolicy"
)

// pipes is a listener that hands over one end of each pipe.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return local{c}, nil
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

type local struct{ net.Conn }

func (local) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// TestSlowClients are cut, whatever they are slow at.
func TestSlowClients(t *testing.T) {
	const head = "POST /?command=allow HTTP/1.1\r\nHost: x\r\nX-Api-Key: " + token + "\r\nContent-Length: 100\r\n"
	for name, tt := range map[string]struct {
		sent string
		want time.Duration
	}{
		"silent":        {"", 5 * time.Second},
		"half a header": {head, 5 * time.Second},
		"half a body":   {head + "\r\n{", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := make(pipes)
				ctx, cancel := context.WithCancel(t.Context())
				s := &authpolicy.Server{Handler: newRig().Handler}
				done := make(chan error)
				go func() { done <- s.Serve(ctx, ln) }()
				ours, theirs := net.Pipe()
				ln <- theirs
				began := time.Now()
				if _, err := io.WriteString(ours, tt.sent); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadAll(ours); err != nil {
					t.Error(err)
				}
				// net/http lingers for half a second after it has refused.
				if took := time.Since(began); took < tt.want || took > tt.want+time.Second {
					t.Errorf("closed after %v, want %v", took, tt.want)
				}
				cancel()
				close(ln)
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
