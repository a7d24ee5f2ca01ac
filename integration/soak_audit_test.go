//go:build real && soak

package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"portreeve/internal/admin"
)

// totals are both sides' counts of one moment, at which nothing was under way.
type totals struct {
	told, refused      map[string]int // by rule: the clients', the metrics'
	failures, reported int
}

func (s *soak) totals() totals {
	s.t.Helper()
	s.hold.Lock()
	defer s.hold.Unlock()
	t := totals{refused: map[string]int{}}
	t.told, t.failures = s.book.refusals()
	for _, rule := range []string{"sender", "relay", "quota", "throttled", "access_disabled", "auth_failed"} {
		t.refused[rule] = s.metric(`portreeve_decisions_total\{action="refuse",protocol="\w+",rule="` + rule + `"\}`)
	}
	t.reported = s.metric(`portreeve_auth_reports_total\{protocol="\w+",result="failure"\}`)
	return t
}

// metric is the sum of the series that match.
func (s *soak) metric(pattern string) int {
	s.t.Helper()
	res, err := http.Get("http://" + s.world.Instance.WebAddr() + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	sum := 0
	for _, m := range regexp.MustCompile(`(?m)^`+pattern+` (\d+)$`).FindAllSubmatch(body, -1) {
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			s.t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// audit holds the two sides against each other, and prints the ledger.
func (s *soak) audit(before totals) {
	s.t.Helper()
	after := s.totals()
	out := &strings.Builder{}
	fmt.Fprintf(out, "ledger of %s\n%s", time.Since(s.began).Round(time.Second), s.book)
	s.auditOutages(out)
	s.auditJournal(out)
	s.auditExplain(out)
	s.auditQueue(out)
	s.auditFailures(out)
	s.auditQuota(out)
	s.auditEnd(out, before, after)
	s.auditMemory(out)
	s.t.Log("\n" + out.String())
	for i, p := range s.book.problems {
		if i == 40 {
			s.t.Errorf("… and %d more", len(s.book.problems)-i)
			break
		}
		s.t.Error(p)
	}
}

func (s *soak) auditOutages(out *strings.Builder) {
	for _, o := range s.outages {
		fmt.Fprintf(out, "%-28s from %s for %s\n", o.what, o.from.Sub(s.began).Round(time.Second), o.to.Sub(o.from).Round(time.Second))
	}
	fmt.Fprintf(out, "tries that ended deferred or cut: %d while Portreeve was away, %d while it ran\n", s.book.waits[false], s.book.waits[true])
	if n := s.book.line("inbound, 25").deferred; n > 0 {
		s.book.complain("%d tries of inbound mail were deferred", n)
	}
}

// auditJournal: what clients were told, the journal has, and as often. It may
// have more only of tries whose answer was cut off.
func (s *soak) auditJournal(out *strings.Builder) {
	s.t.Helper()
	entries, err := s.admin.Decisions(s.t.Context(), admin.DecisionsRequest{Limit: 1 << 20})
	if err != nil {
		s.t.Fatal(err)
	}
	has, times := map[string]map[string]bool{}, map[string]int{}
	for _, e := range entries {
		key := e.ID
		if e.Rule == "sender" {
			key = e.Sender
		}
		if has[e.Rule] == nil {
			has[e.Rule] = map[string]bool{}
		}
		has[e.Rule][key] = true
		times[e.Rule] += e.Count
	}
	fmt.Fprintf(out, "%-16s %11s %9s | %12s %9s\n", "rule", "told clients", "ids", "in journal", "entries")
	cut := s.book.waits[false] + s.book.waits[true]
	for _, rule := range slices.Sorted(maps.Keys(has)) {
		fmt.Fprintf(out, "%-16s %11d %9d | %12d %9d\n", rule, s.book.told[rule], len(s.book.keys[rule]), times[rule], len(has[rule]))
		for key := range s.book.keys[rule] {
			if !has[rule][key] {
				s.book.complain("%s: the journal has no %s", rule, key)
			}
		}
		if more := len(has[rule]) - len(s.book.keys[rule]); more > cut {
			s.book.complain("%s: the journal has %d entries that no client was told of", rule, more)
		}
		fresh := s.fresh(rule)
		if more := times[rule] - s.book.told[rule]; more < -fresh || more > cut {
			s.book.complain("%s: the journal counts %d, clients %d; %d tries were cut, %d repeats are from a second before an outage", rule, times[rule], s.book.told[rule], cut, fresh)
		}
	}
	for rule := range s.book.keys {
		if has[rule] == nil {
			s.book.complain("the journal has no entry of %s", rule)
		}
	}
}

// fresh is how many refusals of a rule were told when an outage was about to begin
// or began: how often an entry was told is written every second, and may be lost
// with it. Ids never are.
func (s *soak) fresh(rule string) (n int) {
	for _, at := range s.book.times[rule] {
		if slices.ContainsFunc(s.outages, func(o *outage) bool {
			return at.After(o.from.Add(-2*time.Second)) && at.Before(o.from.Add(2*time.Second))
		}) {
			n++
		}
	}
	return n
}

// auditExplain asks for every id by the verb.
func (s *soak) auditExplain(out *strings.Builder) {
	s.t.Helper()
	var ids []string
	for rule, keys := range s.book.keys {
		if rule != "sender" {
			ids = slices.AppendSeq(ids, maps.Keys(keys))
		}
	}
	unknown := 0
	for batch := range slices.Chunk(ids, 50) { // more than that are not shown
		got, err := s.world.Verb(s.t.Context(), append([]string{"explain", "--json"}, batch...)...)
		if err != nil {
			s.t.Fatal(err)
		}
		var found []struct{ ID string }
		if err := json.Unmarshal([]byte(got.Stdout), &found); got.Exit != 0 || err != nil || len(found) != len(batch) {
			unknown += len(batch) - len(found)
			s.book.complain("explain ended with status %d: %.300s", got.Exit, got.Stderr)
		}
	}
	for i, sender := range slices.Sorted(maps.Keys(s.book.keys["sender"])) {
		if i%20 == 0 { // the journal has each; this is the way by the error text
			verb(s.t, s.world, 0, "explain", "550 5.1.0 <"+sender+"> sender rejected")
		}
	}
	fmt.Fprintf(out, "explain: %d ids asked for, %d unknown\n", len(ids), unknown)
}

var fromQueue = regexp.MustCompile(`postfix/qmgr\[\d+\]: ([0-9A-Za-z]+): from=<`)

// auditQueue: what clients were told is queued, Postfix delivered.
func (s *soak) auditQueue(out *strings.Builder) {
	s.t.Helper()
	log := ""
	missing := func() int {
		body, err := os.ReadFile(s.world.Instance.MailLog())
		if err != nil {
			s.t.Fatal(err)
		}
		log = string(body)
		n := 0
		for _, id := range s.book.queued {
			if !strings.Contains(log, " "+id+": removed\n") {
				n++
			}
		}
		return n
	}
	eventually(s.t, "everything that was queued is delivered", func() bool { return missing() == 0 })
	ids := map[string]bool{}
	for _, m := range fromQueue.FindAllStringSubmatch(log, -1) {
		ids[m[1]] = true
	}
	fmt.Fprintf(out, "queued: clients were told %d, Postfix queued and delivered %d\n", len(s.book.queued), len(ids))
	if more := len(ids) - len(s.book.queued); more < 0 || more > s.book.waits[false] {
		s.book.complain("Postfix queued %d messages, clients know of %d", len(ids), len(s.book.queued))
	}
}

// auditFailures: each address has as many failures against it as it was told of.
func (s *soak) auditFailures(out *strings.Builder) {
	s.t.Helper()
	var theirs tallied
	ours := 0
	for from, f := range s.book.failures {
		n := s.failuresOf(from)
		ours += n
		theirs.sure += f.sure
		theirs.unsure += f.unsure
		if !f.fits(n) {
			s.book.complain("%s: %d failures are counted; the client was told of %d, and of %d during outages", from, n, f.sure, f.unsure)
		}
	}
	fmt.Fprintf(out, "failed logins of %d addresses: clients %d, and %d during outages; counted %d\n", len(s.book.failures), theirs.sure, theirs.unsure, ours)
}

func (s *soak) failuresOf(from netip.Addr) int {
	s.t.Helper()
	got, err := s.admin.Failures(s.t.Context(), admin.FailuresRequest{Of: from.String()})
	if err != nil {
		s.t.Fatal(err)
	}
	return got.Count
}

func (s *soak) auditQuota(out *strings.Builder) {
	s.t.Helper()
	u, err := s.admin.Usage(s.t.Context(), admin.UsageRequest{Login: quotaLogin})
	if err != nil {
		s.t.Fatal(err)
	}
	b := s.book.charged
	fmt.Fprintf(out, "quota of %d: clients had %d queued, and %d during outages; charged %d\n", quotaLimit, b.sure, b.unsure, u.Messages)
	b.unsure += s.book.line(quotaPart).deferred // charged, and cut off before Postfix queued it
	if !b.fits(u.Messages) {
		s.book.complain("the quota: charged %d, clients %+v", u.Messages, b)
	}
}

// auditEnd: since the last outage nothing was lost, so the metrics are equal.
func (s *soak) auditEnd(out *strings.Builder, before, after totals) {
	fmt.Fprintf(out, "since the last outage %18s %9s\n", "clients", "metrics")
	for _, rule := range slices.Sorted(maps.Keys(after.refused)) {
		c, m := after.told[rule]-before.told[rule], after.refused[rule]-before.refused[rule]
		fmt.Fprintf(out, "  %-20s %17d %9d\n", rule, c, m)
		if c != m {
			s.book.complain("since the last outage clients were told %s %d times, the metrics say %d", rule, c, m)
		}
	}
	c, m := after.failures-before.failures, after.reported-before.reported
	fmt.Fprintf(out, "  %-20s %17d %9d\n", "failed logins", c, m)
	if c != m {
		s.book.complain("since the last outage clients failed %d times, the metrics say %d", c, m)
	}
}

// auditMemory compares the quarters.
func (s *soak) auditMemory(out *strings.Builder) {
	end := time.Since(s.began)
	most := [4]int{}
	for _, m := range s.memory {
		q := min(3, int(4*m.at/end))
		most[q] = max(most[q], m.kib)
	}
	fmt.Fprintf(out, "resident size, the most of each quarter: %d, %d, %d, %d MiB (the margin is %d MiB)\n",
		most[0]>>10, most[1]>>10, most[2]>>10, most[3]>>10, memoryMargin>>10)
	if len(s.memory) == 0 || most[3] > most[0]+memoryMargin {
		s.book.complain("memory is not flat: %v KiB", most)
	}
}
