package integration

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"portreeve/integration/mimic"
	"portreeve/rules"
)

// sendersOf are who may log in, and the domains that each may send as.
var sendersOf = map[string][]string{
	"jan.novak@domena.cz": {"domena.cz", "domena.eu"},
	"mta@firma.cz":        {"firma.cz", "partner.cz"},
	"jiri@xn--haky-hua.cz": {
		"xn--haky-hua.cz", "hačky.cz",
	},
}

// knownSenders are what FACTS.md 1.5 and RFC 5321 suggest to somebody who wants to
// be somebody else, and honest ones to begin with.
var knownSenders = []string{
	"jan.novak@domena.cz", "JAN.NOVAK@DOMENA.CZ", "jan.novak+x@domena.eu", "x@domena.cz.", "x@domena.cz..", "x@.domena.cz", "x@domena.cz@", "x@domena..cz",
	"mta@firma.cz", "kdo@partner.cz", "kdo@sub.partner.cz", "jiri@xn--haky-hua.cz", "jiri@hačky.cz", "jiri@HAČKY.cz", "jiri@xn--HAKY-hua.cz",
	"!#$%&'*+-/=?^_`{|}~@domena.cz", "#$&'*+-/=?^_`{|}~@domena.cz", "a.@domena.cz", ".a@domena.cz", "a..b@domena.cz", "ü@domena.cz", "x@dömena.cz",
	"user%evil.test", "evil.test!user", "user%evil.test@domena.cz", "evil.test!user@domena.cz", "domena.cz!user@evil.test", "user%domena.cz@evil.test",
	"user%domena.cz", "domena.cz!user", "evil.test!domena.cz!user", "user%evil.test%domena.cz", "user%domena.cz%evil.test", `"user%evil.test"`, `"evil.test!user"`,
	`"a@evil.test"@domena.cz`, `"a@domena.cz"@evil.test`, `a@evil.test@domena.cz`, `a@domena.cz@evil.test`, `"a"@domena.cz`, `"a b"@domena.cz`, `a\@evil.test@domena.cz`,
	"@domena.cz:c@evil.test", "@evil.test:c@domena.cz", "@domena.cz,@evil.test:c@evil.test", "@domena.cz", "@", "user", "user@", `""@domena.cz`, `"\"@domena.cz`,
	"x@[127.0.0.1]", "x@[IPv6:::1]", "x@domena.cz[127.0.0.1]", "x@domena.cz(evil)", "x(evil)@domena.cz", "(x)x@domena.cz", "x @domena.cz", "x@ domena.cz", "x@domena.cz ",
	"x@domena.cz,y@evil.test", "x@domena.cz;y@evil.test", "x:y@domena.cz", "x@domena.cz:y@evil.test", "x@evil.test:y@domena.cz", "<x@domena.cz>", "x@domena.cz><y@evil.test",
	"x@domena.cz\x00@evil.test", "x@domena\x7f.cz", "x@domena.cz\t", "x@domena.cz\v", "x\u200b@domena.cz", "x@domena.cz\u200b", "x@ｄomena.cz", "x@domena。cz", "x@domena.cz\u202e",
	"x@domena.cz\\", "\\x@domena.cz", "x@domena.cz%evil.test", "x@domena.cz!evil.test", "x@evil.test%domena.cz", "x@evil.test!domena.cz", "x@1.2.3.4", "x@domena", "x@cz",
	"x@domena.cz" + strings.Repeat("a", 250), strings.Repeat("a", 300) + "@domena.cz", "x@" + strings.Repeat("a.", 120) + "domena.cz",
	"=?utf-8?q?x?=@domena.cz", "x@=?utf-8?q?domena.cz?=", "x@xn--domena-.cz", "x@domena.cz/evil.test", "x@domena.cz#evil", "x@evil.test#domena.cz", "x@-domena.cz", "x@domena_.cz",
}

// pieces are what mutations are made of.
var pieces = []string{
	"@", "%", "!", ":", ",", ";", "\"", "\\", "<", ">", "(", ")", "[", "]", ".", "..", " ", "\t", "evil.test", "domena.cz", "@evil.test", "%evil.test", "evil.test!",
	"@domena.cz", "a", "+", "=", "\xff", "\x01", "ü", "\u202e", "xn--", "-", "A",
}

// hostileSenders are the known ones, and so many mutations of them: always the same.
func hostileSenders(mutations int) []string {
	r := rand.New(rand.NewPCG(7, 10))
	list := slices.Clone(knownSenders)
	for range mutations {
		s := knownSenders[r.IntN(len(knownSenders))]
		for range 1 + r.IntN(3) {
			from := r.IntN(len(s) + 1)
			to := min(len(s), from+r.IntN(3)*r.IntN(2))
			s = s[:from] + pieces[r.IntN(len(pieces))] + s[to:]
		}
		list = append(list, s)
	}
	return list
}

// oneAccount is a directory of the accounts of sendersOf; nothing else is known.
type oneAccount struct{ rules.Facts }

func (oneAccount) Tally() rules.Tally { return rules.Tally{} }

func (oneAccount) Account(login string) (*rules.Account, rules.State) {
	if _, ok := sendersOf[login]; !ok {
		return nil, rules.Absent
	}
	return &rules.Account{Login: login, SMTP: true, Forward: login == "mta@firma.cz"}, rules.Known
}

func (oneAccount) Domains(domain string) ([]string, rules.State) {
	if domain == "domena.cz" {
		return []string{"domena.cz", "domena.eu"}, rules.Known
	}
	return []string{domain}, rules.Known
}

func (oneAccount) Senders(login string) ([]string, rules.State) {
	if login == "mta@firma.cz" {
		return []string{"@partner.cz"}, rules.Known
	}
	return nil, rules.Absent
}

// queuedAsOwn fails where the engine lets an account send what Postfix would queue
// under a domain that is not the account's. view is the address as a front gets it.
func queuedAsOwn(t *testing.T, login, path, view string) (passed bool) {
	t.Helper()
	p := &rules.Policy{Submission: []uint16{587}, Replies: rules.DefaultReplies()}
	d := p.Decide(&rules.Request{
		Stage: rules.StageMail, Protocol: rules.ProtocolMilter, Time: time.Unix(0, 0), Port: 587,
		Client: netip.MustParseAddr("192.0.2.7"), Login: login, Sender: view,
	}, oneAccount{})
	if d.Action == rules.Refuse {
		return false
	}
	if domain := mimic.Queued(path); view != "" && !slices.Contains(sendersOf[login], domain) {
		t.Errorf("%s may send as %q, which is queued at %q", login, path, domain)
	}
	return true
}

// bothViews asks about a sender as the milter gets it, typed, and as the policy
// service does, unquoted.
func bothViews(t *testing.T, login, sender string) (passed bool) {
	t.Helper()
	typed := queuedAsOwn(t, login, "<"+sender+">", sender)
	unquoted := queuedAsOwn(t, login, "<"+sender+">", mimic.Internal("<"+sender+">"))
	return typed || unquoted
}

// TestSendersAreQueuedAsOwn is the engine's promise over the corpus that the real
// Postfix is asked about as well (TestRealSenders).
func TestSendersAreQueuedAsOwn(t *testing.T) {
	passed := 0
	all := hostileSenders(20_000)
	for _, sender := range all {
		for login := range sendersOf {
			if bothViews(t, login, sender) {
				passed++
			}
		}
	}
	if passed < 100 || passed > len(all) {
		t.Errorf("%d of %d pass: the corpus tells nothing", passed, len(all))
	}
}

// FuzzQueuedAsOwn looks further.
func FuzzQueuedAsOwn(f *testing.F) {
	for _, sender := range hostileSenders(100) {
		f.Add(sender)
	}
	f.Fuzz(func(t *testing.T, sender string) {
		for login := range sendersOf {
			bothViews(t, login, sender)
		}
	})
}
