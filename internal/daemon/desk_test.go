package daemon

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// pages is a browser on the help-desk page.
type pages struct {
	*host
	client *http.Client
	at     string
}

func (h *host) pages() *pages {
	h.t.Helper()
	jar := must[*cookiejar.Jar](h.t)(cookiejar.New(nil))
	at := "http://" + strings.TrimPrefix(h.status().Listeners["web"], "inet:")
	return &pages{host: h, client: &http.Client{Jar: jar}, at: at}
}

func (p *pages) read(res *http.Response, err error) (status int, body string) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode, string(must[[]byte](p.t)(io.ReadAll(res.Body)))
}

func (p *pages) open(path string) (status int, body string) {
	p.t.Helper()
	return p.read(p.client.Get(p.at + path))
}

func (p *pages) send(path string, form url.Values) (status int, body string) {
	p.t.Helper()
	return p.read(p.client.PostForm(p.at+path, form))
}

const withDesk = plain + `
[web]
token_file = "web-token"
`

// The page is that of the running daemon: its blocks, its decisions, its token.
func TestHelpDeskPage(t *testing.T) {
	h := prepare(t, withDesk)
	h.write("web-token", "first-long-word\n")
	h.run()
	p := h.pages()
	if _, body := p.open("/"); !strings.Contains(body, "Token") {
		t.Errorf("without a session: %s", body)
	}
	if status, body := p.send("/login", url.Values{"token": {"first-long-word"}}); status != http.StatusOK || !strings.Contains(body, "Nobody is blocked.") {
		t.Fatalf("log-in: %d %s", status, body)
	}
	h.block("192.0.2.7", "jan@domena.cz")
	h.ask(envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@seznam.cz", recipient: "x@example.com"})
	_, body := p.open("/")
	for _, want := range []string{`value="192.0.2.7"`, "The sender is not of the account", "<strong>1</strong> refused"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not in %s", want, body)
		}
	}
	if _, body := p.send("/unblock", url.Values{"address": {"192.0.2.7"}, "back": {"./blocks"}}); !strings.Contains(body, "is not blocked any more") {
		t.Errorf("unblocked: %s", body)
	}
	if blocks := h.blocks(); len(blocks) > 0 {
		t.Errorf("still blocked: %+v", blocks)
	}

	h.write("web-token", "second-long-word\n")
	h.reloaded()
	if _, body := p.open("/"); strings.Contains(body, "Nobody is blocked") {
		t.Error("a session of the old token goes on")
	}
	if status, _ := p.send("/login", url.Values{"token": {"first-long-word"}}); status != http.StatusForbidden {
		t.Errorf("the old token: %d", status)
	}
	if status, body := p.send("/login", url.Values{"token": {"second-long-word"}}); status != http.StatusOK || !strings.Contains(body, "Nobody is blocked.") {
		t.Errorf("the new token: %d %s", status, body)
	}
	h.write("portreeve.toml", plain)
	h.reloaded()
	if status, body := p.open("/"); status != http.StatusNotFound || !strings.Contains(body, "The help-desk page is off") {
		t.Errorf("turned off: %d %s", status, body)
	}
	if status, _ := p.open("/healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
}
