package web

import (
	"sync"
	"sync/atomic"
	"time"

	"portreeve/rules"
)

// hourMinutes is how far back an Hour shows, the present minute included.
const hourMinutes = 60

// slots is more than hourMinutes, so that the minute that begins never takes the
// place of one that is being shown.
const slots = 64

// kinds of outcomes that an Hour tells apart.
const (
	kindRefused = iota
	kindObserved
	kindDelayed
	kinds
)

// counted lists the rules in the order in which a decision asks them, and at the
// end the one that has no reply.
var counted = [countedRules]rules.Rule(append(append([]rules.Rule{}, rules.Rules...), rules.RuleLoginFailures))

// countedRules is how many they are.
const countedRules = 9

// Hour counts the decisions of the last sixty minutes, in memory of a fixed
// size: neither a flood nor a large journal makes the chart expensive. A restart
// begins it anew.
type Hour struct {
	since time.Time
	turn  sync.Mutex // held while a slot changes its minute
	slots [slots]slot
}

// lanes is how many counts of the same there are: see metrics.Lanes.
const lanes = 16

type slot struct {
	minute atomic.Int64 // since 1970; 0: never used
	lanes  [lanes]lane
}

type lane struct {
	passed atomic.Int64
	byRule [countedRules][kinds]atomic.Int64
	_      [64]byte // what comes next is another's
}

// NewHour begins to count.
func NewHour(now time.Time) *Hour {
	return &Hour{since: now}
}

// Count takes one outcome, as gate.Meter's Decided has it.
func (h *Hour) Count(lane int, now time.Time, rule rules.Rule, action string) {
	minute := now.Unix() / 60
	s := &h.slots[uint64(minute)%slots]
	if s.minute.Load() != minute {
		h.begin(s, minute)
	}
	l := &s.lanes[lane%lanes]
	switch action {
	case "refuse":
		l.add(rule, kindRefused)
	case "observe":
		l.add(rule, kindObserved)
	case "delay":
		l.add(rule, kindDelayed)
	default: // pass, permit
		l.passed.Add(1)
	}
}

func (h *Hour) begin(s *slot, minute int64) {
	h.turn.Lock()
	defer h.turn.Unlock()
	if s.minute.Load() == minute {
		return
	}
	for i := range s.lanes {
		l := &s.lanes[i]
		l.passed.Store(0)
		for r := range l.byRule {
			for k := range kinds {
				l.byRule[r][k].Store(0)
			}
		}
	}
	s.minute.Store(minute)
}

func (l *lane) add(rule rules.Rule, kind int) {
	for i, r := range counted {
		if r == rule {
			l.byRule[i][kind].Add(1)
		}
	}
}

// addTo adds the lane's counts to those of a minute and of its rules.
func (l *lane) addTo(m *minuteCount, byRule []ruleCount) {
	m.Passed += l.passed.Load()
	for r := range l.byRule {
		refused, observed, delayed := l.byRule[r][kindRefused].Load(), l.byRule[r][kindObserved].Load(), l.byRule[r][kindDelayed].Load()
		m.Refused, m.Observed, m.Delayed = m.Refused+refused, m.Observed+observed, m.Delayed+delayed
		byRule[r].Refused += refused
		byRule[r].Observed += observed
		byRule[r].Delayed += delayed
	}
}

// minuteCount is one minute of the chart. What is observed or delayed is also
// let through.
type minuteCount struct {
	Start                              time.Time
	Passed, Refused, Observed, Delayed int64
}

// ruleCount is one rule's share of the hour.
type ruleCount struct {
	Rule                       rules.Rule
	Refused, Observed, Delayed int64
}

// hourCounts is what an Hour has counted.
type hourCounts struct {
	Since   time.Time     // later than the first minute where counting began within the hour
	Minutes []minuteCount // hourMinutes of them, the oldest first
	Rules   []ruleCount   // those that have any
	Total   minuteCount
}

// counts reads the hour that ends now.
func (h *Hour) counts(now time.Time) hourCounts {
	c := hourCounts{Since: h.since, Minutes: make([]minuteCount, hourMinutes)}
	byRule := make([]ruleCount, len(counted))
	last := now.Unix() / 60
	for i := range c.Minutes {
		minute := last - hourMinutes + 1 + int64(i)
		m := &c.Minutes[i]
		m.Start = time.Unix(minute*60, 0)
		s := &h.slots[uint64(minute)%slots]
		if s.minute.Load() != minute {
			continue
		}
		for i := range s.lanes {
			s.lanes[i].addTo(m, byRule)
		}
		c.Total.Passed, c.Total.Refused = c.Total.Passed+m.Passed, c.Total.Refused+m.Refused
		c.Total.Observed, c.Total.Delayed = c.Total.Observed+m.Observed, c.Total.Delayed+m.Delayed
	}
	for i, r := range byRule {
		if r != (ruleCount{}) {
			r.Rule = counted[i]
			c.Rules = append(c.Rules, r)
		}
	}
	return c
}
