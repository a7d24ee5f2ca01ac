package web

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxLogin bounds the login form, in bytes: anybody may send it.
const maxLogin = 16 << 10

// askToken sends a browser to the login page; what it wanted is opened after.
func (d *desk) askToken(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		d.loginForm(w, r, http.StatusForbidden, "You are not logged in any more: log in, and repeat what you did.", "")
		return
	}
	target := "login"
	if here := relative(r); here != "./" {
		target += "?next=" + url.QueryEscape(here)
	}
	redirect(w, target)
}

// relative is the request's address as a link of a page has it. All pages lie at
// the top, so that a proxy may serve them below a path of its own.
func relative(r *http.Request) string {
	here := "." + r.URL.Path
	if r.URL.RawQuery != "" {
		here += "?" + r.URL.RawQuery
	}
	return here
}

// redirect leads to a page by a relative link. (http.Redirect would make it
// absolute.)
func redirect(w http.ResponseWriter, target string) {
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
}

// pagesToReturnTo are where a form may lead to.
var pagesToReturnTo = map[string]bool{"./": true, "./look": true, "./decisions": true, "./blocks": true}

// safe is a link to one of our own pages; anything else leads home.
func safe(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || !pagesToReturnTo[u.Path] {
		return "./"
	}
	if u.RawQuery != "" {
		return u.Path + "?" + u.RawQuery
	}
	return u.Path
}

// loginData is the login page.
type loginData struct {
	frame
	Next    string
	Problem string
	// Elsewhere is set when a link of another site led here: the browser then
	// kept the cookie of somebody who is logged in to itself.
	Elsewhere bool
	Clear     bool // the token would cross a network unencrypted
}

func (d *desk) loginPage(w http.ResponseWriter, r *http.Request) {
	d.loginForm(w, r, http.StatusOK, "", r.URL.Query().Get("next"))
}

func (d *desk) loginForm(w http.ResponseWriter, r *http.Request, status int, problem, next string) {
	f := frame{Title: "Log in"}
	d.render(w, status, "login", loginData{
		frame: f, Next: safe(next), Problem: problem,
		Elsewhere: r.Header.Get("Sec-Fetch-Site") == "cross-site",
		Clear:     !encrypted(r) && !local(peerAddr(r)),
	})
}

// login checks the token.
func (d *desk) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxLogin)
	if err := r.ParseForm(); err != nil {
		d.loginForm(w, r, http.StatusBadRequest, "The form cannot be read: try again.", "")
		return
	}
	from, next := origin(r), r.PostForm.Get("next")
	if wait := d.attempts.begin(from, d.Now()); wait > 0 {
		d.Log.Warn("help-desk login refused, too many wrong tokens", "client", from, "peer", r.RemoteAddr)
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		d.loginForm(w, r, http.StatusTooManyRequests, "Too many wrong tokens: try again in "+minutes(wait)+".", next)
		return
	}
	token := d.Token()
	if !sameToken(strings.TrimSpace(r.PostForm.Get("token")), token) {
		d.Log.Warn("help-desk login failed", "client", from, "peer", r.RemoteAddr)
		d.loginForm(w, r, http.StatusForbidden, "That is not the token: it stands in the file that web.token_file names.", next)
		return
	}
	d.attempts.succeeded(from)
	d.Log.Info("help-desk login", "client", from, "peer", r.RemoteAddr)
	http.SetCookie(w, cookie(r, d.sessions.begin(token, d.Now())))
	redirect(w, safe(next))
}

func (d *desk) logout(w http.ResponseWriter, r *http.Request) {
	d.sessions.end(cookieWord(r))
	http.SetCookie(w, cookie(r, ""))
	redirect(w, "login")
}

// minutes says a wait.
func minutes(wait time.Duration) string {
	n := int(math.Ceil(wait.Minutes()))
	if n == 1 {
		return "a minute"
	}
	return strconv.Itoa(n) + " minutes"
}
