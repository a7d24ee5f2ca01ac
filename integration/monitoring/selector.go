package monitoring

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// Matcher is one condition of a selector, such as action="refuse".
type Matcher struct{ Label, Op, Value string }

// Selector is one vector selector of a query.
type Selector struct {
	Metric   string
	Matchers []Matcher
}

// Query is what a PromQL expression asks for, as far as names go.
type Query struct {
	Selectors []Selector
	Labels    []string // of by (…), on (…) and the like
}

// tokens of PromQL, as far as names need it: strings, names, numbers with their units,
// operators. Prometheus itself judges the rest.
var tokens = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[a-zA-Z_:][a-zA-Z0-9_:]*|[0-9][0-9a-zA-Z.]*|[!=]~|[!=<>]=|\S`)

// words that are no metric although no parenthesis follows.
var words = []string{"and", "or", "unless", "offset", "bool", "inf", "nan"}

// lists are the words that a list of labels follows.
var lists = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}

var name = regexp.MustCompile(`^[a-zA-Z_:]`)

// ParseQuery reads an expression. A selector without a metric's name is an error: a
// dashboard that asks for everything would load a Prometheus for nothing.
func ParseQuery(expr string) (Query, error) {
	p := parser{rest: tokens.FindAllString(expr, -1)}
	for len(p.rest) > 0 {
		t := p.next()
		switch {
		case slices.Contains(lists, t) && p.peek() == "(":
			p.labels()
		case t == "{":
			p.fail("a selector without a metric")
		case !name.MatchString(t), slices.Contains(words, t), slices.Contains([]string{"(", "by", "without"}, p.peek()): // a function
		default:
			p.selector(t)
		}
	}
	if p.err != nil {
		return Query{}, fmt.Errorf("%q: %w", expr, p.err)
	}
	return p.query, nil
}

type parser struct {
	rest  []string
	query Query
	err   error
}

func (p *parser) peek() string {
	if len(p.rest) == 0 {
		return ""
	}
	return p.rest[0]
}

// next is "" behind the end.
func (p *parser) next() string {
	t := p.peek()
	p.rest = p.rest[min(1, len(p.rest)):]
	return t
}

// fail keeps the first error and ends the reading.
func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
	p.rest = nil
}

// labels reads the list behind by, on and the like.
func (p *parser) labels() {
	p.next()
	for t := p.next(); t != ")"; t = p.next() {
		switch {
		case t == "":
			p.fail("a list of labels does not end")
			return
		case name.MatchString(t):
			p.query.Labels = append(p.query.Labels, t)
		}
	}
}

// selector reads the conditions behind a metric's name, if there are any.
func (p *parser) selector(metric string) {
	s := Selector{Metric: metric}
	if p.peek() == "{" {
		p.next()
		for t := p.next(); t != "}"; t = p.next() {
			if t == "," {
				continue
			}
			m := Matcher{Label: t, Op: p.next()}
			value, err := strconv.Unquote(p.next())
			if err != nil {
				p.fail("the conditions of %s: %q is no condition", metric, t)
				return
			}
			m.Value = value
			s.Matchers = append(s.Matchers, m)
		}
	}
	p.query.Selectors = append(p.query.Selectors, s)
}
