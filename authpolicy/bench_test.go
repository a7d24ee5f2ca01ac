package authpolicy_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"portreeve/authpolicy"
	"portreeve/rules"
)

// idleGate decides and remembers at no cost.
type idleGate struct{}

func (idleGate) Decide(context.Context, *rules.Request) rules.Decision { return rules.Decision{} }
func (idleGate) Tell(context.Context, rules.Event) error               { return nil }

// BenchmarkHandler is one request of Dovecot's without the HTTP server around it.
func BenchmarkHandler(b *testing.B) {
	const body = `{"device_id":"","login":"jan@domena.cz","protocol":"submission","pwhash":"021e","remote":"192.0.2.7","session_id":"","success":false,"policy_reject":false,"tls":false}`
	h := authpolicy.New(authpolicy.Options{Token: func() string { return token }, Gate: idleGate{}})
	for _, command := range []string{"allow", "report"} {
		b.Run(command, func(b *testing.B) {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/?command="+command, nil)
			r.Header.Set("X-Api-Key", token)
			reader := strings.NewReader(body)
			b.ReportAllocs()
			for b.Loop() {
				reader.Reset(body)
				r.Body = nopCloser{reader}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatalf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
}

type nopCloser struct{ *strings.Reader }

func (nopCloser) Close() error { return nil }
