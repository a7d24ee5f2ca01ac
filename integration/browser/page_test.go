//go:build real

package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestHelpDesk is what a help desk does while a customer is on the telephone,
// with scripts and without.
func TestHelpDesk(t *testing.T) {
	for _, scripts := range []bool{true, false} {
		name := "with scripts"
		if !scripts {
			name = "without scripts"
		}
		t.Run(name, func(t *testing.T) {
			h := start(t)
			reply := h.anHour()
			b := open(t, h, desktop, false)
			call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripts})
			b.logInBadly()
			b.logIn()
			if scripts {
				b.copies(reply)
			}
			b.unblocks(reply)
			b.resets()
			b.filters()
			b.press(".bar form:last-of-type button")
			b.reads([]string{"Token"})
			b.visit("decisions")
			b.reads([]string{"Token"}, "Recent refusals")
			b.quiet("403 (Forbidden)") // the wrong token
			if strings.Contains(h.log.String(), "level=ERROR") {
				t.Error("the daemon has logged an error")
			}
		})
	}
}

func (b *tab) logInBadly() {
	b.t.Helper()
	b.visit("")
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), "letmein"))
	b.press("main button")
	b.reads([]string{"That is not the token"})
}

// copies takes a command to the clipboard.
func (b *tab) copies(reply string) {
	b.t.Helper()
	b.explain(reply, "en")
	permission := browser.SetPermissionParams{Permission: &browser.PermissionDescriptor{Name: "clipboard-write"}, Setting: browser.PermissionSettingGranted}
	if _, err := chromedp.CallBrowser(b.ctx, browser.SetPermission, permission); err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Click(chromedp.CSS(".remedies .copy")))
	if said := get(b, chromedp.Poll[string](`(() => { const t = document.querySelector(".remedies .copy").textContent; return t === "Copy" ? "" : t; })()`)); said != "Copied" {
		b.t.Errorf("the button says %q", said)
	}
}

// unblocks reads the explanation to the customer and lifts the block.
func (b *tab) unblocks(reply string) {
	b.t.Helper()
	b.visit("blocks")
	b.reads([]string{office, attacker, "2001:db8:66::/64"})
	b.explain("Die Nachricht konnte nicht gesendet werden. Der Server antwortete:\n"+reply+"\nBitte prüfen Sie …", "cs")
	b.reads([]string{
		"The client is blocked after failed logins", "Odesílání z vašeho připojení k internetu (" + office + ") je nyní zablokováno",
		"jan.novak@domena.cz", "hana@domena.cz", "same_password = \"once\"",
	})
	b.press(`.langs a[title="Deutsch"]`)
	b.reads([]string{"gesperrt", office}, "zablokováno")
	b.press(`form[action="./unblock"] button`)
	b.reads([]string{office + " is not blocked any more."})
	b.visit("blocks")
	b.reads([]string{attacker}, office)
	if action := b.h.send(office, "jan.novak@domena.cz", "jan.novak@domena.cz"); action != "DUNNO" {
		b.t.Errorf("the office gets %q after it was unblocked", action)
	}
}

// resets begins an account's hour afresh.
func (b *tab) resets() {
	b.t.Helper()
	b.explain("obchod@firma.cz", "en")
	b.reads([]string{"174 of 200", "522 of 1,000"})
	b.press(`form[action="./reset"] button`)
	b.reads([]string{"begun afresh", "0 of 200"})
}

// filters shows only what was observed.
func (b *tab) filters() {
	b.t.Helper()
	b.visit("decisions")
	b.do(chromedp.SetValue(chromedp.CSS(`.filter [name="outcome"]`), "observed"), chromedp.SetValue(chromedp.CSS(`.filter [name="ip"]`), "2001:db8::/32"))
	b.press(".filter button")
	rows := get(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll("td.what")].map((td) => td.innerText)`))
	if len(rows) != 4 {
		b.t.Errorf("%d rows: %q", len(rows), rows)
	}
	for _, row := range rows {
		if row != "would be refused" {
			b.t.Errorf("an observed refusal is shown as %q", row)
		}
	}
}

// TestLive sees a refusal arrive on the page: with scripts without a reload,
// without them by one.
func TestLive(t *testing.T) {
	for _, scripts := range []bool{true, false} {
		h := start(t)
		b := open(t, h, desktop, false)
		call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripts})
		b.logIn()
		b.visit("decisions?live=on")
		b.reads([]string{"There are none."})
		get(b, chromedp.Evaluate[int]("window.same = 1"))
		h.send(customer, "jan.novak@domena.cz", "jan.novak@seznam.cz")
		b.do(chromedp.WaitVisible(chromedp.CSS("td.when")))
		b.reads([]string{"jan.novak@seznam.cz"})
		if scripts {
			b.keepsItsPlace()
		}
		if same := get(b, chromedp.Evaluate[bool]("window.same === 1")); same != scripts {
			t.Errorf("scripts %v, but the page is the same one: %v", scripts, same)
		}
		b.quiet()
	}
}

// keepsItsPlace renews the rows below who goes through them by keyboard, and leaves
// them alone while text in them is marked.
func (b *tab) keepsItsPlace() {
	b.t.Helper()
	renewed := func() string { return b.text("#live .over .muted") }
	b.do(chromedp.Focus(chromedp.CSS("td.who a")))
	before := renewed()
	b.h.send(customer, "jan.novak@domena.cz", "jan.novak@centrum.cz")
	b.do(chromedp.WaitVisible(chromedp.CSS("tbody tr:nth-child(2)")))
	if at := get(b, chromedp.Evaluate[string]("document.activeElement.innerText")); at != "jan.novak@domena.cz" {
		b.t.Errorf("after the renewal of %q the focus is on %q", before, at)
	}
	// Each round of the script ends with its setting the clock for the next.
	get(b, chromedp.Evaluate[int](`(() => {
		const real = setTimeout;
		window.rounds = 0;
		window.setTimeout = (f, ms) => { if (f.name === "renew") window.rounds++; return real(f, ms); };
		document.getElementById("live").dataset.every = "0.1";
		getSelection().selectAllChildren(document.querySelector("td.cause"));
		return 1;
	})()`))
	b.h.forward(time.Second)
	before = renewed()
	get(b, chromedp.Poll[bool]("window.rounds >= 3"))
	if now := renewed(); now != before {
		b.t.Errorf("renewed while text was marked: %q, then %q", before, now)
	}
}

// TestHostile lets clients send what they like.
func TestHostile(t *testing.T) {
	h := start(t)
	long := strings.Repeat("w", 200)
	for _, login := range []string{
		"<script>window.fooled=1</script>@domena.cz", `"><img src=x onerror=window.fooled=1>@domena.cz`, "\u202eznc.anemod@kovon.naj", long + "@domena.cz",
	} {
		h.ask("RCPT", customer, login, login, "<script>window.fooled=1</script>@x.cz", "<svg/onload=window.fooled=1>")
		h.fail(customer, login, 1)
	}
	for _, s := range []screen{desktop, phone} {
		b := open(t, h, s, false)
		b.logIn()
		for _, path := range pages {
			b.visit(path)
			if get(b, chromedp.Evaluate[bool]("window.fooled === 1 || document.querySelector('main script, main img') !== null")) {
				t.Errorf("%s was fooled", path)
			}
			b.fits(path)
		}
		b.visit("decisions")
		b.reads([]string{"<script>window.fooled=1</script>@domena.cz", `\u202eznc.anemod@kovon.naj`, long})
		b.press("td.when a")
		b.fits("an explanation")
		b.quiet()
	}
}

// pages are those that need no id.
var pages = []string{"", "decisions", "decisions?live=on", "blocks", "look?q=" + office, "look?q=" + customer, "look?q=jan.novak@domena.cz", "look?q=obchod@firma.cz"}

// fits wants no scrolling sideways, and nothing too small for a finger (WCAG 2.2
// section 2.5.8).
func (b *tab) fits(name string) {
	b.t.Helper()
	if wide := get(b, chromedp.Evaluate[int]("document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth")); wide > 0 {
		b.t.Errorf("%s is %d pixels too wide", name, wide)
	}
	small := get(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll("button, select, input:not([type=hidden]), textarea, .bar a, summary")]
		.filter((e) => { const r = e.getBoundingClientRect(); return r.width > 0 && !e.closest(".skip") && (r.height < 24 || r.width < 24); })
		.map((e) => e.outerHTML.slice(0, 80))`))
	for _, e := range small {
		b.t.Errorf("%s: too small: %s", name, e)
	}
	cut := get(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll("select")].filter((e) => {
		const style = getComputedStyle(e), pen = document.createElement("canvas").getContext("2d");
		pen.font = style.font;
		const arrow = 18;
		return pen.measureText(e.selectedOptions[0].text).width + arrow > e.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
	}).map((e) => e.name)`))
	for _, e := range cut {
		b.t.Errorf("%s: the choice of %q is cut", name, e)
	}
}

// TestReadable holds every page, by day and by night, on a desk and on a
// telephone, against WCAG AA, and keeps a picture of each.
func TestReadable(t *testing.T) {
	h := start(t)
	reply := h.anHour()
	for _, s := range []screen{desktop, phone} {
		for _, dark := range []bool{false, true} {
			name := s.name + "-light"
			if dark {
				name = s.name + "-dark"
			}
			t.Run(name, func(t *testing.T) {
				b := open(t, h, s, dark)
				look := func(page string) {
					b.fits(page)
					b.contrasts(page)
					b.named(page)
					b.shoot(name + "-" + page)
				}
				b.visit("")
				look("log-in")
				b.logIn()
				look("home")
				b.explain(reply, "cs")
				look("blocked")
				b.explain("550 5.1.0 <jan.novak@seznam.cz> sender rejected", "en")
				look("sender")
				b.explain("The message could not be sent from 192.0.2.1", "en")
				look("nothing")
				b.explain("0kHG086hcEUJCINrgXbGZl", "en")
				look("unknown")
				for page, path := range map[string]string{
					"client": "look?q=" + office, "account": "look?q=obchod@firma.cz", "refusals": "decisions?live=on", "blocks": "blocks",
				} {
					b.visit(path)
					look(page)
				}
				b.quiet()
			})
		}
	}
}

// TestPicture makes the README's picture, under its limit of 200 kB.
func TestPicture(t *testing.T) {
	dir := *etc
	if dir == "" {
		dir = t.TempDir()
	}
	h := startIn(t, dir)
	h.anHour()
	b := open(t, h, screen{"readme", 1180, 860, false}, false)
	b.logIn()
	b.explain("550 5.1.0 <jan.novak@seznam.cz> sender rejected", "en")
	picture := get(b, chromedp.CaptureScreenshot())
	b.keep("help-desk-page", picture)
	if len(picture) > 200_000 {
		t.Errorf("the picture has %d bytes", len(picture))
	}
}
