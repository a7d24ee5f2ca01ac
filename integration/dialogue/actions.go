package dialogue

import (
	"encoding/base64"
	"fmt"
	"strings"
)

func (a Dial) play(p *player, s Step) {
	p.t.Helper()
	p.drop(s.Conn)
	p.log.add(s.Conn, "*", fmt.Sprintf("from %s to %d", a.From, a.Port))
	n, err := p.world.Dial(p.ctx, a.From, a.Port)
	p.must(s, "a connection", err)
	c := &conn{speaks: speechOf(a.Port), helo: "pc.test", log: p.log, name: s.Conn}
	c.attach(n)
	p.conns[s.Conn] = c
}

func (a Send) play(p *player, s Step) {
	p.t.Helper()
	p.must(s, "the line to be sent", p.talk(s).send(a.Line))
}

func (a Expect) play(p *player, s Step) {
	p.t.Helper()
	c := p.conn(s)
	r, err := c.reply()
	if err != nil {
		p.fail(s, a.Pattern.String(), err.Error())
	}
	c.last = r
	if ok, why := a.Pattern.Match(r.status, p.ids); !ok {
		p.fail(s, a.Pattern.String(), p.came(r.status, why))
	}
}

// came adds what is known about a mismatch.
func (p *player) came(text, why string) string {
	if why != "" {
		return printable(text) + "  (" + why + ")"
	}
	return printable(text)
}

func (a Among) play(p *player, s Step) {
	p.t.Helper()
	r := p.conn(s).last
	if r == nil {
		p.fail(s, "a reply to look at", "none was read before")
	}
	for _, l := range r.lines {
		ok, _ := a.Pattern.Match(l, p.ids)
		switch {
		case ok && a.Absent:
			p.fail(s, "no line "+a.Pattern.String(), printable(l))
		case ok:
			return
		}
	}
	if !a.Absent {
		p.fail(s, "a line "+a.Pattern.String(), printable(strings.Join(r.lines, " / ")))
	}
}

func (StartTLS) play(p *player, s Step) {
	p.t.Helper()
	c := p.talk(s)
	command, want := "STARTTLS", "220"
	switch c.speaks {
	case pop3:
		command, want = "STLS", "+OK"
	case imap:
		command, want = "a1 STARTTLS", "a1 OK"
	}
	ok, err := c.ask(command, want)
	p.must(s, want, err)
	if !ok {
		p.fail(s, want, printable(c.unread.status))
	}
	p.must(s, "TLS", c.handshake(p.ctx))
	if c.speaks != smtp {
		return
	}
	p.must(s, "EHLO to be sent", c.send("EHLO "+c.helo))
	r, err := c.reply()
	p.must(s, "250 to the EHLO after TLS", err)
	if !strings.HasPrefix(r.status, "250") {
		p.fail(s, "250 to the EHLO after TLS", printable(r.status))
	}
	c.last = r
}

func (TLS) play(p *player, s Step) {
	p.t.Helper()
	p.must(s, "TLS", p.conn(s).handshake(p.ctx))
}

func (a Auth) play(p *player, s Step) {
	p.t.Helper()
	c := p.talk(s)
	encode := base64.StdEncoding.EncodeToString
	if a.Mechanism == "PLAIN" {
		text := "AUTH PLAIN " + encode([]byte("\x00"+a.User+"\x00"+a.Password))
		p.must(s, "AUTH to be sent", c.send(text))
		return
	}
	for _, text := range []string{"AUTH LOGIN", encode([]byte(a.User))} {
		ok, err := c.ask(text, "334")
		p.must(s, "334", err)
		if !ok {
			return // what came instead is the story's to judge
		}
	}
	p.must(s, "the password to be sent", c.send(encode([]byte(a.Password))))
}

func (a Login) play(p *player, s Step) {
	p.t.Helper()
	c := p.conn(s)
	if !c.greeted {
		_, err := c.reply()
		p.must(s, "a greeting", err)
	}
	switch c.speaks {
	case pop3:
		ok, err := c.ask("USER "+a.User, "+OK")
		p.must(s, "+OK to USER", err)
		if ok {
			p.must(s, "PASS to be sent", c.send("PASS "+a.Password))
		}
	case imap:
		p.must(s, "LOGIN to be sent", c.send(fmt.Sprintf("a1 LOGIN %q %q", a.User, a.Password)))
	default:
		p.fail(s, "a POP3 or IMAP port", "this is an SMTP port; write `auth`")
	}
}

func (a Message) play(p *player, s Step) {
	p.t.Helper()
	c := p.talk(s)
	ok, err := c.ask("DATA", "354")
	p.must(s, "354", err)
	if !ok {
		return // what came instead is the story's to judge
	}
	for _, l := range a.Lines {
		if strings.HasPrefix(l, ".") {
			l = "." + l
		}
		p.must(s, "the message to be sent", c.send(l))
	}
	p.must(s, "the message to be sent", c.send("."))
}

func (Hangup) play(p *player, s Step) {
	p.log.add(s.Conn, "*", "hangup")
	p.drop(s.Conn)
}

func (Closed) play(p *player, s Step) {
	p.t.Helper()
	p.must(s, "the server closes the connection", p.conn(s).closedByServer())
	p.log.add(s.Conn, "*", "closed by the server")
	p.drop(s.Conn)
}

func (a Wait) play(p *player, s Step) {
	p.t.Helper()
	p.log.add("", "*", "wait "+a.For.String())
	p.must(s, "time to pass", p.world.Wait(p.ctx, a.For))
}

func (a Accounts) play(p *player, s Step) {
	p.t.Helper()
	p.log.add("", "*", "new accounts.toml")
	p.must(s, "accounts.toml to be replaced", p.world.Accounts(p.ctx, a.Content))
}

func (a Verb) play(p *player, s Step) {
	p.t.Helper()
	args := make([]string, len(a.Args))
	for i, arg := range a.Args {
		args[i] = idNamed.ReplaceAllStringFunc(arg, func(m string) string { return p.ids[m[1:len(m)-1]] })
	}
	p.log.add("", "*", "portreeve "+strings.Join(args, " "))
	out, err := p.world.Verb(p.ctx, args...)
	p.must(s, "the program to run", err)
	p.verb = &out
	for _, l := range append(tail(out.Stdout, logTail), tail(out.Stderr, logTail)...) {
		if l != "" {
			p.log.add("", "|", l)
		}
	}
	if out.Exit != a.Exit {
		p.fail(s, fmt.Sprintf("exit status %d", a.Exit), fmt.Sprintf("exit status %d", out.Exit))
	}
}

func (a Printed) play(p *player, s Step) {
	p.t.Helper()
	if p.verb == nil {
		p.fail(s, "the output of a verb", "none was run before")
	}
	text, stream := p.verb.Stdout, "standard output"
	if a.Stderr {
		text, stream = p.verb.Stderr, "standard error"
	}
	for l := range strings.Lines(text) {
		if ok, _ := a.Pattern.Match(strings.TrimRight(l, "\r\n"), p.ids); ok {
			return
		}
	}
	p.fail(s, fmt.Sprintf("a line %s on %s", a.Pattern, stream), fmt.Sprintf("%q", text))
}

func (a Directory) play(p *player, s Step) {
	p.t.Helper()
	w, ok := p.world.(Breakable)
	if !ok {
		p.fail(s, "a host whose directory can fail", "this one's cannot; play the story on the stand-in")
	}
	p.log.add("", "*", s.Text)
	w.Directory(a.Answers)
}

func (a Restart) play(p *player, s Step) {
	p.t.Helper()
	p.log.add("", "*", s.Text)
	p.must(s, "the daemon to start again", p.world.Restart(p.ctx, a.Kill))
}

func (a Repeat) play(p *player, s Step) {
	p.t.Helper()
	for i := range a.Times {
		p.log.add("", "*", fmt.Sprintf("round %d of %d", i+1, a.Times))
		p.run(a.Steps)
	}
}
