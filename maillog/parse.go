package maillog

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"portreeve/journal"
)

// maxFolded bounds what one folded line may stand for.
const maxFolded = 100

// folded is how rsyslog writes equal lines in a row ($RepeatedMsgReduction, on
// by default on Ubuntu).
var folded = regexp.MustCompile(`^message repeated ([0-9]{1,6}) times: \[ (.*)\]$`)

// Parse reads one line, without its newline, of a mail log. ref is about when it
// was written: it gives a traditional time stamp its year and zone. ok is false
// for every line that tells of no login, or only of a failure that is not the
// client's.
func Parse(line string, ref time.Time) (e Entry, ok bool) {
	m, ok := split(line, ref)
	if !ok {
		return Entry{}, false
	}
	return m.entry()
}

func (m message) entry() (Entry, bool) {
	times := 1
	if f := folded.FindStringSubmatch(m.text); f != nil {
		n, err := strconv.Atoi(f[1])
		if err != nil || n < 1 {
			return Entry{}, false
		}
		times, m.text = min(n, maxFolded), f[2]
	}
	for i := range patterns {
		if e, ok := patterns[i].match(m); ok {
			e.Time, e.Zoned, e.Times = m.time, m.zoned, times
			return e, true
		}
	}
	return Entry{}, false
}

func (p *pattern) match(m message) (e Entry, ok bool) {
	if !strings.HasPrefix(m.text, p.starts) || !p.program.MatchString(m.program) {
		return e, false
	}
	found := p.text.FindStringSubmatch(m.text)
	if found == nil {
		return e, false
	}
	group := func(re *regexp.Regexp, values []string, name string) string {
		if i := re.SubexpIndex(name); i > 0 {
			return values[i]
		}
		return ""
	}
	e = Entry{Kind: p.kind, Login: group(p.text, found, "login"), Session: group(p.text, found, "session")}
	e.Service = group(p.text, found, "service")
	if e.Service == "" {
		e.Service = group(p.program, p.program.FindStringSubmatch(m.program), "service")
	}
	if text := group(p.text, found, "client"); text != "" {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return e, false
		}
		e.Client = a.Unmap()
	}
	if p.kind == AuthFailed {
		reason, login := cutLogin(group(p.text, found, "reason"))
		e.Login, e.Service = login, serviceOf(m.program)
		return e, clientsFault(reason)
	}
	return e, true
}

// cutLogin parts " reason, sasl_username=login". The server wrote the reason,
// the client the login, so the first mark is the server's.
func cutLogin(text string) (reason, login string) {
	reason, login, _ = strings.Cut(strings.TrimPrefix(text, " "), ", sasl_username=")
	if login == "(unavailable)" {
		login = ""
	}
	return reason, login
}

// serviceOf is the service that Postfix's syslog_name stands for: nothing else
// in the line tells the ports apart.
func serviceOf(program string) string {
	for part := range strings.SplitSeq(program, "/") {
		switch part {
		case "submission", "submissions", "smtps":
			return "submission"
		}
	}
	return "smtp"
}

var (
	idWord = regexp.MustCompile(`^[0-9A-Za-z]{22}$`)
	// Ids of other times are somebody else's words.
	idFrom  = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	idUntil = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// ours tells whether the reason is a refusal by Portreeve, which the auth policy
// or the SASL relay put there: it holds a journal id. Those are counted already,
// or do not count.
func ours(reason string) bool {
	for word := range strings.FieldsSeq(reason) {
		if !idWord.MatchString(word) {
			continue
		}
		id, err := journal.ParseID(word)
		if err == nil && id.Time().After(idFrom) && id.Time().Before(idUntil) {
			return true
		}
	}
	return false
}
