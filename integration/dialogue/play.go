package dialogue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// logTail is how many of the daemon's log lines a failure shows.
const logTail = 20

// Play plays a story on a world of the host. A step that does not come true
// fails the test with the file and line, what was expected, what came, and the
// session so far.
func Play(t testing.TB, h Host, s *Story) {
	t.Helper()
	p := &player{
		t: t, ctx: t.Context(), story: s, world: h.Start(t, s.Settings),
		conns: map[string]*conn{}, ids: map[string]string{}, log: &session{},
	}
	defer p.hangup()
	p.run(s.Steps)
}

// player is one story being played.
type player struct {
	t     testing.TB
	ctx   context.Context
	story *Story
	world World
	conns map[string]*conn
	ids   map[string]string
	verb  *Output // of the last portreeve step
	log   *session
}

func (p *player) run(steps []Step) {
	p.t.Helper()
	for _, s := range steps {
		s.Action.play(p, s)
	}
}

// conn is the step's connection. The parser has seen it opened, but the story
// may have hung up since.
func (p *player) conn(s Step) *conn {
	p.t.Helper()
	c := p.conns[s.Conn]
	if c == nil {
		p.fail(s, "an open connection", "it was closed before")
	}
	return c
}

// talk is the step's connection, ready for a command. One that is sent before
// the greeting would get the greeting as its answer.
func (p *player) talk(s Step) *conn {
	p.t.Helper()
	c := p.conn(s)
	if !c.greeted {
		p.fail(s, "a connection whose greeting was read", "it was not; write `< 220 *` first")
	}
	return c
}

// drop closes a connection without QUIT. What Close has to say does not matter
// to anybody: the server may have gone first.
func (p *player) drop(name string) {
	if c := p.conns[name]; c != nil {
		c.net.Close() //nolint:errcheck,gosec // see above
		delete(p.conns, name)
	}
}

func (p *player) hangup() {
	for name := range p.conns {
		p.drop(name)
	}
}

// must ends the test if a step's own doing failed.
func (p *player) must(s Step, doing string, err error) {
	p.t.Helper()
	if err != nil {
		p.fail(s, doing, err.Error())
	}
}

// fail ends the test with everything that is needed to see why.
func (p *player) fail(s Step, expected, came string) {
	p.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: %s\n", p.story.Name, s.Line, p.story.Title)
	fmt.Fprintf(&b, "  step:     %s\n  expected: %s\n  came:     %s\n", s.Text, expected, came)
	b.WriteString("session so far:\n")
	for _, l := range p.log.lines {
		b.WriteString("  " + l + "\n")
	}
	b.WriteString("the daemon's log, at its end:\n")
	for _, l := range tail(p.world.Log(), logTail) {
		b.WriteString("  " + l + "\n")
	}
	p.t.Fatal(b.String())
}

func tail(log string, n int) []string {
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	return lines[max(0, len(lines)-n):]
}

// clean tells whether a string can be printed as it is.
func clean(s string) bool {
	return utf8.ValidString(s) && !slices.ContainsFunc([]rune(s), func(r rune) bool { return !unicode.IsPrint(r) })
}
