package metrics

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"portreeve/rules"
)

// Lanes is how many counts there are of what every decision counts. Two processors that
// count in the same place wait for each other, and a decision has a dozen such places:
// that took a tenth of it. So those who decide at the same time have a lane each, as far
// as there are any, and whoever reads adds them up.
const Lanes = 16

// lane is one of them.
type lane struct {
	passed        [protocolCount]atomic.Int64
	refused       [ruleCount][protocolCount]atomic.Int64
	found, absent atomic.Int64 // look-ups
	took          [protocolCount]times
	looked        times
	_             [64]byte // what comes next is another's
}

// decided counts what is passed or refused; false for everything else.
func (l *lane) decided(rule rules.Rule, action string, p rules.Protocol) bool {
	i := protocolIndex(p)
	if i < 0 {
		return false
	}
	switch action {
	case "pass":
		l.passed[i].Add(1)
		return true
	case "refuse":
		if r := slices.Index(rules.Rules, rule); r >= 0 {
			l.refused[r][i].Add(1)
			return true
		}
	}
	return false
}

// times is a histogram.
type times struct {
	counts [bucketCount + 1]atomic.Uint64 // of each bucket alone
	sum    atomic.Int64                   // nanoseconds
}

func (t *times) observe(d time.Duration) {
	i, _ := slices.BinarySearch(buckets[:], d.Seconds())
	t.counts[i].Add(1)
	t.sum.Add(int64(d))
}

// ruleCount is the length of rules.Rules.
const ruleCount = 8

// protocolIndex is the protocol's place in protocols, or -1.
func protocolIndex(p rules.Protocol) int { return slices.Index(protocols[:], p) }

func (s *Set) refused(rule, protocol int) int64 {
	return s.sum(func(l *lane) *atomic.Int64 { return &l.refused[rule][protocol] })
}

func (s *Set) lane(n int) *lane { return &s.lanes[n%Lanes] }

// sum adds up one count of all lanes.
func (s *Set) sum(of func(*lane) *atomic.Int64) (n int64) {
	for i := range s.lanes {
		n += of(&s.lanes[i]).Load()
	}
	return n
}

func (s *Set) passed(protocol int) int64 {
	return s.sum(func(l *lane) *atomic.Int64 { return &l.passed[protocol] })
}

// histogram adds up one histogram of all lanes.
func (s *Set) histogram(desc *prometheus.Desc, of func(*lane) *times, labels ...string) prometheus.Metric {
	var (
		each [bucketCount + 1]uint64
		sum  int64
	)
	for i := range s.lanes {
		t := of(&s.lanes[i])
		for b := range t.counts {
			each[b] += t.counts[b].Load()
		}
		sum += t.sum.Load()
	}
	count, upTo := uint64(0), make(map[float64]uint64, bucketCount)
	for b, n := range each {
		count += n
		if b < bucketCount {
			upTo[buckets[b]] = count
		}
	}
	return prometheus.MustNewConstHistogram(desc, count, time.Duration(sum).Seconds(), upTo, labels...)
}

// laned collects what is counted in lanes; some of its families have counts beside them
// that are rare.
type laned struct {
	set                                    *Set
	decisions, seconds, lookups, directory *prometheus.Desc
}

func newLaned(s *Set) laned {
	desc := func(c counted) *prometheus.Desc {
		return prometheus.NewDesc("portreeve_"+c.name, c.help, c.labels, nil)
	}
	return laned{set: s, decisions: desc(decisionsTotal), seconds: desc(decisionSeconds), lookups: desc(lookupsTotal), directory: desc(directorySeconds)}
}

// Describe implements prometheus.Collector.
func (l laned) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{l.decisions, l.seconds, l.lookups, l.directory} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (l laned) Collect(ch chan<- prometheus.Metric) {
	s := l.set
	s.decisions.Collect(ch)
	s.lookups.Collect(ch)
	counter := func(desc *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
	}
	for i, p := range protocols {
		counter(l.decisions, s.passed(i), "", rules.Pass.String(), string(p))
		for r, rule := range rules.Rules {
			counter(l.decisions, s.refused(r, i), string(rule), rules.Refuse.String(), string(p))
		}
		ch <- s.histogram(l.seconds, func(of *lane) *times { return &of.took[i] }, string(p))
	}
	counter(l.lookups, s.sum(func(of *lane) *atomic.Int64 { return &of.found }), "found")
	counter(l.lookups, s.sum(func(of *lane) *atomic.Int64 { return &of.absent }), "absent")
	ch <- s.histogram(l.directory, func(of *lane) *times { return &of.looked })
}
