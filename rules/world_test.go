package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// noon is when the tests happen.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is a hand-written Facts: what it does not name is absent.
type world struct {
	accounts  map[string]Account
	groups    [][]string
	addresses map[string][]string
	senders   map[string][]string
	failures  []Failure
	count     int
	guesses   int
	known     bool // the client has logged in before
	grants    []Grant
	full      bool     // the quota
	down      bool     // the directory cannot answer
	asked     []string // every look-up, in order
}

var _ Facts = (*world)(nil)

func newWorld() *world {
	return &world{
		accounts: map[string]Account{
			"jan@domena.cz":         {Login: "jan@domena.cz", SMTP: true},
			"petr@domena.eu":        {Login: "petr@domena.eu", SMTP: true},
			"eva@domena.cz":         {Login: "eva@domena.cz"},
			"info@firma.cz":         {Login: "info@firma.cz", SMTP: true},
			"mta@firma.cz":          {Login: "mta@firma.cz", SMTP: true, Forward: true},
			"jiri@xn--hky-ela4t.cz": {Login: "jiri@xn--hky-ela4t.cz", SMTP: true},
		},
		groups:    [][]string{{"domena.cz", "domena.eu"}, {"firma.cz"}, {"b.cz"}, {"xn--hky-ela4t.cz"}},
		addresses: map[string][]string{"jan@domena.cz": {"prodej@domena.cz"}},
		senders:   map[string][]string{"info@firma.cz": {"majitel@seznam.cz"}, "mta@firma.cz": {"@partner.cz"}},
	}
}

func (w *world) ask(what string) { w.asked = append(w.asked, what) }

func (w *world) Tally() Tally {
	w.ask("tally")
	return Tally{Count: w.count}
}

func (w *world) Guesses(login string) Tally {
	w.ask("guesses " + login)
	return Tally{Count: w.guesses}
}

func (w *world) HasLoggedIn(login string) bool {
	w.ask("has logged in " + login)
	return w.known
}

func (w *world) Failures() []Failure {
	w.ask("failures")
	return w.failures
}

func (w *world) Grants() []Grant {
	w.ask("grants")
	return w.grants
}

func (w *world) Account(login string) (*Account, State) {
	w.ask("account " + login)
	if w.down {
		return nil, Failed
	}
	if a, ok := w.accounts[login]; ok {
		return &a, Known
	}
	return nil, Absent
}

func (w *world) Domains(domain string) ([]string, State) {
	w.ask("domains " + domain)
	if w.down {
		return nil, Failed
	}
	for _, g := range w.groups {
		if slices.Contains(g, domain) {
			return g, Known
		}
	}
	return nil, Absent
}

func (w *world) Addresses(login string) ([]string, State) {
	w.ask("addresses " + login)
	if w.down {
		return nil, Failed
	}
	return w.addresses[login], Known
}

func (w *world) Senders(login string) ([]string, State) {
	w.ask("senders " + login)
	if w.down {
		return nil, Failed
	}
	return w.senders[login], Known
}

func (w *world) Room(login string, l Limits, always bool) Room {
	w.ask(fmt.Sprintf("room %s %d/%d %v", login, l.Messages, l.Recipients, always))
	return Room{Full: w.full}
}

func (w *world) Local(domain string) State {
	w.ask("local " + domain)
	if w.down {
		return Failed
	}
	for _, g := range w.groups {
		if slices.Contains(g, domain) {
			return Known
		}
	}
	return Absent
}

// newPolicy is the default configuration with networks for the tests.
func newPolicy() *Policy {
	return &Policy{
		Submission: []uint16{465, 587},
		Mixed:      []uint16{25},
		Trusted:    []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Webmail:    []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		Shared:     []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
		Throttle: Throttle{
			Limit: 10, Window: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64,
			Services: []string{"smtp", "submission"},
		},
		Hints:   true,
		POP:     POPPolicy{Enabled: true, Validity: time.Hour, Services: []string{"pop3"}, MaxAccounts: 5},
		Relay:   RelayPolicy{RefuseForwarded: true, LocalDomains: map[string]bool{"mx.test": true}},
		Replies: DefaultReplies(),
	}
}

const (
	stranger = "192.0.2.7"
	webmail  = "198.51.100.9"
	sharedIP = "203.0.113.5"
	trusted  = "127.0.0.1"
)

func request(stage Stage, client string, port uint16, login, sender string) *Request {
	r := &Request{Stage: stage, Protocol: ProtocolMilter, Time: noon, Port: port, Login: login, Sender: sender, Service: "smtp"}
	if client != "" {
		r.Client = netip.MustParseAddr(client)
	}
	return r
}

// failed makes a failed login that the world remembers.
func failed(login string) Failure {
	return Failure{Time: noon.Add(-time.Minute), Login: login, Shown: ShownLogin(login), Counted: true}
}
