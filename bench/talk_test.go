package main

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAddressesOfABlock(t *testing.T) {
	seen := map[string]bool{}
	for _, i := range []int{0, 1, 99, 100, 9_999, 10_000, 999_999} {
		text := address(remembered, i)
		if a, err := netip.ParseAddr(text); err != nil || len(text) != addressLength || seen[text] || a.As4()[0] != remembered {
			t.Errorf("%d: %q %v", i, text, err)
		}
		seen[text] = true
	}
}

func fields(request []byte) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(string(request)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		m[name] = value
	}
	return m
}

func TestRequestsAreOfTheirKind(t *testing.T) {
	const accounts = 500
	of := func(what traffic) (all []map[string]string, p *policyTalk) {
		what.clients, what.accounts = 1000, accounts
		p = what.talk(0).(*policyTalk)
		for range 200 {
			r := p.next()
			if len(r) < 600 || len(r) > 900 || !strings.HasSuffix(string(r), "\n\n") {
				t.Fatalf("%d bytes: %s", len(r), r)
			}
			all = append(all, fields(r))
		}
		return all, p
	}
	plain, _ := of(traffic{})
	for _, f := range plain {
		if f["sender"] != f["sasl_username"] || !strings.HasPrefix(f["client_address"], "131.") {
			t.Fatalf("%v", f)
		}
		var i int
		if _, err := fmt.Sscanf(f["sasl_username"], "u%d@", &i); err != nil || f["sasl_username"] != account(i, accounts) {
			t.Fatalf("%v %v", f, err)
		}
	}
	foreign, _ := of(traffic{foreign: 1})
	other, _ := of(traffic{foreign: 1})
	senders := map[string]bool{}
	for _, f := range slices.Concat(foreign, other) {
		senders[f["sender"]] = true
	}
	if len(senders) != 400 {
		t.Errorf("%d of 400 foreign senders differ", len(senders))
	}
	known, _ := of(traffic{known: 1, knownOf: 10})
	if !strings.HasPrefix(known[0]["client_address"], "141.100.100.10") {
		t.Errorf("%v", known[0])
	}
	mixed, _ := of(traffic{foreign: 0.5})
	n := 0
	for _, f := range mixed {
		if f["sender"] != f["sasl_username"] {
			n++
		}
	}
	if n < 60 || n > 140 {
		t.Errorf("half of 200 is %d", n)
	}
}

func TestAnswersAreChecked(t *testing.T) {
	check := func(what traffic, answer func(p *policyTalk) string) (bool, error) {
		what.clients, what.accounts, what.knownOf = 10, 10, 1
		p := what.talk(0).(*policyTalk)
		p.next()
		return p.check([]byte(answer(p)))
	}
	const id = "0l0tkyxd13Vm67WNY4Cw6K"
	refused := traffic{foreign: 1}
	throttled := traffic{known: 1, blocked: true}
	for _, one := range []struct {
		what   traffic
		answer func(*policyTalk) string
		whole  bool
		good   bool
	}{
		{traffic{}, func(*policyTalk) string { return "action=DUNNO\n\n" }, true, true},
		{traffic{}, func(*policyTalk) string { return "action=DUNNO\n" }, false, true},
		{traffic{}, func(*policyTalk) string { return "action=OK\n\n" }, false, false},
		{refused, func(p *policyTalk) string { return "action=550 5.1.0 <" + string(p.sender) + "> sender rejected\n\n" }, true, true},
		{refused, func(p *policyTalk) string { return "action=550 5.1.0 <a@b.example> sender rejected\n\n" }, false, false},
		{refused, func(*policyTalk) string { return "action=DUNNO\n\n" }, false, false},
		{throttled, func(p *policyTalk) string {
			return "action=550 5.1.0 " + id + " Connection refused from " + string(p.client) + ". Too many authorization failures from this IP, try again later.\n\n"
		}, true, true},
		{throttled, func(*policyTalk) string { return "action=DUNNO\n\n" }, false, false},
		{traffic{foreign: 1, floor: true}, func(*policyTalk) string { return "action=DUNNO\n\n" }, true, true},
	} {
		if whole, err := check(one.what, one.answer); whole != one.whole || (err == nil) != one.good {
			t.Errorf("%+v: whole %v, error %v", one.what, whole, err)
		}
	}
}

func TestReports(t *testing.T) {
	r := &reportTalk{block: remembered, one: 21, repeat: toBlock, accounts: 10}
	r.random = reports(remembered, 5, 10)(0).(*reportTalk).random
	first := string(r.next())
	second := string(r.next())
	if !strings.Contains(first, address(remembered, 1)) || !strings.Contains(second, address(remembered, 2)) {
		t.Errorf("%s %s", first, second)
	}
	const good = "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{\"status\":0,\"msg\":\"\"}\n"
	for answer, want := range map[string]bool{good: true, good[:60]: false} {
		if whole, err := r.check([]byte(answer)); whole != want || err != nil {
			t.Errorf("%q: %v %v", answer, whole, err)
		}
	}
	if _, err := r.check([]byte(strings.Replace(good, "200 OK", "500 No", 1))); err == nil {
		t.Error("a failure is taken for an answer")
	}
}

// TestLoad asks a server that makes a mistake in the end.
func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer ln.Close()
	answer := "action=DUNNO\n\n"
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			say := answer
			serving.Go(func() {
				defer c.Close()
				buf := make([]byte, 4096)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					if _, err := c.Write([]byte(say)); err != nil {
						return
					}
				}
			})
		}
	})
	none := func() (usage, error) { return usage{}, nil }
	l := load{network: "unix", address: path, conns: 3, talk: traffic{clients: 10, accounts: 10}.talk, begin: none, finish: none}
	s, err := l.run(t.Context(), 50*time.Millisecond)
	if err != nil || s.requests == 0 || s.requests != int(s.latency.total) || s.elapsed < 50*time.Millisecond {
		t.Errorf("%+v %v", s, err)
	}
	l.talk = traffic{clients: 10, accounts: 10, foreign: 1}.talk
	if _, err := l.run(t.Context(), 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "wrong answer") {
		t.Errorf("a wrong answer is not noticed: %v", err)
	}
}
