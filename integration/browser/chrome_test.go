//go:build real

// Package browser looks at the help-desk page as people do: in Debian's
// chromium, with and without scripts, on a telephone, by day and by night.
package browser

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var (
	shots = flag.String("shots", "", "directory for screenshots; empty: a temporary one")
	etc   = flag.String("etc", "", "directory of the configuration in the README's picture; empty: a temporary one")
)

// The sizes that people have.
type screen struct {
	name          string
	width, height int64
	phone         bool
}

var (
	desktop = screen{"desktop", 1280, 900, false}
	phone   = screen{"phone", 390, 844, true}
)

// tab is a page of a browser of its own.
type tab struct {
	t   *testing.T
	ctx context.Context
	h   *host

	mu       sync.Mutex
	problems []string // what the browser complained of
}

// open starts a browser until the test ends.
func open(t *testing.T, h *host, s screen, dark bool) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.Env("HOME="+t.TempDir()))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	limited, late := context.WithTimeout(allocator, 2*time.Minute)
	ctx, leave := chromedp.NewContext(limited)
	b := &tab{t: t, ctx: ctx, h: h}
	t.Cleanup(func() { leave(); late(); stop() })
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: s.width, Height: s.height, DeviceScaleFactor: 1, Mobile: s.phone,
	})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	return b
}

// call sends one command to the browser.
func call[P, R any](b *tab, c cdp.Command[P, R], params P) R {
	b.t.Helper()
	r, err := chromedp.Call(b.ctx, c, params)
	if err != nil {
		b.t.Fatalf("%s: %v", c.Method, err)
	}
	return r
}

// hear keeps what the browser complains of: a violated Content-Security-Policy,
// a script's error, a file that is not there.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.problems = append(b.problems, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, e.ExceptionDetails.Text)
	}
}

// quiet tells that the browser had nothing to complain of but what is expected.
func (b *tab) quiet(expected ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
problems:
	for _, p := range b.problems {
		for _, e := range expected {
			if strings.Contains(p, e) {
				continue problems
			}
		}
		b.t.Errorf("the browser complains: %s", p)
	}
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// get is what an action returns.
func get[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// visit opens a page by its path.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.h.page+path), chromedp.WaitReady(chromedp.CSS("main")))
}

// press clicks and waits for the page that it leads to.
func (b *tab) press(selector string) {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		b.t.Fatalf("pressing %s: %v", selector, err)
	}
	b.do(chromedp.WaitReady(chromedp.CSS("main")))
}

// logIn is the way in.
func (b *tab) logIn() {
	b.t.Helper()
	b.visit("")
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), token))
	b.press("main button")
}

// explain pastes a text and asks for a language.
func (b *tab) explain(text, lang string) {
	b.t.Helper()
	b.visit("")
	b.do(chromedp.SetValue(chromedp.CSS("#text"), text), chromedp.SetValue(chromedp.CSS(".search select"), lang))
	b.press(".search button")
}

// text is what a person reads in an element.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return get(b, chromedp.Text(chromedp.CSS(selector)))
}

// reads wants words on the page, and does not want others.
func (b *tab) reads(want []string, unwanted ...string) {
	b.t.Helper()
	text := b.text("main")
	for _, w := range want {
		if !strings.Contains(text, w) {
			b.t.Errorf("%q does not stand on the page:\n%s", w, text)
		}
	}
	for _, w := range unwanted {
		if strings.Contains(text, w) {
			b.t.Errorf("%q stands on the page:\n%s", w, text)
		}
	}
}

// shoot writes a picture of the whole page.
func (b *tab) shoot(name string) {
	b.t.Helper()
	b.keep(name, get(b, chromedp.FullScreenshot(100)))
}

func (b *tab) keep(name string, picture []byte) {
	b.t.Helper()
	dir := *shots
	if dir == "" {
		dir = b.t.TempDir()
	}
	path := filepath.Join(dir, name+".png")
	if err := os.WriteFile(path, picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
	if len(picture) < 5000 {
		b.t.Errorf("%s is an empty picture", path)
	}
	b.t.Logf("%s: %d bytes", path, len(picture))
}
