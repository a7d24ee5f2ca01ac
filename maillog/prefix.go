package maillog

import (
	"regexp"
	"strings"
	"time"
)

// message is a line without what the log daemon put in front.
type message struct {
	time    time.Time
	zoned   bool
	host    string
	program string // postfix/submission/smtpd; empty in a file that Dovecot writes itself
	pid     string
	text    string
}

// traditional is RFC 3164's time stamp, which is also Dovecot's log_timestamp
// and that of Postfix's maillog_file.
const traditional = "Jan _2 15:04:05"

// split reads a line's prefix:
//
//	Nov 22 10:00:00 host prog[pid]: text
//	2026-11-22T10:00:00.123456+01:00 host prog[pid]: text
//	<22>1 2026-11-22T10:00:00+01:00 host prog pid - - text      (RFC 5424)
//	Nov 22 10:00:00 pop3-login: Info: text      (Dovecot's log_path)
//
// ref is about when the line was written; see stamp.
func split(line string, ref time.Time) (m message, ok bool) {
	if strings.HasPrefix(line, "<") {
		line = traditionalTag(line)
	}
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
	m.host, m.text = first, text
	m.program, m.pid = untag(tag)
	return m, m.program != ""
}

// untag parts a tag such as "postfix/smtpd[123]"; the program is empty if it is no
// tag: programs choose theirs, clients do not.
func untag(tag string) (program, pid string) {
	program, pid, has := strings.Cut(tag, "[")
	pid, closed := strings.CutSuffix(pid, "]")
	if has && (!closed || !all(pid, digit)) || !all(program, programLetter) {
		return "", ""
	}
	return program, pid
}

// priority is what syslog puts in front of a line, and some log daemons keep:
// with RFC 5424's version, or without.
var priority = regexp.MustCompile(`^<[0-9]{1,3}>`)

// traditionalTag writes an RFC 5424 line (rsyslog's RSYSLOG_SyslogProtocol23Format)
// as every other: "stamp host prog[pid]: text". A line that is none is itself,
// without its priority.
func traditionalTag(line string) string {
	line = line[len(priority.FindString(line)):]
	fields, ok := strings.CutPrefix(line, "1 ")
	part := strings.SplitN(fields, " ", 7) // stamp, host, program, pid, message's id, "-", text
	if !ok || len(part) < 7 || part[5] != "-" {
		return line
	}
	tag := part[2]
	if part[3] != "-" {
		tag += "[" + part[3] + "]"
	}
	return part[0] + " " + part[1] + " " + tag + ": " + strings.TrimPrefix(part[6], "\ufeff")
}

// stamp reads the time at the start of a line and returns what follows it. The
// traditional stamp has neither year nor zone: it is taken to be in ref's zone,
// and of the latest year that makes it no later than a day after ref.
func stamp(line string, ref time.Time) (t time.Time, zoned bool, rest string, ok bool) {
	if n := len(traditional); len(line) > n && (line[n] == ' ' || line[n] == '.') {
		text, rest, _ := strings.Cut(line[n:], " ") // journalctl -o short-precise has fractions
		if t, err := time.ParseInLocation(traditional, line[:n]+text, ref.Location()); err == nil {
			return ofYear(t, ref), false, rest, true
		}
	}
	first, rest, found := strings.Cut(line, " ")
	if !found {
		return t, false, "", false
	}
	if len(first) == len(time.DateOnly) { // "2026-11-22 10:00:00": Dovecot's log_timestamp, as many set it
		second, after, found := strings.Cut(rest, " ")
		if !found {
			return t, false, "", false
		}
		first, rest = first+"T"+second, after
	}
	for _, layout := range isoLayouts {
		if t, err := time.Parse(layout, first); err == nil {
			return t, true, rest, true
		}
	}
	t, err := time.ParseInLocation("2006-01-02T15:04:05", first, ref.Location())
	return t, false, rest, err == nil
}

// isoLayouts have a zone; journalctl before systemd 255 writes it without a colon.
var isoLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05-0700"}

func ofYear(t, ref time.Time) time.Time {
	latest := ref.AddDate(0, 0, 1)
	// 29 February exists every fourth year only, or eighth.
	for year := latest.Year(); year > latest.Year()-9; year-- {
		d := time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), ref.Location())
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
