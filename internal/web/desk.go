package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"portreeve/internal/admin"
	"portreeve/journal"
)

const (
	// pageTime bounds the work for one page: a filter that finds nothing in a
	// long journal must end some time.
	pageTime = 10 * time.Second
	// pagesAtOnce bounds the pages that read the store at a time, so that a room
	// full of help desks leaves readers for the verbs.
	pagesAtOnce = 3
	// maxForm bounds what a form may send, in bytes; a pasted bounce fits.
	maxForm = 1 << 20
)

// Backend is the part of admin.Backend that the page shows.
type Backend interface {
	Status(ctx context.Context) (admin.Status, error)
	Explain(ctx context.Context, r admin.ExplainRequest) (admin.ExplainAnswer, error)
	Decisions(ctx context.Context, r admin.DecisionsRequest) ([]journal.Entry, error)
	Failures(ctx context.Context, r admin.FailuresRequest) (admin.FailuresAnswer, error)
	Blocks(ctx context.Context, r admin.BlocksRequest) ([]admin.Block, error)
	Unblock(ctx context.Context, r admin.UnblockRequest) ([]admin.Unblocked, error)
	Usage(ctx context.Context, r admin.UsageRequest) (admin.UsageAnswer, error)
	Reset(ctx context.Context, r admin.UsageRequest) (admin.UsageAnswer, error)
}

// DeskOptions are what NewDesk needs.
type DeskOptions struct {
	Backend Backend
	Token   func() string // the present token; while it is empty, the page is off
	Hour    *Hour
	Host    string           // this host's name
	Reply   func() string    // the sender rule's text in [replies]; nil: the documented one
	Zone    *time.Location   // of times on the page; nil: that of this process
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: no log
}

// desk is the help-desk page.
type desk struct {
	DeskOptions
	sessions *sessions
	attempts *attempts
	sheets   sheets
	pages    chan struct{}
}

// NewDesk is the help-desk page. GET changes nothing; what changes something is
// a POST that comes from a page of this very host (net/http's
// CrossOriginProtection) and from somebody who is logged in.
func NewDesk(o DeskOptions) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Reply == nil {
		o.Reply = func() string { return "" }
	}
	if o.Zone == nil {
		o.Zone = time.Local
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &desk{
		DeskOptions: o, sessions: newSessions(), attempts: newAttempts(), sheets: newSheets(o.Zone),
		pages: make(chan struct{}, pagesAtOnce),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{file}", asset)
	mux.HandleFunc("GET /login", d.loginPage)
	mux.HandleFunc("POST /login", d.login)
	mux.HandleFunc("POST /logout", d.logout)
	mux.Handle("GET /{$}", d.inside(d.home))
	mux.Handle("GET /look", d.inside(d.look))
	mux.Handle("POST /look", d.inside(d.search))
	mux.Handle("GET /decisions", d.inside(d.decisions))
	mux.Handle("GET /blocks", d.inside(d.blocks))
	mux.Handle("POST /unblock", d.inside(d.unblock))
	mux.Handle("POST /reset", d.inside(d.reset))
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.Log.Warn("help-desk request from another site refused", "path", r.URL.Path, "peer", r.RemoteAddr, "origin", r.Header.Get("Origin"))
		plain(w, http.StatusForbidden, "This request came from a page of another site: open the help-desk page itself and try again. "+
			"If it did not, the proxy in front must pass the Host header on unchanged.")
	}))
	return d.guarded(origin.Handler(mux))
}

// guarded sets what every answer has, and is nobody's while there is no token.
func (d *desk) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Robots-Tag", "noindex, nofollow")
		h.Set("Cache-Control", "no-store")
		if d.Token() == "" {
			plain(w, http.StatusNotFound, "The help-desk page is off: write a long random word to a file, name the file in web.token_file, and run portreeve reload.")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

// plain answers with a sentence.
func plain(w http.ResponseWriter, status int, sentence string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, sentence+"\n")
}

// inside lets nobody in who is not logged in, and bounds what a page costs.
func (d *desk) inside(page func(http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.sessions.holds(cookieWord(r), d.Token(), d.Now()) {
			d.askToken(w, r)
			return
		}
		if err := r.ParseForm(); err != nil { // before it holds a place
			d.badForm(w, r, err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), pageTime)
		defer cancel()
		select {
		case d.pages <- struct{}{}:
			defer func() { <-d.pages }()
		case <-ctx.Done():
			plain(w, http.StatusServiceUnavailable, "Too many pages are being looked at: try again in a minute.")
			return
		}
		page(w, r.WithContext(ctx))
	})
}

// badForm answers what cannot be read.
func (d *desk) badForm(w http.ResponseWriter, r *http.Request, err error) {
	status, sentence := http.StatusBadRequest, "The form cannot be read: open the page again and repeat it."
	if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
		status, sentence = http.StatusRequestEntityTooLarge, "This text is too long: paste only the error message, at most 1 MiB."
	}
	d.failed(w, r, status, sentence)
}

// failed is a page with one sentence.
func (d *desk) failed(w http.ResponseWriter, r *http.Request, status int, sentence string) {
	d.render(w, status, "message", struct {
		frame
		Sentence string
	}{d.frame(r, "Not done"), sentence})
}

// backendError answers an error of the backend: the asker's own is shown, any
// other is logged.
func (d *desk) backendError(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	if errors.Is(err, admin.ErrRequest) {
		status = http.StatusBadRequest
	}
	d.failed(w, r, status, d.sentence(r, err))
}

// sentence says an error on a page.
func (d *desk) sentence(r *http.Request, err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, admin.ErrRequest):
		return upperFirst(err.Error()) + "."
	case errors.Is(err, context.DeadlineExceeded):
		return "This took too long: choose a shorter time."
	case errors.Is(err, context.Canceled):
		return "The page was closed."
	}
	d.Log.Error("help-desk page failed", "path", r.URL.Path, "error", err)
	return "This cannot be shown now: the daemon's log says why."
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// part is one part of a page: the others are shown when it fails.
type part[T any] struct {
	Value T
	Error string
}

func partOf[T any](d *desk, r *http.Request) func(T, error) part[T] {
	return func(value T, err error) part[T] { return part[T]{value, d.sentence(r, err)} }
}
