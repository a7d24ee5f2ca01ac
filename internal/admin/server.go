package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"portreeve/journal"
)

// maxBody bounds a request: a pasted text and a message's header fit.
const maxBody = 4 << 20

// Backend is what the daemon offers on its admin socket.
type Backend interface {
	Status(ctx context.Context) (Status, error)
	Explain(ctx context.Context, r ExplainRequest) (ExplainAnswer, error)
	Decisions(ctx context.Context, r DecisionsRequest) ([]journal.Entry, error)
	Failures(ctx context.Context, r FailuresRequest) (FailuresAnswer, error)
	Blocks(ctx context.Context, r BlocksRequest) ([]Block, error)
	Unblock(ctx context.Context, r UnblockRequest) ([]Unblocked, error)
	Reload(ctx context.Context) (Reloaded, error)
	Test(ctx context.Context, r TestRequest) (Tested, error)
	Usage(ctx context.Context, r UsageRequest) (UsageAnswer, error)
	Reset(ctx context.Context, r UsageRequest) (UsageAnswer, error)
}

// ErrRequest marks an error that the asker can mend; it has no text of its own.
var ErrRequest = errors.New("")

// otherVersion ends every answer to what this version's own verbs do not send.
const otherVersion = "ask with the verbs of the portreeve that runs"

// Handler serves a backend. What is not answered with 200 is answered with a
// Problem: 400 for a request that makes no sense, 403 for a browser's, 404 for
// an unknown call, 405 for another method than POST, 413 for a body that is too
// long, 500 for the backend's own failure, which is logged.
func Handler(b Backend, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	handle(mux, log, "/v1/status", func(ctx context.Context, _ struct{}) (Status, error) { return b.Status(ctx) })
	handle(mux, log, "/v1/explain", b.Explain)
	handle(mux, log, "/v1/decisions", b.Decisions)
	handle(mux, log, "/v1/failures", b.Failures)
	handle(mux, log, "/v1/blocks", b.Blocks)
	handle(mux, log, "/v1/unblock", b.Unblock)
	handle(mux, log, "/v1/reload", func(ctx context.Context, _ struct{}) (Reloaded, error) { return b.Reload(ctx) })
	handle(mux, log, "/v1/test", b.Test)
	handle(mux, log, "/v1/usage", b.Usage)
	handle(mux, log, "/v1/reset", b.Reset)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, log, http.StatusNotFound, fmt.Errorf("there is no call %q here: %s", r.URL.Path, otherVersion))
	})
	return notForBrowsers(mux, log)
}

// notForBrowsers refuses what a web page sent. A unix socket is out of a page's
// reach until somebody forwards it to a TCP port; then any page could lift a
// block with a plain form. Browsers put one of these headers on every POST.
func notForBrowsers(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
			log.Warn("admin request from a web page refused", "path", r.URL.Path, "origin", r.Header.Get("Origin"))
			refuse(w, log, http.StatusForbidden, errors.New("web pages may not ask here: use the portreeve command"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// handle serves one call: a JSON body in, a JSON body out.
func handle[In, Out any](mux *http.ServeMux, log *slog.Logger, path string, call func(context.Context, In) (Out, error)) {
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			refuse(w, log, http.StatusMethodNotAllowed, fmt.Errorf("%s takes no %s: send a POST", path, r.Method))
			return
		}
		var in In
		if err := read(http.MaxBytesReader(w, r.Body, maxBody), &in); err != nil {
			status := http.StatusBadRequest
			if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
				status = http.StatusRequestEntityTooLarge
			}
			refuse(w, log, status, fmt.Errorf("reading the request: %w: %s", err, otherVersion))
			return
		}
		out, err := call(r.Context(), in)
		switch {
		case errors.Is(err, ErrRequest):
			refuse(w, log, http.StatusBadRequest, err)
		case err != nil:
			log.Error("admin request failed", "path", r.URL.Path, "error", err)
			refuse(w, log, http.StatusInternalServerError, err)
		default:
			answer(w, log, http.StatusOK, out)
		}
	})
}

// read takes one JSON value; an empty body is the zero value. A misspelt key
// must not pass for one that was left out.
func read(body io.Reader, in any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(in)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	switch _, err := d.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return fmt.Errorf("after the JSON value: %w", err)
	}
	return errors.New("something follows the JSON value")
}

func refuse(w http.ResponseWriter, log *slog.Logger, status int, err error) {
	answer(w, log, status, Problem{Error: err.Error()})
}

func answer(w http.ResponseWriter, log *slog.Logger, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Warn("admin answer not delivered", "error", err)
	}
}
