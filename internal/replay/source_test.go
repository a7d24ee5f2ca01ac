package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func gzipped(t testing.TB, text string, modified time.Time) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.ModTime = modified
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// dated writes a file that was last written then.
func dated(t testing.TB, name string, data []byte, written time.Time) {
	t.Helper()
	write(t, name, string(data))
	if err := os.Chtimes(name, written, written); err != nil {
		t.Fatal(err)
	}
}

// Rotated files, compressed or not, in any order, are one log: a block that began
// in one of them holds in the next.
func TestRotatedFiles(t *testing.T) {
	var first, second, third logText
	first.fail("9:00", 6, "192.0.2.1", jan)
	second.fail("9:10", 5, "192.0.2.1", jan)
	third.mail("9:30", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
	o := options(t, withAuth, cast)
	dir := t.TempDir()
	oldest, middle, newest := filepath.Join(dir, "mail.log.2.gz"), filepath.Join(dir, "mail.log.1"), filepath.Join(dir, "mail.log")
	dated(t, oldest, gzipped(t, first.String(), day), noon)
	dated(t, middle, []byte(second.String()), noon)
	dated(t, newest, []byte(third.String()), noon)
	for _, files := range [][]string{
		{newest, middle, oldest},
		{middle, oldest, newest, middle},
		{oldest, Stdin, newest, Stdin},
	} {
		o.Files, o.Stdin = files, strings.NewReader(second.String())
		r := run(t, o)
		if got := said(r); got != "throttled messages=1; passed=0; blocks=1" || r.Lines != 18 {
			t.Errorf("%v: %s, %d lines", files, got, r.Lines)
		}
		if len(r.Files) != 3 || r.Files[0].Name != oldest || r.Files[2].Name != newest || r.Files[0].Lines != 6 {
			t.Errorf("%v: %+v", files, r.Files)
		}
		if !r.From.Equal(at("9:00")) || !r.To.Equal(at("9:30:01")) {
			t.Errorf("from %s to %s", r.From, r.To)
		}
	}
}

// Postfix and Dovecot may each have a log of their own: their lines are read in
// the order of their times.
func TestLogsBesideEachOther(t *testing.T) {
	var postfix logText
	postfix.mail("9:05", mail{port: 25, from: "192.0.2.1", sender: jan})
	postfix.mail("9:20", mail{port: 25, from: "192.0.2.2", sender: jan}) // the second of its POP login
	dovecot := "Nov 21 09:00:00 pop3-login: Info: Login: user=<jan@domena.cz>, method=PLAIN, rip=192.0.2.1, lip=192.0.2.9, mpid=1, session=<a>\n" +
		"Nov 21 09:20:00 pop3-login: Info: Logged in: user=<jan@domena.cz>, method=PLAIN, rip=192.0.2.2, lip=192.0.2.9, mpid=1, session=<b>\n"
	o := options(t, withAuth+"[smtp_after_pop]\nenabled = true", cast, postfix.String(), dovecot)
	r := run(t, o)
	if got := said(r); got != "passed=2" || r.Logins.POP != 2 {
		t.Errorf("%s, %+v", got, r.Logins)
	}
}

// A stamp has no year: it is that of when the file was written.
func TestYears(t *testing.T) {
	o := options(t, withAuth, cast)
	dir := t.TempDir()
	newYear := time.Date(2025, 1, 1, 6, 25, 0, 0, time.UTC)
	text := "Dec 31 23:59:59 mx postfix/qmgr[1]: x\nJan  1 00:00:01 mx postfix/qmgr[1]: x\n"
	plain, zipped, unnamed := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	dated(t, plain, []byte(text), newYear)
	dated(t, zipped, gzipped(t, text, newYear), noon) // unpacked from a backup: gzip knows better
	dated(t, unnamed, gzipped(t, text, time.Time{}), newYear)
	for _, name := range []string{plain, zipped, unnamed} {
		o.Files = []string{name}
		r := run(t, o)
		if r.From.Year() != 2024 || r.To.Year() != 2025 || r.To.Sub(*r.From) != 2*time.Second {
			t.Errorf("%s: from %s to %s", name, r.From, r.To)
		}
	}
}

func TestCutGzip(t *testing.T) {
	var l logText
	for i := range 200 {
		l.mailAt(at("9:00").Add(time.Duration(i)*time.Second), mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@seznam.cz"})
	}
	whole := gzipped(t, l.String(), day)
	o := options(t, "", cast)
	name := filepath.Join(t.TempDir(), "mail.log.2.gz")
	o.Files = []string{name}
	dated(t, name, whole[:len(whole)-1000], noon)
	r := run(t, o)
	n := r.rule("sender", false).Messages.Count
	if n == 0 || n >= 200 || !strings.Contains(r.Files[0].Problem, "it could be read to its line "+itoa(r.Files[0].Lines)+" only: unexpected EOF") {
		t.Errorf("%d messages, %+v", n, r.Files[0])
	}
	dated(t, name, whole[:7], noon)
	if r := run(t, o); r.Lines != 0 || !strings.Contains(r.Files[0].Problem, "no whole gzip file") {
		t.Errorf("%+v", r.Files[0])
	}
	broken := bytes.Clone(whole)
	broken[len(broken)/2] ^= 0xff
	dated(t, name, broken, noon)
	if r := run(t, o); r.Files[0].Problem == "" {
		t.Errorf("%+v", r.Files[0])
	}
}

// Too long, unreadable and unended lines are counted, and cost nothing else.
func TestOddLines(t *testing.T) {
	var l logText
	l.mail("9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@seznam.cz"})
	text := "\x00\x01\xff\n\r\n-- Boot x --\n" + strings.Repeat("x", 5*maxLine) + "\n" +
		strings.ReplaceAll(l.String(), "\n", "\r\n") + "Nov 21 09:00:00 mx x[1]: " + strings.Repeat("y", maxLine) + "\n" +
		"Nov 21 09:05:00 mx postfix/submission/smtpd[1]: warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: x, sasl_username=" + jan
	r := run(t, options(t, "", cast, text))
	if r.Lines != 5+len(l.lines)+1 || r.Unreadable != 3 || r.TooLong != 2 || r.Logins.Failed != 1 || said(r) != "sender messages=1; passed=0" {
		t.Errorf("%d lines, %d unreadable, %d too long, %+v, %s", r.Lines, r.Unreadable, r.TooLong, r.Logins, said(r))
	}
	r = run(t, options(t, "", cast, "Nov 21 09:00:00 mx x[1]: y\n"+strings.Repeat("z", 2*maxLine)))
	if r.Lines != 2 || r.TooLong != 1 {
		t.Errorf("an endless last line: %d lines, %d too long", r.Lines, r.TooLong)
	}
}

// Errors say what to do.
func TestCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	in := func(name, content string) string {
		name = filepath.Join(dir, name)
		write(t, name, content)
		return name
	}
	good := in("good", small("9:00 qmgr A000001: removed"))
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"missing":   {[]string{good, filepath.Join(dir, "missing")}, "no such file or directory: name files that can be read"},
		"directory": {[]string{dir}, "is a directory: name the files in it"},
		"xz":        {[]string{in("a.xz", "\xfd7zXZ\x00abc")}, "is compressed: run `xzcat "},
		"bzip2":     {[]string{in("a.bz2", "BZh91AY")}, "is compressed: run `bzcat "},
		"no log":    {[]string{in("no.log", "hello\nworld\n")}, "none of 2 lines begins as a log's does: name the log"},
	} {
		o := options(t, "", cast)
		o.Files = c.files
		if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := options(t, "", cast)
	o.Files = []string{in("empty", "")}
	if r := run(t, o); r.Lines != 0 || r.From != nil {
		t.Errorf("an empty file: %+v", r)
	}
}

func TestStopped(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	o := options(t, "", cast, strings.Repeat(small("9:00 qmgr A000001: removed"), 3*progressEvery))
	calls := 0
	o.Progress = func(p Progress) {
		calls++
		if p.Lines != progressEvery || p.Read <= 0 || p.Read > p.Total {
			t.Errorf("%+v", p)
		}
		stop()
	}
	if _, err := Run(ctx, o); err == nil || calls != 1 || !strings.Contains(err.Error(), "stopped after") {
		t.Errorf("%d calls, %v", calls, err)
	}
}
