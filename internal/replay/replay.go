// Package replay reads old mail logs and tells what the rules would have made of
// them: nothing of it needs a daemon, and nothing is written.
//
// Lines come in the order of their times (merge.go), are put together to messages
// and logins (join.go), and judged by the same gate and the same rules as in the
// daemon (judge.go), with a memory of their own. What was refused is counted
// (report.go), and for each rule the one change is looked for that most of its
// refusals would not survive (suggest.go).
//
// Everything is bounded: the constants beside each table say by what, and what
// happens beyond.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"portreeve/internal/gate"
	"portreeve/maillog"
)

// Options are what a replay is made from.
type Options struct {
	Files []string  // in any order; Stdin is standard input
	Stdin io.Reader // what Stdin stands for

	State   gate.State        // the rules and the directory
	AtAuth  bool              // somebody asks at AUTH: listen.auth or listen.sasl
	Ports   map[string]uint16 // of services, by syslog_name or its last part
	Since   time.Time         // what comes before is not counted; the zero Time is the beginning
	Until   time.Time         // the zero Time is the end
	Now     time.Time         // gives stamps without year and zone both
	Top     int               // how many accounts and addresses are listed for each rule
	InFiles bool              // the directory is a file of accounts: suggestions are written as its lines

	// Progress is called every few thousand lines, if it is set.
	Progress func(Progress)
}

// Progress tells how far a replay is.
type Progress struct {
	Lines       int
	Read, Total int64 // bytes of the files; standard input is not among them
}

// progressEvery is how many lines there are between two calls of Progress.
const progressEvery = 1 << 12

// NotReplayed is what no log tells.
var NotReplayed = []string{
	"header From and Sender (sender.header_from): no log has them",
	"relay after AUTH (relay.refuse_forwarded): no log has Received fields",
	"slow guessing (login_failures): it refuses nobody",
}

// replay is one run.
type replay struct {
	Options
	logs     *merged
	join     *joiner
	judge    *judge
	services *services
	builder  *builder
	programs map[string]program
	lines    int
	skip     time.Time // earlier lines can change nothing that is counted
}

// program is what lines of a program may tell.
type program struct {
	smtpd, postfix, logins bool
}

// maxPrograms bounds the programs that are known at a time.
const maxPrograms = 4096

// Run replays. It fails where a file cannot be opened, the directory cannot
// answer, or nothing in the files is a log; a file that cannot be read to its end
// is told in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	p := replayed(o.State.Policy)
	r := &replay{
		Options: o, services: &services{given: o.Ports, policy: p, seen: map[string]*service{}},
		builder: newBuilder(p), programs: map[string]program{},
	}
	var err error
	if r.judge, err = newJudge(ctx, &o, r.services, r.builder); err != nil {
		return Report{}, err
	}
	if r.join, err = newJoiner(r.judge); err != nil {
		return Report{}, err
	}
	if !o.Since.IsZero() {
		r.skip = o.Since.Add(-max(p.Throttle.Window, p.POP.Validity, time.Hour) - horizon)
	}
	if r.logs, err = merge(o.Files, o.Stdin, o.Now); err != nil {
		return Report{}, err
	}
	err = r.read(ctx)
	if err == nil {
		err = r.join.finish()
	}
	sources, closing := r.logs.finish()
	if err = errors.Join(err, closing); err != nil {
		return Report{}, err
	}
	return r.report(ctx, sources)
}

// read reads every line.
func (r *replay) read(ctx context.Context) error {
	for {
		l, ok, err := r.logs.next()
		if err != nil || !ok {
			return err
		}
		if r.lines++; r.lines%progressEvery == 0 {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("stopped after %d lines: %w", r.lines, err)
			}
			if r.Progress != nil {
				r.Progress(Progress{r.lines, r.logs.read, r.logs.total})
			}
		}
		if l.Time.Before(r.skip) {
			continue
		}
		if !r.Until.IsZero() && l.Time.After(r.Until.Add(horizon)) {
			return nil
		}
		if err := r.line(l); err != nil {
			return err
		}
	}
}

// line takes one line.
func (r *replay) line(l maillog.Line) error {
	p := r.program(l.Program)
	// Of smtpd's lines only those tell of a login.
	warning := strings.HasPrefix(l.Text, "warning: ") || strings.HasPrefix(l.Text, "message repeated ")
	if p.logins && (!p.smtpd || warning) {
		if e, ok := l.Entry(); ok {
			return r.join.entry(e, l.Program)
		}
	}
	if p.postfix {
		if s, ok := l.Step(); ok {
			return r.join.step(l, s)
		}
	}
	return nil
}

func (r *replay) program(name string) program {
	p, ok := r.programs[name]
	if !ok {
		p = program{
			smtpd: strings.HasSuffix(name, "/smtpd"), postfix: strings.Contains(name, "/"),
			logins: maillog.TellsOfLogins(name),
		}
		if len(r.programs) >= maxPrograms {
			clear(r.programs)
		}
		r.programs[strings.Clone(name)] = p
	}
	return p
}

// report puts everything together.
func (r *replay) report(ctx context.Context, sources []*source) (Report, error) {
	b := r.builder
	b.logins.CommandsRefused = r.join.refused
	b.messages.RefusedBefore, b.messages.Unjoined, b.messages.NotBySMTP = r.join.dropped, r.join.unjoined, r.join.foreign
	out := Report{
		Files: []File{}, Messages: b.messages, Logins: b.logins, Blocks: r.judge.journal.blocks,
		Services: []Service{}, Rules: b.report(r.Top), NotReplayed: NotReplayed,
	}
	for _, s := range sources {
		f := s.report()
		out.Files = append(out.Files, f)
		out.Lines, out.Unreadable, out.TooLong = out.Lines+s.lines, out.Unreadable+s.unreadable, out.TooLong+s.tooLong
		if f.From != nil && (out.From == nil || f.From.Before(*out.From)) {
			out.From = f.From
		}
		if f.To != nil && (out.To == nil || f.To.After(*out.To)) {
			out.To = f.To
		}
	}
	if out.From == nil && out.Lines > 0 {
		return Report{}, fmt.Errorf("none of %d lines begins as a log's does: name the log that Postfix writes, such as /var/log/mail.log, or give `journalctl -o short-iso` on standard input", out.Lines)
	}
	for _, s := range r.services.list() {
		one := Service{Name: s.name, Port: s.port, Guess: s.guess, Judged: s.judged, Other: s.unjudged}
		if !s.known {
			one.Port = 0
		}
		out.Services = append(out.Services, one)
	}
	var err error
	out.Suggestions, err = r.suggest(ctx)
	return out, err
}
