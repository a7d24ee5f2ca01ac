// Package web serves /metrics and /healthz, and the help-desk page: what a
// person who is no postmaster needs while a customer is on the telephone.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Handler serves the metrics, and healthz: 200 while the store can be written,
// 503 with the reason otherwise. Mail goes on in either case. Everything else is
// the help desk's.
func Handler(metrics http.Handler, healthy func() error, desk http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := healthy(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, err.Error()+"\n")
			return
		}
		io.WriteString(w, "ok\n")
	})
	mux.Handle("/", desk)
	return mux
}

// Serve answers until ctx ends, then finishes what has begun.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	drain := func() error {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := s.Shutdown(within)
		if errors.Is(err, context.DeadlineExceeded) {
			err = s.Close() // somebody who has connected and asks nothing
		}
		return err
	}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { drained <- drain() })
	// A guarded listener fails as soon as ctx ends, before Shutdown has begun.
	err := s.Serve(ln)
	switch {
	case !stop():
		return <-drained
	case ctx.Err() != nil:
		return drain()
	default:
		return errors.Join(fmt.Errorf("serving HTTP on %s: %w: restart the service", ln.Addr(), err), s.Close())
	}
}
