//go:build real

package browser

import (
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
)

// contrast lists the texts of a page whose contrast is below WCAG AA (section
// 1.4.3): 4.5, or 3 for large ones.
const contrast = `(() => {
	const parse = (colour) => {
		const c = colour.match(/[\d.]+/g).map(Number);
		return c.length < 4 ? [...c, 1] : c;
	};
	const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
	const ground = (element) => {
		const layers = [];
		for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
		return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
	};
	const light = (colour) => {
		const [r, g, b] = colour.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const bad = new Set();
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	let seen = 0;
	for (let node = walk.nextNode(); node; node = walk.nextNode()) {
		const element = node.parentElement, style = getComputedStyle(element), box = element.getBoundingClientRect();
		if (!node.data.trim() || box.width < 2 || box.height < 2 || style.visibility === "hidden" || element.closest("option")) continue;
		seen++;
		const below = ground(element), ink = over(parse(style.color), below);
		const [low, high] = [light(ink), light(below)].sort((a, b) => a - b);
		const ratio = (high + 0.05) / (low + 0.05), size = parseFloat(style.fontSize);
		const enough = size >= 24 || size >= 18.66 && style.fontWeight >= 700 ? 3 : 4.5;
		if (ratio < enough) bad.add(ratio.toFixed(2) + " " + style.color + " " + node.data.trim().slice(0, 40));
	}
	if (seen < 3) bad.add("only " + seen + " texts were found");
	return [...bad];
})()`

func (b *tab) contrasts(page string) {
	b.t.Helper()
	for _, bad := range get(b, chromedp.Evaluate[[]string](contrast)) {
		b.t.Errorf("%s: too little contrast: %s", page, bad)
	}
}

// spoken are the roles whose elements a screen reader announces by name.
var spoken = map[string]bool{"button": true, "link": true, "textbox": true, "combobox": true, "image": true, "img": true, "heading": true, "navigation": true}

// named wants a name for everything that somebody who does not see the page
// must find.
func (b *tab) named(page string) {
	b.t.Helper()
	tree := call(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	found, headings := 0, 0
	for _, node := range tree.Nodes {
		if node.Ignored || node.Role == nil || !spoken[strings.Trim(string(node.Role.Value), `"`)] {
			continue
		}
		found++
		if strings.Contains(string(node.Role.Value), "heading") {
			headings++
		}
		if node.Name == nil || strings.Trim(string(node.Name.Value), `" `) == "" {
			b.t.Errorf("%s: a %s has no name", page, node.Role.Value)
		}
	}
	if found < 3 || headings == 0 {
		b.t.Errorf("%s: only %d elements have a role, %d of them headings", page, found, headings)
	}
	if n := get(b, chromedp.Evaluate[int]("document.querySelectorAll('h1').length")); n != 1 {
		b.t.Errorf("%s has %d main headings", page, n)
	}
}
