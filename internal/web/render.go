package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"portreeve/internal/explain"
	"portreeve/journal"
)

//go:embed templates/*.html
var templateFiles embed.FS

// sheets are the pages' templates by name.
type sheets map[string]*template.Template

// newSheets reads them. A fault in them is one of the program's, and every test
// of a page meets it.
func newSheets(zone *time.Location) sheets {
	common := template.Must(template.New("").Funcs(functions(zone)).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html", "templates/explanation.html"))
	all := sheets{}
	for _, name := range []string{"home", "look", "subject", "decisions", "blocks", "login", "message"} {
		all[name] = template.Must(template.Must(common.Clone()).ParseFS(templateFiles, "templates/"+name+".html"))
	}
	return all
}

// frame is what every page has.
type frame struct {
	Title  string
	Page   string // its entry in the menu
	Host   string
	Lang   explain.Lang // of what is read to the customer
	Text   string       // in the search box
	Inside bool         // for somebody who is logged in
	Box    bool         // the page itself has the search box; the others have it in their bar
	Live   bool         // it renews itself
	Now    time.Time
}

func (d *desk) frame(r *http.Request, title string) frame {
	return frame{Title: title, Page: r.URL.Path, Host: d.Host, Lang: chosenLang(r), Inside: true, Now: d.Now()}
}

// Langs are the languages that a customer may be spoken to in.
func (frame) Langs() any { return explain.Langs }

// chosenLang is the one that was asked for, else the browser's first that there
// are texts in.
func chosenLang(r *http.Request) explain.Lang {
	if asked := r.FormValue("lang"); asked != "" {
		if lang, err := explain.ParseLang(asked); err == nil {
			return lang
		}
	}
	wanted, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil {
		return explain.English
	}
	for _, tag := range wanted {
		base, _ := tag.Base()
		switch base.String() {
		case "nb", "nn": // the texts are in one Norwegian
			return explain.Norwegian
		}
		if lang, err := explain.ParseLang(base.String()); err == nil {
			return lang
		}
	}
	return explain.English
}

func functions(zone *time.Location) template.FuncMap {
	return template.FuncMap{
		"clock":   func(t time.Time) string { return t.In(zone).Format("15:04:05") },
		"minute":  func(t time.Time) string { return t.In(zone).Format("15:04") },
		"stamp":   func(t time.Time) string { return t.In(zone).Format("2 Jan 2006, 15:04:05 MST") },
		"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"near":    func(t, now time.Time) string { return near(t.In(zone), now.In(zone)) },
		"grouped": groupedAny,
		"outcome": outcome,
		"dict":    dict,
		"client":  func(p string) bool { return p != "" && p != "unknown" },
		"share":   share,
		"asset":   assetLink,
		"rows":    func(list []journal.Entry, now time.Time) refusals { return refusals{list, now} },
		"failed":  newFailures,
		"tally":   tallied,
		"title":   explain.Title,
	}
}

// near is a time as short as it can be.
func near(t, now time.Time) string {
	y, m, d := t.Date()
	switch ny, nm, nd := now.Date(); {
	case y == ny && m == nm && d == nd:
		return t.Format("15:04:05")
	case y == ny:
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006")
}

// groupedAny is grouped for the numbers that pages have.
func groupedAny(n any) (string, error) {
	switch n := n.(type) {
	case int:
		return grouped(int64(n)), nil
	case int64:
		return grouped(n), nil
	}
	return "", fmt.Errorf("%v is no number", n)
}

// dict gives a part of a page several values.
func dict(pairs ...any) (map[string]any, error) {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("%v is no key", pairs[i])
		}
		m[key] = pairs[i+1]
	}
	return m, nil
}

// outcome is what became of a client: refused, observed, delayed.
func outcome(e journal.Entry) string {
	switch {
	case e.Observed:
		return "observed"
	case e.Reply == "": // rule 11
		return "delayed"
	}
	return "refused"
}

// share is a part of a limit in per cent, at most 100.
func share(used, limit int) int {
	if limit <= 0 {
		return 0
	}
	return min(used*100/limit, 100)
}

// render writes a page. It is made whole first: half a page with status 200
// would look like one.
func (d *desk) render(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := d.sheets[name].ExecuteTemplate(&page, "layout", data); err != nil {
		d.Log.Error("help-desk page cannot be made", "page", name, "error", err)
		plain(w, http.StatusInternalServerError, "This page cannot be made: the daemon's log says why.")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if _, err := w.Write(visible(page.Bytes())); err != nil {
		d.Log.Debug("help-desk page not delivered", "page", name, "error", err)
	}
}

// visible shows what clients hide in text: control characters, marks that turn
// the direction of writing, characters without width, and bytes that are no
// UTF-8. html/template has made markup harmless before. It is done to the whole
// page, so that no template can forget it; our own texts have none of these.
func visible(page []byte) []byte {
	clean := bytes.IndexFunc(page, hidden) < 0
	if clean {
		return page
	}
	out := make([]byte, 0, len(page)+256)
	for len(page) > 0 {
		r, size := utf8.DecodeRune(page)
		switch {
		case r == utf8.RuneError && size == 1:
			out = fmt.Appendf(out, `\x%02x`, page[0])
		case hidden(r) && r < 0x10000:
			out = fmt.Appendf(out, `\u%04x`, r)
		case hidden(r):
			out = fmt.Appendf(out, `\U%08x`, r)
		default:
			out = append(out, page[:size]...)
		}
		page = page[size:]
	}
	return out
}

func hidden(r rune) bool { return r == utf8.RuneError || r != '\n' && r != '\t' && !unicode.IsPrint(r) }
