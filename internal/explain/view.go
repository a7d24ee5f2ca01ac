package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"portreeve/internal/gate"
	"portreeve/journal"
	"portreeve/rules"
)

// view is an entry with what its words are chosen by.
type view struct {
	journal.Entry
	ctx     context.Context
	h       *Host
	f       gate.Facts
	account string // the login that matters most, as it may be shown
	address string // the address or the header field that decided, as the client wrote it
	sender  judged
	block   *Block
}

func newView(ctx context.Context, e journal.Entry, h *Host) (*view, error) {
	v := &view{Entry: e, ctx: ctx, h: h}
	if err := json.Unmarshal(e.Facts, &v.f); err != nil {
		return nil, fmt.Errorf("reading the facts of %s: %w", e.ID, err)
	}
	v.account = firstOf(v.f.As, e.Login, v.lastFailed())
	v.address = firstOf(v.f.LookedAt, e.Sender)
	v.sender = v.judge()
	if e.Reason == string(rules.ReasonBlocked) {
		v.block = v.explainBlock()
	}
	return v, nil
}

// lastFailed is the login that failed last; "" if it had forbidden characters.
func (v *view) lastFailed() string {
	if len(v.f.Failures) == 0 {
		return ""
	}
	return v.f.Failures[0].Login
}

// whole tells whether the account is known by a whole address.
func (v *view) whole() bool {
	at := strings.LastIndexByte(v.account, '@')
	return at > 0 && at < len(v.account)-1
}

// own is the account's domain.
func (v *view) own() string {
	if !v.whole() {
		return ""
	}
	return rules.DomainOf(v.account)
}

// group lists the domains that the account may use: those that were looked up for
// the decision, else those of today.
func (v *view) group() []string {
	own := v.own()
	if own == "" {
		return nil
	}
	group := v.f.Domains[own]
	if len(group) == 0 {
		group = v.h.group(v.ctx, own)
	}
	if !slices.Contains(group, own) {
		return append([]string{own}, group...)
	}
	return group
}

// tally lists the failed logins by name with their number, most first.
func tally(failures []gate.FailureFact) []BlockedLogin {
	var list []BlockedLogin
	for _, f := range slices.Backward(failures) { // they stand newest first
		i := slices.IndexFunc(list, func(l BlockedLogin) bool { return l.Login == f.Login })
		if i < 0 {
			i = len(list)
			list = append(list, BlockedLogin{Login: f.Login})
		}
		list[i].Failures++
		list[i].Times = append(list[i].Times, f.Time)
	}
	slices.SortStableFunc(list, func(a, b BlockedLogin) int { return b.Failures - a.Failures })
	return list
}

// tried says which names the failed logins were for, and how often each.
func (v *view) tried() string {
	var parts []string
	for i, l := range tally(v.f.Failures) {
		if i == listAtMost {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, fmt.Sprintf("%s %d×", named(l.Login), l.Failures))
	}
	return strings.Join(parts, ", ")
}

// named shows a login that a client has chosen.
func named(login string) string {
	if login == "" {
		return "a name with forbidden characters"
	}
	return strconv.Quote(rules.PrintableSender(login))
}

// theOneTried is the whole address that all failed logins were for; "" if there
// were several, or none.
func (v *view) theOneTried() string {
	logins := tally(v.f.Failures)
	if len(logins) != 1 || !strings.Contains(logins[0].Login, "@") {
		return ""
	}
	login, ok := canonical(logins[0].Login)
	if !ok {
		return ""
	}
	return login
}

// canonical reads a login as the rules do. What has no @ may be no login but how
// one is shown: its first letter and its length.
func canonical(login string) (c string, whole bool) { return rules.Logins{}.Canonical(login) }

// ip is the client's address; ok is false for the unknown one.
func (v *view) ip() (netip.Addr, bool) {
	a, err := netip.ParseAddr(v.Client)
	return a, err == nil
}

// values are what the texts for the customer have placeholders for. A text is
// left out when one of its values is empty.
func (v *view) values() map[string]string {
	c := v.h.Lang.in()
	values := map[string]string{
		"id": v.ID, "login": shownAddress(v.account), "address": shownAddress(firstOf(v.sender.address, v.address)),
		"domain": unicodeDomain(v.sender.domain), "domains": "", "suggestion": shownAddress(v.sender.suggestion),
		"recipient": "", "ip": "", "until": "", "minutes": "", "time": "", "limit": "",
	}
	if !v.whole() {
		values["login"] = ""
	}
	var shown []string
	for _, d := range v.group() {
		shown = append(shown, unicodeDomain(d))
	}
	values["domains"] = c.list(shown)
	if len(v.Recipients) > 0 {
		values["recipient"] = shownAddress(v.Recipients[0])
	}
	if a, ok := v.ip(); ok {
		values["ip"] = a.String()
	}
	if len(v.f.Lapsed) > 0 {
		values["time"] = c.when(v.h.local(v.f.Lapsed[0].Last))
	}
	if n := v.limit(); n > 0 {
		values["limit"] = strconv.Itoa(n)
	}
	if v.block != nil && !v.block.Over {
		// To the full minute after it: an early attempt would be refused.
		until := v.block.Until.Add(time.Minute - 1).Truncate(time.Minute)
		values["until"] = c.when(v.h.local(until))
		values["minutes"] = strconv.Itoa(int(math.Ceil(v.block.Until.Sub(v.h.Now).Minutes())))
	}
	return values
}

// unicodeDomain shows a domain as people write it.
func unicodeDomain(d string) string {
	if u, err := idna.ToUnicode(d); err == nil {
		return u
	}
	return d
}

// bothDomains shows a domain as people write it, and as the DNS has it where
// that differs.
func bothDomains(d string) string {
	if u := unicodeDomain(d); u != d {
		return u + " (" + d + ")"
	}
	return d
}

// shownAddress is an address with its domain as people write it.
func shownAddress(a string) string {
	at := strings.LastIndexByte(a, '@')
	if at < 0 {
		return a
	}
	return a[:at+1] + unicodeDomain(a[at+1:])
}
