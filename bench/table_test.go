package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestMarkdownTable(t *testing.T) {
	got := table{Head: []string{"server", "requests/s"}, Rows: [][]string{{"floor", "12"}, {"Portreeve", "7"}}}.markdown()
	want := "| server | requests/s |\n| --- | ---: |\n| floor | 12 |\n| Portreeve | 7 |\n"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestComparedWithTheFirst(t *testing.T) {
	h := new(histogram)
	h.add(time.Millisecond)
	one := func(name string, n int, cpu time.Duration) summary {
		return summarise(name, []sample{{requests: n, elapsed: time.Second, cpu: cpu, latency: h, resident: 5e6}})
	}
	rows := compared("16 connections", one("floor", 100_000, time.Second), one("Portreeve", 80_000, 1200*time.Millisecond)).Rows
	want := []string{"Portreeve", "80,000 (80,000–80,000)", "0.80", "1.50 (1.50–1.50)", "1.50", "1.01 (1.01–1.01)", "1.01 (1.01–1.01)", "1.01 (1.01–1.01)", "5"}
	if got := strings.Join(rows[1], "|"); got != strings.Join(want, "|") {
		t.Errorf("%s\nwant %s", got, strings.Join(want, "|"))
	}
}

func TestFigures(t *testing.T) {
	for in, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.6: "1,234,568"} {
		if got := whole(in); got != want {
			t.Errorf("%v: %s, want %s", in, got, want)
		}
	}
	for in, want := range map[float64]string{0.123: "0.12", 12.34: "12.3", 123.4: "123"} {
		if got := fraction(in); got != want {
			t.Errorf("%v: %s, want %s", in, got, want)
		}
	}
	if a := atLeast("x", 0.8, 0.8, fraction); !a.Met || a.Want != "≥ 0.80" || a.Got != "0.80" {
		t.Errorf("%+v", a)
	}
	busy := summary{cpu: spread{median: 100}}
	if got, want := atLeast("x", 1, 2, whole).bounded(busy).Got, fmt.Sprintf("1; 100 µs of CPU each: below %s on %d idle cores", whole(float64(runtime.NumCPU())*10_000), runtime.NumCPU()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if a := atMost("x", 1.9, 1.8, fraction); a.Met || a.Want != "≤ 1.80" {
		t.Errorf("%+v", a)
	}
}

var example = plot{
	File: "x.svg", Title: "a < b", X: "clients", Y: "ms",
	Series: []curve{{Name: "one", Points: [][2]float64{{1000, 1}, {1_000_000, 7}}}, {Name: "two", Points: [][2]float64{{1000, 2}}}},
}

func TestPlot(t *testing.T) {
	svg := example.svg()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("no XML: %v\n%s", err, svg)
		}
	}
	// 7 of 8 is an eighth below the top; a thousand is at the left, a million at the right.
	for _, want := range []string{"a &lt; b", ">1,000<", ">1,000,000<", ">8<", `M70.0 250.5L620.0 73.5`, ">two<"} {
		if !strings.Contains(svg, want) {
			t.Errorf("%q is missing in\n%s", want, svg)
		}
	}
	if !strings.HasSuffix((plot{}).svg(), "</svg>\n") || !strings.HasSuffix((plot{Series: []curve{{Points: [][2]float64{{1000, 0}}}}}).svg(), "</svg>\n") {
		t.Error("little to show is not shown")
	}
}

func TestRoundUp(t *testing.T) {
	for in, want := range map[float64]float64{0: 1, 0.7: 0.8, 1: 1, 3: 4, 5: 8, 9: 10, 450: 800} {
		if got := roundUp(in); got < want*0.999 || got > want*1.001 {
			t.Errorf("%v: %v, want %v", in, got, want)
		}
	}
}

func TestRenewKeepsTheOtherScenarios(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "performance.md")
	if err := renew(dir, nil); err == nil {
		t.Error("no page, and no error")
	}
	if err := os.WriteFile(page, []byte("# Top\n"+beginMark+"old\n"+endMark+"bottom\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	idle := result{Name: "idle", Title: "Idle", Plots: []plot{example}}
	first := result{Name: "passes", Title: "Passes", Targets: []aim{atLeast("speed", 1, 2, whole)}}
	again := result{Name: "passes", Title: "Passes", Targets: []aim{atLeast("speed", 3, 2, whole)}}
	for _, one := range [][]result{{idle}, {first}, {again}} {
		if err := renew(dir, one); err != nil {
			t.Fatal(err)
		}
	}
	body, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(body)
	for _, want := range []string{"# Top\n", "bottom\n", "| speed | ≥ 2 | 3 | met |", "![a < b](x.svg)"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "old") || strings.Contains(text, "missed") || strings.Index(text, "## Passes") > strings.Index(text, "## Idle") {
		t.Errorf("%s", text)
	}
	var kept []result
	if body, err = os.ReadFile(filepath.Join(dir, "performance.json")); err == nil {
		err = json.Unmarshal(body, &kept)
	}
	if err != nil || len(kept) != 2 {
		t.Errorf("%v %v", kept, err)
	}
}

// TestThePageIsGenerated: nobody has edited figures by hand.
func TestThePageIsGenerated(t *testing.T) {
	docs := filepath.Join("..", "docs")
	page, err := os.ReadFile(filepath.Join(docs, "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := readResults(filepath.Join(docs, "performance.json"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := between(string(page), generated(all))
	if err != nil || want != string(page) {
		t.Errorf("the page differs from performance.json (%v): run `make bench`", err)
	}
	for _, r := range all {
		for _, p := range r.Plots {
			if svg, err := os.ReadFile(filepath.Join(docs, p.File)); err != nil || string(svg) != p.svg() {
				t.Errorf("%s differs from performance.json (%v)", p.File, err)
			}
		}
	}
}

func TestBetweenNeedsItsMarks(t *testing.T) {
	for _, page := range []string{"", beginMark, endMark, endMark + beginMark} {
		if _, err := between(page, "x"); err == nil {
			t.Errorf("%q has no place for anything", page)
		}
	}
}
