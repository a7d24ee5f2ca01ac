package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// sessionLife is a working day: after it the token is asked for again.
	sessionLife = 12 * time.Hour
	// maxSessions bounds the open ones; the one that was used least recently goes.
	maxSessions = 1000
)

// sessions are who is logged in. They are kept by the hash of what the cookie
// holds, and are worth nothing once the token has changed.
type sessions struct {
	mu   sync.Mutex
	open *simplelru.LRU[[sha256.Size]byte, session]
}

type session struct {
	token   [sha256.Size]byte // hash of the one that it was opened with
	expires time.Time
}

func newSessions() *sessions {
	open, err := simplelru.NewLRU[[sha256.Size]byte, session](maxSessions, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &sessions{open: open}
}

// begin opens a session and returns what the cookie is to hold: a random word
// that says nothing of the token.
func (s *sessions) begin(token string, now time.Time) string {
	word := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open.Add(sha256.Sum256([]byte(word)), session{sha256.Sum256([]byte(token)), now.Add(sessionLife)})
	return word
}

// holds tells whether the word is that of an open session under this token.
func (s *sessions) holds(word, token string, now time.Time) bool {
	key := sha256.Sum256([]byte(word))
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.open.Get(key)
	if !ok {
		return false
	}
	if one.token != sha256.Sum256([]byte(token)) || !now.Before(one.expires) {
		s.open.Remove(key)
		return false
	}
	return true
}

func (s *sessions) end(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open.Remove(sha256.Sum256([]byte(word)))
}

// sameToken compares in constant time; of equal lengths, thanks to the hashes.
func sameToken(got, want string) bool {
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && want != ""
}

// encrypted tells whether the browser speaks TLS, with us or with a proxy. A
// client that lies about it only gets a cookie that its browser sends less often.
func encrypted(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// cookieName binds the cookie to this very host where TLS allows it (RFC 6265bis
// section 4.1.3.2).
func cookieName(r *http.Request) string {
	if encrypted(r) {
		return "__Host-portreeve"
	}
	return "portreeve"
}

// cookie is the session cookie; an empty word deletes it.
func cookie(r *http.Request, word string) *http.Cookie {
	c := &http.Cookie{
		Name: cookieName(r), Value: word, Path: "/", MaxAge: int(sessionLife / time.Second),
		Secure: encrypted(r), HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
	if word == "" {
		c.MaxAge = -1
	}
	return c
}

// cookieWord is what the browser's cookie holds.
func cookieWord(r *http.Request) string {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return ""
	}
	return c.Value
}
