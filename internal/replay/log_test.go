package replay

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// logText writes a log as Postfix 3.7 and Dovecot 2.3 do.
type logText struct {
	lines []logLine
	n     int
}

type logLine struct {
	at   time.Time
	text string
}

// day is when the logs of the tests are from: the day before noon.
var day = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// at is a time of that day: "9:15", "9:15:30".
func at(clock string) time.Time {
	for _, layout := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(layout, clock); err == nil {
			return day.Add(t.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)))
		}
	}
	panic(clock)
}

func (l *logText) line(t time.Time, program, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if program != "" {
		program = "mx " + program + "[7]: "
	}
	l.lines = append(l.lines, logLine{t, t.Format("Jan _2 15:04:05") + " " + program + text})
}

// mail is one message. service is a port, or a program.
type mail struct {
	port    int
	program string
	from    string // client
	login   string
	sender  string
	to      []string
	origTo  string // the RCPT of all of them
}

// smtpd is the program of a port.
func smtpd(port int) string {
	return map[int]string{25: "postfix/smtpd", 587: "postfix/submission/smtpd", 465: "postfix/submissions/smtpd"}[port]
}

// mail writes a session with one message. It returns the queue id.
func (l *logText) mail(clock string, m mail) string {
	return l.mailAt(at(clock), m)
}

func (l *logText) mailAt(t time.Time, m mail) string {
	l.n++
	id := fmt.Sprintf("%07X", 0xA000000+l.n)
	if m.program == "" {
		m.program = smtpd(m.port)
	}
	if m.to == nil {
		m.to = []string{"x@example.org"}
	}
	l.line(t, m.program, "connect from unknown[%s]", m.from)
	sasl := ""
	if m.login != "" {
		sasl = ", sasl_method=PLAIN, sasl_username=" + m.login
	}
	l.line(t, m.program, "%s: client=unknown[%s]%s", id, m.from, sasl)
	l.line(t, "postfix/cleanup", "%s: message-id=<%s@pc.test>", id, id)
	l.line(t, "postfix/qmgr", "%s: from=<%s>, size=400, nrcpt=%d (queue active)", id, m.sender, len(m.to))
	l.line(t, m.program, "disconnect from unknown[%s] ehlo=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=6", m.from)
	for _, to := range m.to {
		orig := ""
		if m.origTo != "" {
			orig = ", orig_to=<" + m.origTo + ">"
		}
		l.line(t.Add(time.Second), "postfix/smtp", "%s: to=<%s>%s, relay=mx.example.org[192.0.2.99]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)", id, to, orig)
	}
	l.line(t.Add(time.Second), "postfix/qmgr", "%s: removed", id)
	return id
}

// fail writes n failed logins, a second apart.
func (l *logText) fail(clock string, n int, client, login string) {
	l.failAt(at(clock), n, client, login)
}

func (l *logText) failAt(t time.Time, n int, client, login string) {
	for i := range n {
		l.line(t.Add(time.Duration(i)*time.Second), smtpd(587), "warning: unknown[%s]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=%s", client, login)
	}
}

// pop writes a POP3 login.
func (l *logText) pop(clock, client, login, session string) {
	l.line(at(clock), "dovecot", "pop3-login: Login: user=<%s>, method=PLAIN, rip=%s, lip=192.0.2.2, mpid=34, TLS, session=<%s>", login, client, session)
}

// String is the log, in the order of its times.
func (l *logText) String() string {
	sorted := slices.Clone(l.lines)
	slices.SortStableFunc(sorted, func(a, b logLine) int { return a.at.Compare(b.at) })
	var b strings.Builder
	for _, one := range sorted {
		b.WriteString(one.text + "\n")
	}
	return b.String()
}
