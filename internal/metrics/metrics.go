// Package metrics counts what the daemon does, for Prometheus and for status
// (SPEC.md section 9).
package metrics

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"portreeve/rules"
)

// Set is one daemon's metrics, on a registry of its own.
type Set struct {
	registry *prometheus.Registry

	decisions   *prometheus.CounterVec
	reports     *prometheus.CounterVec
	connections *prometheus.GaugeVec
	malformed   *prometheus.CounterVec
	lookups     *prometheus.CounterVec
	answers     *prometheus.CounterVec
	storeTime   prometheus.Histogram
	unrecorded  prometheus.Counter

	lanes  [Lanes]lane
	counts counts
}

// counts is what status shows without asking Prometheus, with what is in the lanes.
type counts struct {
	passed, refused, observed, delayed, reports, malformed, unrecorded, failedLookups atomic.Int64
}

// Counts is a snapshot for status.
type Counts struct {
	Passed         int64 `json:"passed"`
	Refused        int64 `json:"refused"`
	Observed       int64 `json:"observed"`
	Delayed        int64 `json:"delayed"` // logins that had to wait (rule 11)
	AuthReports    int64 `json:"auth_reports"`
	ProtocolErrors int64 `json:"protocol_errors"`
	Unrecorded     int64 `json:"unrecorded"`
	FailedLookups  int64 `json:"failed_lookups"`
}

const protocolCount = 4

var protocols = [protocolCount]rules.Protocol{rules.ProtocolPolicy, rules.ProtocolMilter, rules.ProtocolAuthPolicy, rules.ProtocolSASL}

// Buckets reach from a decision made in memory to a wait that Dovecot gives up on.
var buckets = [bucketCount]float64{2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, .1, .2, .5, 1, 2}

const bucketCount = 19

// counted is a family of metrics.
type counted struct {
	name, help string
	labels     []string
}

// Those that every decision counts.
var (
	decisionsTotal   = counted{"decisions_total", "Decisions by rule (empty when nothing refused), action and protocol.", []string{"rule", "action", "protocol"}}
	decisionSeconds  = counted{"decision_seconds", "Time from request to answer.", []string{"protocol"}}
	lookupsTotal     = counted{"directory_lookups_total", "Directory look-ups by result.", []string{"result"}}
	directorySeconds = counted{"directory_seconds", "Time of a directory look-up; one in a file of accounts, which is in memory, counts as 0.", nil}
)

// Sources are values that are read when somebody looks.
type Sources struct {
	Since       time.Time // the daemon's start
	Blocked     func() int
	StoreUp     func() bool
	FileUp      func() bool // of the store, the host's own file
	SharedUp    func() bool // the store that hosts share; nil: there is none
	Waiting     func() int  // events that it has not heard of; nil: there is none
	SetAside    func() int  // damaged stores; nil: there are none
	DirectoryUp func() bool // nil: it is a file
}

// New makes the metrics of one daemon.
func New(src Sources) *Set {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "portreeve_" + name, Help: help}, labels)
	}
	histogram := func(name, help string) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: "portreeve_" + name, Help: help, Buckets: buckets[:]}
	}
	s := &Set{
		registry:  prometheus.NewRegistry(),
		decisions: counter(decisionsTotal.name, decisionsTotal.help, decisionsTotal.labels...),
		reports:   counter("auth_reports_total", "Login reports by protocol of the login and result.", "protocol", "result"),
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "portreeve_connections", Help: "Open connections.",
		}, []string{"protocol"}),
		malformed:  counter("protocol_errors_total", "Malformed requests, whose connection was closed.", "protocol"),
		lookups:    counter(lookupsTotal.name, lookupsTotal.help, lookupsTotal.labels...),
		answers:    counter("directory_answers_total", "Answers of a directory that is asked over a network: from the source, from memory, or stale because the source failed.", "from"),
		storeTime:  prometheus.NewHistogram(histogram("store_seconds", "Time until a write was committed.")),
		unrecorded: prometheus.NewCounter(prometheus.CounterOpts{Name: "portreeve_unrecorded_total", Help: "Refusals and events that the store did not take in time."}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "portreeve_" + name, Help: help}, value)
	}
	s.registry.MustRegister(
		// process_start_time_seconds wants /proc/stat, which ProcSubset=pid of the unit hides.
		gauge("start_time_seconds", "When the daemon started, in seconds since 1970.", func() float64 { return float64(src.Since.UnixMilli()) / 1000 }),
		gauge("blocked_clients", "Client prefixes that are blocked now.", number(src.Blocked)),
		gauge("store_up", "1 while the store can be written, and the shared one be reached.", yes(src.StoreUp)),
		gauge("store_file_up", "1 while the store's own file can be written.", yes(src.FileUp)),
		gauge("shared_store_up", "1 while the store that hosts share can be used; 1 where there is none.", yes(src.SharedUp)),
		gauge("shared_store_waiting", "Events that the store that hosts share has not heard of yet.", number(src.Waiting)),
		gauge("store_set_aside", "Damaged stores that were moved aside and lie there still.", number(src.SetAside)),
		gauge("directory_up", "1 while every source of the directory answers.", yes(src.DirectoryUp)),
	)
	s.registry.MustRegister(newLaned(s), s.answers, s.reports, s.connections, s.malformed, s.storeTime, s.unrecorded,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, p := range protocols {
		s.connections.WithLabelValues(string(p))
		s.malformed.WithLabelValues(string(p))
	}
	s.begin()
	return s
}

// begin makes the series that come later: of one that begins with its first event, a
// rate does not see that event, and an alert on it misses it.
func (s *Set) begin() {
	for _, p := range protocols {
		for _, rule := range rules.Rules {
			s.decisions.WithLabelValues(string(rule), "observe", string(p))
		}
	}
	for _, p := range []rules.Protocol{rules.ProtocolAuthPolicy, rules.ProtocolSASL} {
		s.decisions.WithLabelValues(string(rules.RuleLoginFailures), "delay", string(p))
	}
	s.malformed.WithLabelValues(string(rules.ProtocolMaillog))
	for _, service := range []string{"smtp", "submission", "pop3", "imap"} {
		for _, result := range []string{"success", "failure", "rejected"} {
			s.reports.WithLabelValues(service, result)
		}
	}
	for _, from := range []string{"memory", "source", "stale"} {
		s.answers.WithLabelValues(from)
	}
	s.lookups.WithLabelValues("failed")
}

// number is a count that somebody knows, or 0.
func number(of func() int) func() float64 {
	return func() float64 {
		if of == nil {
			return 0
		}
		return float64(of())
	}
}

// yes is 1 unless somebody says no.
func yes(is func() bool) func() float64 {
	return func() float64 {
		if is == nil || is() {
			return 1
		}
		return 0
	}
}

// Handler serves /metrics.
func (s *Set) Handler() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{Registry: s.registry})
}

// Counts is a snapshot.
func (s *Set) Counts() Counts {
	passed, refused := s.counts.passed.Load(), s.counts.refused.Load()
	for i := range protocols {
		passed += s.passed(i)
		for r := range rules.Rules {
			refused += s.refused(r, i)
		}
	}
	return Counts{
		Passed: passed, Refused: refused, Observed: s.counts.observed.Load(), Delayed: s.counts.delayed.Load(),
		AuthReports: s.counts.reports.Load(), ProtocolErrors: s.counts.malformed.Load(),
		Unrecorded: s.counts.unrecorded.Load(), FailedLookups: s.counts.failedLookups.Load(),
	}
}

// Decided counts one rule's outcome.
func (s *Set) Decided(lane int, _ time.Time, rule rules.Rule, action string, p rules.Protocol) {
	if s.lane(lane).decided(rule, action, p) {
		return
	}
	switch action {
	case "refuse":
		s.counts.refused.Add(1)
	case "observe":
		s.counts.observed.Add(1)
	case "delay": // and the decision passes, too
		s.counts.delayed.Add(1)
	default:
		s.counts.passed.Add(1)
	}
	s.decisions.WithLabelValues(string(rule), action, string(p)).Inc()
}

// Took measures a decision.
func (s *Set) Took(lane int, p rules.Protocol, d time.Duration) {
	if i := protocolIndex(p); i >= 0 {
		s.lane(lane).took[i].observe(d)
	}
}

// Looked counts a directory look-up.
func (s *Set) Looked(lane int, result string, d time.Duration) {
	l := s.lane(lane)
	l.looked.observe(d)
	switch result {
	case "found":
		l.found.Add(1)
	case "absent":
		l.absent.Add(1)
	default:
		s.lookups.WithLabelValues(result).Inc()
		s.counts.failedLookups.Add(1)
	}
}

// Answered counts an answer of a directory that is kept in memory for a while.
func (s *Set) Answered(from string) { s.answers.WithLabelValues(from).Inc() }

// Stored measures a committed write.
func (s *Set) Stored(d time.Duration) { s.storeTime.Observe(d.Seconds()) }

// Unrecorded counts what the store did not take.
func (s *Set) Unrecorded() {
	s.counts.unrecorded.Add(1)
	s.unrecorded.Inc()
}

// AuthReport counts a login report; service is Dovecot's name of the service.
func (s *Set) AuthReport(service, result string) {
	s.counts.reports.Add(1)
	s.reports.WithLabelValues(known(service), result).Inc()
}

// known bounds the values of a label that comes from outside.
func known(service string) string {
	switch service {
	case "smtp", "submission", "submissions", "smtps", "pop3", "pop3s", "imap", "imaps", "lmtp", "sieve", "managesieve", "doveadm":
		return service
	}
	return "other"
}

// ProtocolError counts a malformed request.
func (s *Set) ProtocolError(p rules.Protocol) {
	s.counts.malformed.Add(1)
	s.malformed.WithLabelValues(string(p)).Inc()
}

// ConnOpened counts a connection in.
func (s *Set) ConnOpened(p rules.Protocol) { s.connections.WithLabelValues(string(p)).Inc() }

// ConnClosed counts it out.
func (s *Set) ConnClosed(p rules.Protocol) { s.connections.WithLabelValues(string(p)).Dec() }
