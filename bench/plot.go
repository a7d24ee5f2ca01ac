package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// plot is a chart with a logarithmic axis of x, in powers of ten.
type plot struct {
	File   string  `json:"file"` // its name beside performance.md
	Title  string  `json:"title"`
	X      string  `json:"x"`
	Y      string  `json:"y"`
	Series []curve `json:"series"`
}

// curve is one line of a plot.
type curve struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"`
}

// The picture, and the place of the axes in it.
const (
	plotWidth, plotHeight = 640, 340
	plotLeft, plotRight   = 70, 620
	plotTop, plotBottom   = 44, 280
)

// Colours that differ for the colour-blind, too (Okabe and Ito).
var curveColours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"}

// svg draws the plot.
func (p plot) svg() string {
	lowX, highX, highY := p.bounds()
	x := func(v float64) float64 {
		return plotLeft + (math.Log10(v)-lowX)/(highX-lowX)*(plotRight-plotLeft)
	}
	y := func(v float64) float64 { return plotBottom - v/highY*(plotBottom-plotTop) }
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", plotWidth, plotHeight)
	text := func(x, y float64, anchor, s string) {
		fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"#222\">%s</text>\n", x, y, anchor, html.EscapeString(s))
	}
	line := func(x1, y1, x2, y2 float64) {
		fmt.Fprintf(&b, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"#ddd\"/>\n", x1, y1, x2, y2)
	}
	text(plotLeft, 20, "start", p.Title)
	text(plotLeft, 36, "start", p.Y)
	for exponent := lowX; exponent <= highX; exponent++ {
		at := x(math.Pow(10, exponent))
		line(at, plotTop, at, plotBottom)
		text(at, plotBottom+18, "middle", whole(math.Pow(10, exponent)))
	}
	for i := range 5 {
		v := highY * float64(i) / 4
		line(plotLeft, y(v), plotRight, y(v))
		text(plotLeft-8, y(v)+4, "end", axis(v))
	}
	text((plotLeft+plotRight)/2, plotBottom+36, "middle", p.X)
	for i, c := range p.Series {
		colour := curveColours[i%len(curveColours)]
		path := ""
		for k, point := range c.Points {
			path += fmt.Sprintf("%c%.1f %.1f", "ML"[min(k, 1)], x(point[0]), y(point[1]))
			fmt.Fprintf(&b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x(point[0]), y(point[1]), colour)
		}
		fmt.Fprintf(&b, "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", path, colour)
		at := plotLeft + float64(i)*(plotRight-plotLeft)/float64(len(p.Series))
		fmt.Fprintf(&b, "<rect x=\"%.1f\" y=\"%d\" width=\"12\" height=\"3\" fill=\"%s\"/>\n", at, plotHeight-13, colour)
		text(at+18, plotHeight-8, "start", c.Name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// bounds are the powers of ten around x, and a round number above y.
func (p plot) bounds() (lowX, highX, highY float64) {
	lowX, highX = math.Inf(1), math.Inf(-1)
	for _, c := range p.Series {
		for _, point := range c.Points {
			lowX = min(lowX, math.Floor(math.Log10(point[0])))
			highX = max(highX, math.Ceil(math.Log10(point[0])))
			highY = max(highY, point[1])
		}
	}
	if lowX > highX {
		lowX, highX = 0, 1
	}
	if lowX == highX {
		highX++
	}
	return lowX, highX, roundUp(highY)
}

// roundUp is 1, 2, 4 or 8 times a power of ten: it is divided by four.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 4, 8} {
		if v <= n*unit {
			return n * unit
		}
	}
	return 10 * unit
}

func axis(v float64) string {
	if v >= 1000 {
		return whole(v)
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", v), "0"), ".")
}
