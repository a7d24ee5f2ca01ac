package mailheader

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"portreeve/rules"
)

const (
	hopBody   = "from a.test (a.test [192.0.2.1]) by b.test with ESMTP id 1; now"
	otherBody = "from 192.0.2.1 by webmail.test with HTTP; now"
)

// trail shows kinds as letters: h hop, o other, r resent.
func trail(m *rules.Message) string {
	var b strings.Builder
	for _, f := range m.Trail {
		b.WriteByte("ohr"[f.Kind])
	}
	return b.String()
}

func TestCollector(t *testing.T) {
	var c Collector
	c.Add("Subject", "from a with ESMTP")
	c.Add("received", otherBody)
	c.Add("RESENT-FROM ", " Jan <jan@domena.cz>,\n\teva@domena.cz")
	c.Add("Resent-From", "nonsense")
	c.Add("Received\t", "\n "+hopBody)
	c.Add("X-Received", hopBody)
	m := c.Message()
	if trail(m) != "orrh" {
		t.Fatalf("trail %s", trail(m))
	}
	if got := fmt.Sprint(m.Trail[1].Addresses); got != "[jan@domena.cz eva@domena.cz]" {
		t.Errorf("Resent-From: %s", got)
	}
	if len(m.Trail[2].Addresses) != 0 {
		t.Errorf("nonsense exempts: %q", m.Trail[2].Addresses)
	}
	if m.Trail[3].Text != hopBody {
		t.Errorf("text %q", m.Trail[3].Text)
	}
	c.Reset()
	if trail(c.Message()) != "" || trail(m) != "orrh" {
		t.Error("Reset does not separate the messages")
	}
}

// TestCollectorBudget sends what no honest message has, and looks for the one
// hop that matters behind it.
func TestCollectorBudget(t *testing.T) {
	for _, name := range []string{"Received", "Resent-From", "X-Filler"} {
		var c Collector
		for range 200_000 {
			c.Add(name, otherBody)
		}
		c.Add("Received", hopBody)
		for range 1000 {
			c.Add("Received", hopBody)
			c.Add("Resent-From", "jan@domena.cz")
		}
		got := trail(c.Message())
		if !strings.Contains(got, "h") || len(got) > maxTrail+1 {
			t.Errorf("after %s: %d fields, a hop among them: %v", name, len(got), strings.Contains(got, "h"))
		}
	}
}

func TestCollectorMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var c Collector
	for i := range 1000 {
		c.Add("Received", hopBody+strings.Repeat(" ", 100_000)+fmt.Sprint(i))
		c.Add("Resent-From", "jan@domena.cz ("+strings.Repeat("x", 100_000)+")")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("200 MB of fields hold %d bytes of memory", grown)
	}
	runtime.KeepAlive(&c)
}

func TestCollectorCutsText(t *testing.T) {
	var c Collector
	c.Add("Received", strings.Repeat("háčky ", 10_000))
	text := c.Message().Trail[0].Text
	if len(text) > maxText || len(text) < maxText-utf8.UTFMax || !utf8.ValidString(text) {
		t.Errorf("%d bytes, valid: %v", len(text), utf8.ValidString(text))
	}
	c.Reset()
	c.Add("Resent-From", strings.Repeat("jan@domena.cz,", maxAddresses+1))
	c.Add("Resent-From", strings.Repeat("x", 400)+"@domena.cz")
	for _, f := range c.Message().Trail {
		if f.Kind != rules.TrailResent || len(f.Addresses) != 0 {
			t.Errorf("an unreasonable Resent-From exempts: %d addresses", len(f.Addresses))
		}
	}
}
