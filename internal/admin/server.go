package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
)

// maxBody bounds a request: a pasted text and a message's header fit.
const maxBody = 4 << 20

// Backend is what the daemon offers on its admin socket.
type Backend interface {
	Status(ctx context.Context) (Status, error)
	Explain(ctx context.Context, r ExplainRequest) (ExplainAnswer, error)
	Blocks(ctx context.Context) ([]Block, error)
	Unblock(ctx context.Context, r UnblockRequest) ([]Unblocked, error)
	Reload(ctx context.Context) (Reloaded, error)
	Test(ctx context.Context, r TestRequest) (Tested, error)
}

// ErrRequest marks an error that the asker can mend; it has no text of its own.
var ErrRequest = errors.New("")

// Handler serves a backend.
func Handler(b Backend, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	handle(mux, log, "POST /v1/status", func(ctx context.Context, _ struct{}) (Status, error) { return b.Status(ctx) })
	handle(mux, log, "POST /v1/explain", b.Explain)
	handle(mux, log, "POST /v1/blocks", func(ctx context.Context, _ struct{}) ([]Block, error) { return b.Blocks(ctx) })
	handle(mux, log, "POST /v1/unblock", b.Unblock)
	handle(mux, log, "POST /v1/reload", func(ctx context.Context, _ struct{}) (Reloaded, error) { return b.Reload(ctx) })
	handle(mux, log, "POST /v1/test", b.Test)
	return mux
}

// handle serves one call: a JSON body in, a JSON body out.
func handle[In, Out any](mux *http.ServeMux, log *slog.Logger, pattern string, call func(context.Context, In) (Out, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in In
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil && !errors.Is(err, io.EOF) {
			answer(w, log, http.StatusBadRequest, Problem{Error: "reading the request: " + err.Error()})
			return
		}
		out, err := call(r.Context(), in)
		switch {
		case errors.Is(err, ErrRequest):
			answer(w, log, http.StatusBadRequest, Problem{Error: err.Error()})
		case err != nil:
			log.Error("admin request failed", "path", r.URL.Path, "error", err)
			answer(w, log, http.StatusInternalServerError, Problem{Error: err.Error()})
		default:
			answer(w, log, http.StatusOK, out)
		}
	})
}

func answer(w http.ResponseWriter, log *slog.Logger, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Warn("admin answer not delivered", "error", err)
	}
}
