package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"portreeve/internal/gate"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

// failuresAtMost bounds the failed logins that are shown around an entry.
const failuresAtMost = 20

// around is what else happened from the client and from the login.
func (v *view) around(n Neighbours) Around {
	a := Around{
		Since: v.Time.Add(-Reach).UTC(), Until: v.Last.Add(Reach).UTC(), More: n.More,
		Refusals: []Nearby{}, Failures: []gate.FailureFact{}, Blocks: []InForce{}, Text: []string{},
	}
	for _, e := range n.Entries {
		if e.ID != v.ID {
			a.Refusals = append(a.Refusals, nearby(e))
		}
	}
	failures := gate.FailureFacts(n.Failures)
	failures = slices.DeleteFunc(failures, func(f gate.FailureFact) bool {
		return f.Time.Before(a.Since) || f.Time.After(a.Until)
	})
	slices.SortStableFunc(failures, func(x, y gate.FailureFact) int {
		return int(x.Time.Sub(v.Time).Abs() - y.Time.Sub(v.Time).Abs())
	})
	a.More = a.More || len(failures) > failuresAtMost
	a.Failures = append(a.Failures, failures[:min(len(failures), failuresAtMost)]...)
	for _, b := range v.h.Blocks {
		if b.ID != v.ID && v.concerns(b) {
			a.Blocks = append(a.Blocks, InForce{ID: b.ID, Prefix: gate.PrefixText(b.Prefix), Since: b.Since.UTC(), Until: b.Until.UTC()})
		}
	}
	a.Text = append(a.Text, v.aroundText(a)...)
	return a
}

// concerns tells whether the block is the client's, or was led to by the login.
func (v *view) concerns(b ledger.Block) bool {
	if client, err := netip.ParseAddr(v.Client); err == nil && b.Prefix.Contains(client) {
		return true
	}
	return v.whole() && slices.ContainsFunc(b.Failures, func(f rules.Failure) bool { return f.Shown == v.account })
}

func nearby(e journal.Entry) Nearby {
	return Nearby{
		ID: e.ID, Time: e.Time, Count: e.Count, Rule: e.Rule, Reason: e.Reason, Observed: e.Observed,
		Client: e.Client, Login: e.Login, Sender: e.Sender, Title: titleOf(e.Reason),
	}
}

func (v *view) aroundText(a Around) []string {
	var lines []string
	for _, b := range a.Blocks {
		lines = append(lines, fmt.Sprintf("%s is blocked since %s until %s (%s)", b.Prefix, v.h.stamp(b.Since), v.h.stamp(b.Until), firstOf(b.ID, "nobody was told yet")))
	}
	for _, r := range a.Refusals {
		lines = append(lines, v.nearbyText(r))
	}
	for _, l := range tallyByClient(a.Failures) {
		lines = append(lines, fmt.Sprintf("%s for %s from %s: %s", amount(l.Failures, "failed login"), named(l.Login), l.client, v.span(l.Times)))
	}
	if a.More {
		lines = append(lines, "there is more: only the nearest are shown")
	}
	return lines
}

func (v *view) nearbyText(r Nearby) string {
	parts := []string{fmt.Sprintf("%s %s: %s", v.h.stamp(r.Time), r.Rule, r.Title)}
	if r.Observed {
		parts[0] += " (observed only)"
	}
	if r.Client != v.Client {
		parts = append(parts, "client "+r.Client)
	}
	if r.Login != v.Login && r.Login != "" {
		parts = append(parts, "login "+rules.PrintableSender(r.Login))
	}
	if r.Sender != "" {
		parts = append(parts, "sender <"+rules.PrintableSender(r.Sender)+">")
	}
	if r.Count > 1 {
		parts = append(parts, fmt.Sprintf("%d times", r.Count))
	}
	return strings.Join(append(parts, r.ID), ", ")
}

// clientTally is one login's failures from one client.
type clientTally struct {
	BlockedLogin
	client string
}

func tallyByClient(failures []gate.FailureFact) []clientTally {
	var list []clientTally
	for _, f := range failures {
		i := slices.IndexFunc(list, func(l clientTally) bool { return l.Login == f.Login && l.client == f.Client })
		if i < 0 {
			i = len(list)
			list = append(list, clientTally{BlockedLogin: BlockedLogin{Login: f.Login}, client: f.Client})
		}
		list[i].Failures++
		list[i].Times = append(list[i].Times, f.Time)
	}
	return list
}

// span is the first and the last of some times.
func (v *view) span(times []time.Time) string {
	first, last := slices.MinFunc(times, time.Time.Compare), slices.MaxFunc(times, time.Time.Compare)
	if first.Equal(last) {
		return v.h.stamp(first)
	}
	return v.h.local(first).Format("15:04:05") + " to " + v.h.stamp(last)
}
