package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestLogIn(t *testing.T) {
	r := newRig(t)
	if a := r.get("/"); a.Code != http.StatusSeeOther || a.Header().Get("Location") != "login" {
		t.Fatalf("without a cookie: %d %q", a.Code, a.Header().Get("Location"))
	}
	wrong := r.post("/login", url.Values{"token": {"x" + goodToken}})
	if wrong.Code != http.StatusForbidden || len(wrong.Result().Cookies()) != 0 {
		t.Errorf("wrong token: %d %v", wrong.Code, wrong.Result().Cookies())
	}
	has(t, wrong.Body.String(), "That is not the token")
	right := r.post("/login", url.Values{"token": {" " + goodToken + "\n"}}) // as it is copied from a file
	if right.Code != http.StatusSeeOther || right.Header().Get("Location") != "./" {
		t.Fatalf("right token: %d %q", right.Code, right.Header().Get("Location"))
	}
	has(t, r.page("/"), "mx1.domena.cz", "Log out")
	if strings.Contains(r.log.String(), goodToken) {
		t.Error("the token is in the log")
	}
}

func TestCookie(t *testing.T) {
	for _, c := range []struct {
		proto, name string
		secure      bool
	}{{"", "portreeve", false}, {"http", "portreeve", false}, {"https", "__Host-portreeve", true}} {
		r := newRig(t)
		r.header["X-Forwarded-Proto"] = c.proto
		a := r.post("/login", url.Values{"token": {goodToken}})
		cookies := a.Result().Cookies()
		if len(cookies) != 1 {
			t.Fatalf("%q: %v", c.proto, cookies)
		}
		k := cookies[0]
		if k.Name != c.name || k.Secure != c.secure || !k.HttpOnly || k.SameSite != http.SameSiteStrictMode || k.Path != "/" || k.Domain != "" {
			t.Errorf("%q: %s", c.proto, k)
		}
		if len(k.Value) < 26 || strings.Contains(k.Value, goodToken) {
			t.Errorf("%q: the value is %q", c.proto, k.Value)
		}
	}
}

func TestSessionEnds(t *testing.T) {
	for name, end := range map[string]func(*rig){
		"after its time":         func(r *rig) { r.now = r.now.Add(sessionLife) },
		"with the token":         func(r *rig) { r.token = "another-long-word" },
		"by an invented cookie":  func(r *rig) { r.cookie.Value = strings.Repeat("A", 26) },
		"by its own cookie name": func(r *rig) { r.header["X-Forwarded-Proto"] = "https" },
	} {
		r := inside(t)
		r.page("/")
		end(r)
		if a := r.get("/"); a.Code != http.StatusSeeOther {
			t.Errorf("%s: %d", name, a.Code)
		}
	}
	r := inside(t)
	r.now = r.now.Add(sessionLife - time.Second)
	r.page("/")
}

// What the browser kept is worth nothing after the log-out.
func TestLogOut(t *testing.T) {
	r := inside(t)
	kept := *r.cookie
	if a := r.post("/logout", nil); a.Code != http.StatusSeeOther || a.Header().Get("Location") != "login" {
		t.Errorf("%d %q", a.Code, a.Header().Get("Location"))
	}
	if r.cookie != nil {
		t.Errorf("the browser was left with %s", r.cookie)
	}
	r.cookie = &kept
	if a := r.get("/"); a.Code != http.StatusSeeOther {
		t.Errorf("a kept cookie opens the page: %d", a.Code)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	s := newSessions()
	first := s.begin("token", noon)
	for range maxSessions - 1 {
		s.begin("token", noon)
	}
	if !s.holds(first, "token", noon) {
		t.Error("a session was lost before the bound")
	}
	for range maxSessions {
		s.begin("token", noon)
	}
	if s.open.Len() != maxSessions || s.holds(first, "token", noon) {
		t.Errorf("%d sessions are open", s.open.Len())
	}
}

func TestGuessingIsThrottled(t *testing.T) {
	r := newRig(t)
	guess := func() int { return r.post("/login", url.Values{"token": {"guess"}}).Code }
	for i := range triesEach {
		if code := guess(); code != http.StatusForbidden {
			t.Fatalf("guess %d: %d", i+1, code)
		}
	}
	r.now = r.now.Add(time.Minute)
	a := r.post("/login", url.Values{"token": {goodToken}})
	if a.Code != http.StatusTooManyRequests || a.Header().Get("Retry-After") != strconv.Itoa(9*60) {
		t.Errorf("then the right token: %d, Retry-After %q", a.Code, a.Header().Get("Retry-After"))
	}
	has(t, a.Body.String(), "Too many wrong tokens: try again in 9 minutes.")
	r.peer = "192.0.2.11:40000"
	if a := r.post("/login", url.Values{"token": {goodToken}}); a.Code != http.StatusSeeOther {
		t.Errorf("another address: %d", a.Code)
	}
	r.peer, r.now = "192.0.2.10:41000", noon.Add(triesWindow)
	for range triesEach {
		if code := guess(); code != http.StatusForbidden {
			t.Errorf("after the window: %d", code)
		}
	}
	r.now = noon // the clock was set back
	if code := guess(); code != http.StatusForbidden {
		t.Errorf("with an older clock: %d", code)
	}
}

// Those who mistype now and then are never kept out.
func TestRightTokenForgives(t *testing.T) {
	r := newRig(t)
	for range 5 * triesEach {
		r.post("/login", url.Values{"token": {"guess"}})
		if a := r.post("/login", url.Values{"token": {goodToken}}); a.Code != http.StatusSeeOther {
			t.Fatalf("%d", a.Code)
		}
	}
}

// Many addresses together are slowed down, without keeping out those who have
// logged in before.
func TestGuessingFromManyAddresses(t *testing.T) {
	r := inside(t)
	home := r.peer
	code := 0
	for i := 0; i <= triesAll; i++ {
		r.peer = fmt.Sprintf("203.0.113.%d:1", i%250)
		code = r.post("/login", url.Values{"token": {"guess"}}).Code
	}
	if code != http.StatusTooManyRequests {
		t.Errorf("guess %d from many: %d", triesAll+1, code)
	}
	r.peer = home
	if a := r.post("/login", url.Values{"token": {goodToken}}); a.Code != http.StatusSeeOther {
		t.Errorf("somebody known: %d", a.Code)
	}
}

func TestOrigin(t *testing.T) {
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.10:4000", "", "192.0.2.10/32"},
		{"192.0.2.10:4000", "198.51.100.1", "192.0.2.10/32"}, // no proxy of this host's: not believed
		{"127.0.0.1:4000", "198.51.100.1", "198.51.100.1/32"},
		{"127.0.0.1:4000", "203.0.113.9, 198.51.100.1", "198.51.100.1/32"}, // what the proxy appended
		{"[::1]:4000", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"},
		{"[::ffff:127.0.0.1]:4000", "::ffff:198.51.100.1", "198.51.100.1/32"},
		{"127.0.0.1:4000", "nonsense", "127.0.0.1/32"},
		{"[2001:db8:1:2::9]:4000", "", "2001:db8:1:2::/64"},
		{"[fe80::9%eth0]:4000", "", "fe80::/64"},
		{"@", "198.51.100.1", "198.51.100.1/32"}, // a unix socket
		{"@", "", "invalid Prefix"},
	} {
		r := newRig(t)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.RemoteAddr = c.peer
		if c.forwarded != "" {
			request.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := origin(request).String(); got != c.want {
			t.Errorf("%q, forwarded for %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
		r.peer, r.header["X-Forwarded-For"] = c.peer, c.forwarded
		if a := r.post("/login", url.Values{"token": {goodToken}}); a.Code != http.StatusSeeOther {
			t.Errorf("%q: %d", c.peer, a.Code)
		}
	}
}

// A log-in leads to what was wanted, and never to another site.
func TestReturn(t *testing.T) {
	for next, want := range map[string]string{
		"":                                    "./",
		"./look?id=abc&lang=cs":               "./look?id=abc&lang=cs",
		"./decisions":                         "./decisions",
		"./blocks?ip=192.0.2.1":               "./blocks?ip=192.0.2.1",
		"https://evil.test/":                  "./",
		"//evil.test/look":                    "./",
		"/\\evil.test":                        "./",
		"./look/../../x":                      "./",
		"javascript:alert(1)":                 "./",
		"./unblock":                           "./",
		"./look\r\nSet-Cookie: a=b":           "./",
		"https:./look":                        "./",
		"./look#\"><script>alert(1)</script>": "./look",
	} {
		r := newRig(t)
		a := r.post("/login", url.Values{"token": {goodToken}, "next": {next}})
		if got := a.Header().Get("Location"); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
	r := newRig(t)
	a := r.get("/look?id=abc&lang=cs")
	if got, want := a.Header().Get("Location"), "login?next=.%2Flook%3Fid%3Dabc%26lang%3Dcs"; got != want {
		t.Errorf("asked for the token at %q, want %q", got, want)
	}
	has(t, r.page("/login?next=.%2Flook%3Fid%3Dabc"), `name="next" value="./look?id=abc"`)
}

// A link in a ticket brings no SameSite cookie: the page then says how to go on.
// HEAD is a question, as GET: nobody is told to repeat what was not done.
func TestHeadIsLedToTheLogin(t *testing.T) {
	r := newRig(t)
	a := r.do(httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/blocks", nil))
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != "login?next=.%2Fblocks" {
		t.Errorf("%d %q", a.Code, a.Header().Get("Location"))
	}
}

func TestLinkFromElsewhere(t *testing.T) {
	r := newRig(t)
	r.header["Sec-Fetch-Site"] = "cross-site"
	has(t, r.page("/login?next=.%2Flook%3Fid%3Dabc"), "Logged in already?", `<a href="./look?id=abc">Go on</a>`)
	r.header["Sec-Fetch-Site"] = "same-origin"
	hasNot(t, r.page("/login"), "Logged in already?")
}

func TestUnencryptedIsSaid(t *testing.T) {
	r := newRig(t)
	has(t, r.page("/login"), "This connection is not encrypted")
	r.header["X-Forwarded-Proto"] = "https"
	hasNot(t, r.page("/login"), "This connection is not encrypted")
	r.header["X-Forwarded-Proto"], r.peer = "", "127.0.0.1:5000"
	hasNot(t, r.page("/login"), "This connection is not encrypted")
}
