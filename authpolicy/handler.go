package authpolicy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"portreeve/rules"
)

// maxBody is how long a request's body may be, in bytes.
const maxBody = 64 << 10

// Gate decides and remembers.
type Gate interface {
	Decide(ctx context.Context, r *rules.Request) rules.Decision
	Tell(ctx context.Context, e rules.Event) error
}

// Meter counts what Dovecot reports, and what is no request of Dovecot's.
type Meter interface {
	ProtocolError(p rules.Protocol)
	// AuthReport counts a report by Dovecot's name of the service (see
	// service) and its result: success, failure, internal, rejected.
	AuthReport(protocol, result string)
}

// Options are what New needs.
type Options struct {
	Token func() string // the present token; while it is empty, nobody may ask
	Gate  Gate
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: no log
	Meter Meter            // nil: none
}

// New returns the handler. It takes any path, since auth_policy_server_url is
// the administrator's, and answers
//
//   - 200 with {"status":…,"msg":…};
//   - 400 (413 for a long one) for a body that is not Dovecot's, 403 without
//     the token, 405 for another method;
//   - 500 for a report that could not be remembered. Dovecot repeats nothing
//     and lets the client in whatever the answer (FACTS.md 2.6), but writes the
//     status to its log, where the administrator looks.
func New(o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Meter == nil {
		o.Meter = noMeter{}
	}
	return &handler{o}
}

type noMeter struct{}

func (noMeter) ProtocolError(rules.Protocol)       {}
func (noMeter) AuthReport(protocol, result string) {}

type handler struct{ Options }

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.authorized(r.Header.Get("X-Api-Key")) {
		h.malformed(w, r, http.StatusForbidden,
			errors.New("wrong token: set auth_policy_server_api_header = X-Api-Key: … to the content of auth_policy.token_file"))
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		h.malformed(w, r, http.StatusMethodNotAllowed, errors.New("not a POST"))
		return
	}
	command := r.URL.Query().Get("command")
	if command != "allow" && command != "report" {
		h.malformed(w, r, http.StatusBadRequest, fmt.Errorf("unknown command %q", command))
		return
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		status := http.StatusBadRequest
		if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
			status = http.StatusRequestEntityTooLarge
		}
		h.malformed(w, r, status, err)
		return
	}
	b, err := parseBody(data, command == "report")
	if err != nil {
		h.malformed(w, r, http.StatusBadRequest, err)
		return
	}
	// Dovecot hangs up after 2 s (FACTS.md 2.6). What has begun is done all the
	// same: a failure that was counted halfway would be lost.
	ctx := context.WithoutCancel(r.Context())
	if command == "report" {
		h.report(ctx, w, b)
		return
	}
	question := b.request()
	question.Time = h.Now()
	decision := h.Gate.Decide(ctx, question)
	h.respond(w, http.StatusOK, allow(&decision))
}

// authorized compares in constant time; of equal lengths, thanks to the hashes.
func (h *handler) authorized(key string) bool {
	token := h.Token()
	want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && token != ""
}

// report tells what Dovecot told. The answer waits until it is remembered.
func (h *handler) report(ctx context.Context, w http.ResponseWriter, b *body) {
	e, result, ok := b.event()
	h.Meter.AuthReport(service(e.Service), result)
	status := http.StatusOK
	if ok {
		e.Time = h.Now()
		if err := h.Gate.Tell(ctx, e); err != nil {
			h.Log.Error("a report could not be remembered", "protocol", rules.ProtocolAuthPolicy,
				"client", e.Client, "login", rules.ShownLogin(e.Login), "error", err)
			status = http.StatusInternalServerError
		}
	}
	h.respond(w, status, answer{})
}

// service is the name as a metric's label: Dovecot's names are few, but they
// are somebody's configuration.
func service(name string) string {
	if name == "" || len(name) > 32 {
		return "other"
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return "other"
		}
	}
	return name
}

func (h *handler) malformed(w http.ResponseWriter, r *http.Request, status int, err error) {
	h.Log.Warn("malformed auth policy request", "protocol", rules.ProtocolAuthPolicy,
		"peer", r.RemoteAddr, "status", status, "error", err)
	h.Meter.ProtocolError(rules.ProtocolAuthPolicy)
	// Dovecot lets the client in after any of these (FACTS.md 2.6).
	h.respond(w, status, answer{})
}

func (h *handler) respond(w http.ResponseWriter, status int, a answer) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // a reply's <sender> stays readable
	if err := enc.Encode(a); err != nil {
		h.Log.Error("cannot encode an answer", "protocol", rules.ProtocolAuthPolicy, "error", err)
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(out.Bytes()); err != nil {
		h.Log.Debug("an answer could not be sent", "protocol", rules.ProtocolAuthPolicy, "error", err)
	}
}
