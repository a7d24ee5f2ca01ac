package web

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"portreeve/internal/listen"
)

func TestHandler(t *testing.T) {
	var ill error
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "portreeve_store_up 1\n") })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, ln, Handler(metrics, func() error { return ill }, newRig(t).desk)) }()
	get := func(path string, status int, want string) {
		t.Helper()
		res, err := http.Get("http://" + ln.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != status || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s %q %v", path, res.Status, body, err)
		}
	}
	get("/metrics", http.StatusOK, "portreeve_store_up 1")
	get("/healthz", http.StatusOK, "ok")
	ill = errors.New("disk full")
	get("/healthz", http.StatusServiceUnavailable, "disk full")
	get("/", http.StatusOK, "Token") // the page asks for it
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A guarded listener fails when ctx ends; that is no error of the server's.
func TestServeEndsWithItsContext(t *testing.T) {
	for range 200 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			ended <- Serve(ctx, (&listen.Server{}).Listener(ctx, ln), http.NotFoundHandler())
		}()
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}
