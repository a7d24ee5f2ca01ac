package maillog

import (
	"strings"
	"time"
)

// message is a line without what the log daemon put in front.
type message struct {
	time    time.Time
	zoned   bool
	program string // postfix/submission/smtpd; empty in a file that Dovecot writes itself
	text    string
}

// traditional is RFC 3164's time stamp, which is also Dovecot's log_timestamp
// and that of Postfix's maillog_file.
const traditional = "Jan _2 15:04:05"

// split reads a line's prefix:
//
//	Nov 22 10:00:00 host prog[pid]: text
//	2026-11-22T10:00:00.123456+01:00 host prog[pid]: text
//	Nov 22 10:00:00 pop3-login: Info: text      (Dovecot's log_path)
//
// ref is about when the line was written; see stamp.
func split(line string, ref time.Time) (m message, ok bool) {
	if m.time, m.zoned, line, ok = stamp(line, ref); !ok {
		return m, false
	}
	first, rest, ok := strings.Cut(line, " ")
	if !ok {
		return m, false
	}
	// No host's name ends in a colon or opens a parenthesis.
	if strings.HasSuffix(first, ":") || strings.ContainsRune(first, '(') {
		m.text = line
		return m, true
	}
	tag, text, ok := strings.Cut(rest, ": ")
	if !ok {
		return m, false
	}
	m.program, m.text = untag(tag), text
	return m, m.program != ""
}

// untag is the program of a tag such as "postfix/smtpd[123]"; empty if it is no
// tag: programs choose theirs, clients do not.
func untag(tag string) string {
	name, pid, has := strings.Cut(tag, "[")
	if has && (!strings.HasSuffix(pid, "]") || !all(pid[:len(pid)-1], digit)) || !all(name, programLetter) {
		return ""
	}
	return name
}

// stamp reads the time at the start of a line and returns what follows it. The
// traditional stamp has neither year nor zone: it is taken to be in ref's zone,
// and of the latest year that makes it no later than a day after ref.
func stamp(line string, ref time.Time) (t time.Time, zoned bool, rest string, ok bool) {
	if n := len(traditional); len(line) > n && line[n] == ' ' {
		if t, err := time.ParseInLocation(traditional, line[:n], ref.Location()); err == nil {
			return ofYear(t, ref), false, line[n+1:], true
		}
	}
	first, rest, found := strings.Cut(line, " ")
	if !found {
		return t, false, "", false
	}
	t, err := time.Parse(time.RFC3339Nano, first)
	return t, true, rest, err == nil
}

func ofYear(t, ref time.Time) time.Time {
	latest := ref.AddDate(0, 0, 1)
	// 29 February exists every fourth year only, or eighth.
	for year := latest.Year(); year > latest.Year()-9; year-- {
		d := time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, ref.Location())
		if d.Day() == t.Day() && !d.After(latest) {
			return d
		}
	}
	return ref
}

func all(s string, is func(c byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return s != ""
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func programLetter(c byte) bool {
	return digit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("/._-", c) >= 0
}
