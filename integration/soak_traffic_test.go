//go:build real && soak

package integration

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// part is one kind of traffic. Several hundred addresses take turns, each kind
// in a network of its own.
type part struct {
	name   string
	weight int
	net    byte     // 127.2.net.0/24
	hosts  int      // of that network; 0: a new address for each message
	ends   []string // the rules that may answer it; "" is queued
	try    func(ctx context.Context, s *soak, m *sending) reply
}

// sending is one message, with as many tries as it takes.
type sending struct {
	part  *part
	n     int
	from  netip.Addr
	began time.Time
	tries int
	last  reply
}

const forwarded = "Received: from a.test (a.test [192.0.2.8]) by b.test with ESMTP id 1; Thu, 1 Jan 2026 10:00:00 +0100\r\n"

var parts = []part{
	{"own sender, 587", 16, 1, 120, []string{""}, login(587, account, password, account, "")},
	{"own sender, 465 with TLS", 6, 2, 60, []string{""}, login(465, "petr@domena.eu", "petr-pass", "petr@domena.eu", "")},
	{"sender of somebody else", 10, 1, 120, []string{"sender"}, login(587, account, password, "x%d@seznam.cz", "")},
	{"passed on by a server", 6, 1, 120, []string{"relay"}, login(587, account, password, "u%d@domena.cz", forwarded)},
	{"above the quota", 8, 3, 20, []string{"", "quota"}, login(587, "karel@b.cz", "karel-pass", "karel+%d@b.cz", "")},
	{"disabled account", 3, 4, 40, []string{"access_disabled"}, disabled},
	{"wrong password, then MAIL", 8, 5, 0, []string{"auth_failed"}, wrongPassword},
	{"relaying without AUTH, 25", 6, 6, 60, []string{"auth_failed"}, relaying},
	{"POP, then SMTP without AUTH", 8, 7, 80, []string{""}, afterPOP},
	{"inbound, 25", 16, 8, 100, []string{""}, inbound},
}

// login is a session with a password that is right.
func login(port int, user, pass, sender, header string) func(context.Context, *soak, *sending) reply {
	return func(ctx context.Context, s *soak, m *sending) reply {
		t := s.dial(ctx, m.from, port)
		defer t.close()
		if got := t.say(authPlain(user, pass)); !strings.HasPrefix(got, "235 ") {
			return t.end(got)
		}
		from := sender
		if strings.Contains(sender, "%d") {
			from = fmt.Sprintf(sender, m.n)
		}
		return t.mail(from, "somebody@example.net", header)
	}
}

func disabled(ctx context.Context, s *soak, m *sending) reply {
	t := s.dial(ctx, m.from, 587)
	defer t.close()
	if got := t.say(authPlain("eva@domena.cz", "eva-pass")); !strings.HasPrefix(got, "235 ") {
		return t.end(got)
	}
	// Dovecot had nobody to ask.
	return t.mail("eva@domena.cz", "somebody@example.net", "")
}

// wrongPassword fails once, and then sends without AUTH.
func wrongPassword(ctx context.Context, s *soak, m *sending) reply {
	t := s.dial(ctx, m.from, 587)
	defer t.close()
	if m.tries == 1 {
		s.guess(t, m.from)
	}
	return t.mail(fmt.Sprintf("u%d@domena.cz", m.n), "somebody@example.net", "")
}

func relaying(ctx context.Context, s *soak, m *sending) reply {
	t := s.dial(ctx, m.from, 25)
	defer t.close()
	return t.mail(fmt.Sprintf("r%d@example.com", m.n), "somebody@example.net", "")
}

func afterPOP(ctx context.Context, s *soak, m *sending) reply {
	pop := s.dial(ctx, m.from, 110)
	defer pop.close()
	pop.say("USER " + account)
	if got := pop.say("PASS " + password); !strings.HasPrefix(got, "+OK") {
		return reply{err: fmt.Errorf("POP3 login: %q %w", got, pop.err)}
	}
	pop.say("QUIT")
	t := s.dial(ctx, m.from, []int{587, 25}[m.n%2])
	defer t.close()
	r := t.mail(account, "somebody@example.net", "")
	if r.rule() == "auth_failed" && !s.certain(m.began) {
		return reply{err: fmt.Errorf("Dovecot told nobody of the POP3 login: %s", r.text)}
	}
	return r
}

func inbound(ctx context.Context, s *soak, m *sending) reply {
	t := s.dial(ctx, m.from, 25)
	defer t.close()
	return t.mail(fmt.Sprintf("i%d@example.com", m.n), "petr@domena.cz", "")
}

// guess fails to log in, and counts it where the client was told so.
func (s *soak) guess(t *talk, from netip.Addr) string {
	began := time.Now()
	got := t.say(authPlain(account, "wrong"))
	if strings.HasPrefix(got, "535 ") && !strings.Contains(got, "Connection refused") {
		s.book.failed(from, s.durable(began))
	}
	return got
}

// guesser is an address that tries passwords until it is blocked, and then three
// more times: at AUTH, at MAIL, and with mail for this server's own domain.
func (s *soak) guesser(ctx context.Context, from netip.Addr) {
	for range 60 {
		if ctx.Err() != nil {
			return // the traffic is over; what was counted is counted
		}
		t := s.dial(ctx, from, 587)
		for range 4 {
			began := time.Now()
			r := t.end(s.guess(t, from))
			if r.rule() != "throttled" {
				continue
			}
			t.close()
			s.book.settle(&sending{part: &blocked, from: from, began: began, tries: 1, last: r}, s.durable(began))
			for _, one := range []part{blockedAtMail, blockedInbound} {
				s.send(ctx, &sending{part: &one, from: from})
			}
			return
		}
		t.close()
	}
	s.book.complain("%s failed 240 times and is not blocked", from)
}

var (
	blocked       = part{name: "blocked, at AUTH", ends: []string{"throttled"}}
	blockedAtMail = part{name: "blocked, at MAIL", ends: []string{"throttled"}, try: func(ctx context.Context, s *soak, m *sending) reply {
		t := s.dial(ctx, m.from, 587)
		defer t.close()
		return t.mail(account, "somebody@example.net", "")
	}}
	blockedInbound = part{name: "blocked, inbound on 25", ends: []string{""}, try: inbound}
)

// send tries until the message is queued or refused.
func (s *soak) send(ctx context.Context, m *sending) {
	m.began = time.Now()
	for m.tries = 1; ; m.tries++ {
		m.last = m.part.try(context.WithoutCancel(ctx), s, m)
		if !m.last.again() {
			break
		}
		s.book.deferred(m, s.certain(m.began))
		if time.Since(m.began) > 3*time.Minute {
			s.book.complain("%s: %d tries in 3 minutes, the last: %q %v", m.part.name, m.tries, m.last.text, m.last.err)
			return
		}
		time.Sleep(time.Second) // as a client's queue does
	}
	s.book.settle(m, s.durable(m.began))
}

// traffic sends at a steady rate until ctx ends, and returns when everything that
// began has ended. hold stops it for a moment.
func (s *soak) traffic(ctx context.Context, rate int) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		for n := 1; ctx.Err() == nil; n++ { // one after another
			s.hold.RLock()
			s.guesser(ctx, netip.AddrFrom4([4]byte{127, 3, byte(n / 250), byte(n%250 + 1)}))
			s.hold.RUnlock()
		}
	})
	var turns []int
	for i, p := range parts {
		turns = append(turns, slices.Repeat([]int{i}, p.weight)...)
	}
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	places := make(chan struct{}, 60) // Postfix has 100 processes a service
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p := &parts[turns[n*37%len(turns)]] // 37 has no divisor with 87 in common: every turn comes
		s.hold.RLock()
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places; s.hold.RUnlock() }()
			s.send(ctx, &sending{part: p, n: n, from: p.address(n)})
		})
	}
}

func (p *part) address(n int) netip.Addr {
	if p.hosts > 0 {
		return netip.AddrFrom4([4]byte{127, 2, p.net, byte(n%p.hosts + 1)})
	}
	return netip.AddrFrom4([4]byte{127, 4 + p.net, byte(n / 250), byte(n%250 + 1)})
}
