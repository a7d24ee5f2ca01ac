package saslrelay

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"portreeve/rules"
)

// What the two programs said to each other when it was recorded passes
// unchanged, while nothing is refused.
func TestRecorded(t *testing.T) {
	for _, version := range []string{"2.3", "2.4"} {
		data, err := os.ReadFile("testdata/dovecot-" + version + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		r := start(t, nil)
		n := 0
		for line := range strings.Lines(string(data)) {
			direction, text := line[:2], strings.TrimSuffix(line[2:], "\n")
			from, to := r.postfix, r.dovecot
			if direction == "< " {
				from, to = to, from
			}
			from.sends(text)
			to.gets(text)
			n++
		}
		if n < 40 {
			t.Errorf("%s: only %d lines", version, n)
		}
		_, told := r.judge.heard()
		got := ""
		for _, e := range told {
			got += map[rules.EventKind]string{rules.LoginFailed: "-", rules.LoginSucceeded: "+"}[e.Kind] + e.Login + " "
		}
		// 6 is disabled in 2.3; 8 is no PLAIN response, 9 and 10 are no base64.
		want := "+alice -alice +alice -alice -alice -bad\x01\x02na me - -alice -ghost +alice "
		if version == "2.4" {
			want = "+alice -alice +alice -alice -alice +denied -bad\x01\x02na me - -alice -ghost +alice "
		}
		if got = strings.ReplaceAll(strings.ReplaceAll(got, "-expired ", ""), "+nolog ", ""); got != want {
			t.Errorf("%s: told %q, want %q", version, got, want)
		}
		r.postfix.Close()
		r.dovecot.closed()
	}
}

// at refuses at one stage.
func at(stage rules.Stage, text string) func(rules.Request) rules.Decision {
	return func(q rules.Request) rules.Decision {
		if q.Stage == stage {
			return refuse(text)
		}
		return rules.Decision{}
	}
}

// A blocked client is refused without Dovecot being asked.
func TestThrottled(t *testing.T) {
	r := start(t, func(rules.Request) rules.Decision { return refuse("blocked\ttext\n") })
	r.postfix.sends(plain("1", "jan@domena.cz", "secret"))
	r.postfix.gets("FAIL\t1\tuser=jan@domena.cz\treason=blocked?text?")
	r.postfix.sends("AUTH\t2\tLOGIN" + head)
	r.postfix.gets("FAIL\t2\treason=blocked?text?")
	r.postfix.sends("AUTH\t3\tCRAM-MD5" + head + "\tsecured")
	r.postfix.gets("FAIL\t3\treason=blocked?text?")
	asked, told := r.judge.heard()
	stages := []rules.Stage{rules.StageAuth, rules.StageAuthBegin, rules.StageAuthBegin}
	for i, q := range asked {
		if q.Stage != stages[i] || q.Protocol != rules.ProtocolSASL || q.Service != "smtp" || q.Client.String() != "192.0.2.7" || q.TLS != (i == 2) || q.Time.IsZero() {
			t.Errorf("question %d: %+v", i, q)
		}
	}
	if len(asked) != 3 || len(told) != 0 || !slices.Equal(r.meter.reports, []string{"smtp rejected", "smtp rejected", "smtp rejected"}) {
		t.Errorf("asked %d, told %d, reports %q", len(asked), len(told), r.meter.reports)
	}
	r.postfix.Close()
	r.dovecot.closed() // and nothing before
}

// LOGIN, and PLAIN without an initial response, name the login in the first
// answer. Dovecot is told that nobody waits any more.
func TestRefusedAfterTheLogin(t *testing.T) {
	for mechanism, response := range map[string]string{"LOGIN": "ghost@domena.cz", "plain": "\x00ghost@domena.cz\x00secret"} {
		r := start(t, at(rules.StageAuth, "no such"))
		r.postfix.sends("AUTH\t1\t" + mechanism + head)
		r.dovecot.gets("AUTH\t1\t" + mechanism + head)
		r.dovecot.sends("CONT\t1\tVXNlcm5hbWU6")
		r.postfix.gets("CONT\t1\tVXNlcm5hbWU6")
		r.postfix.sends("CONT\t1\t" + b64(response))
		r.postfix.gets("FAIL\t1\tuser=ghost@domena.cz\treason=no such")
		r.dovecot.gets("CANCEL\t1")
		// A late answer of Dovecot's is nobody's.
		r.dovecot.sends("FAIL\t1\tuser=ghost@domena.cz", "CANCELLED\t1")
		r.postfix.gets("CANCELLED\t1")
		r.postfix.sends("CONT\t1\t" + b64("secret"))
		r.postfix.gets("FAIL\t1\treason=Authentication request timed out")
		if _, told := r.judge.heard(); len(told) != 0 {
			t.Errorf("told %v", told)
		}
		r.postfix.Close()
		r.dovecot.closed()
	}
}

// The password is never taken for a login, even if the login was not readable.
func TestOnlyTheFirstResponseNames(t *testing.T) {
	r := start(t, nil)
	r.postfix.sends("AUTH\t1\tLOGIN" + head)
	r.dovecot.gets("AUTH\t1\tLOGIN" + head)
	for _, answer := range []string{"abc", b64("secret@domena.cz"), b64("secret")} {
		r.dovecot.sends("CONT\t1\tx")
		r.postfix.gets("CONT\t1\tx")
		r.postfix.sends("CONT\t1\t" + answer)
		r.dovecot.gets("CONT\t1\t" + answer)
	}
	r.dovecot.sends("FAIL\t1\tuser=jan@domena.cz")
	r.postfix.gets("FAIL\t1\tuser=jan@domena.cz")
	asked, told := r.judge.heard()
	if len(asked) != 2 || asked[0].Login != "" || asked[1].Login != "jan@domena.cz" || told[0].Login != "jan@domena.cz" {
		t.Errorf("asked %+v, told %+v", asked, told)
	}
	// LOGIN with an initial response: the answer to it is the password.
	auth := "AUTH\t2\tLOGIN" + head + "\tresp=" + b64("petr@domena.eu")
	r.postfix.sends(auth)
	r.dovecot.gets(auth)
	r.dovecot.sends("CONT\t2\tx")
	r.postfix.gets("CONT\t2\tx")
	r.postfix.sends("CONT\t2\t" + b64("secret@domena.cz"))
	r.dovecot.gets("CONT\t2\t" + b64("secret@domena.cz"))
	if asked, _ = r.judge.heard(); len(asked) != 3 || asked[2].Login != "petr@domena.eu" || asked[2].Stage != rules.StageAuth {
		t.Errorf("asked %+v", asked)
	}
}

// Failures are told before they are answered, with what Dovecot says of them.
func TestFailed(t *testing.T) {
	for _, tt := range []struct {
		says, answers string
		told, asks    bool
		disabled      bool
		report        string
	}{
		{says: "user=jan@domena.cz", answers: "user=jan@domena.cz\treason=TEXT", told: true, asks: true, report: "failure"},
		{says: "", answers: "reason=TEXT", told: true, asks: true, report: "failure"},
		{says: "user=jan@domena.cz\treason=of the passdb\tnodelay", answers: "user=jan@domena.cz\tnodelay\treason=TEXT", told: true, asks: true, report: "failure"},
		{says: "user=jan@domena.cz\tcode=pass_expired", answers: "user=jan@domena.cz\tcode=pass_expired\treason=TEXT", told: true, asks: true, report: "failure"},
		// Dovecot says authz_fail whether or not the master user's password was right.
		{says: "user=eva@domena.cz\tcode=authz_fail", answers: "user=eva@domena.cz\tcode=authz_fail\treason=TEXT", told: true, asks: true, report: "failure"},
		{says: "user=jan@domena.cz\tcode=user_disabled", answers: "user=jan@domena.cz\tcode=user_disabled\treason=TEXT", asks: true, disabled: true, report: "failure"},
		{says: "user=jan@domena.cz\tcode=temp_fail", answers: "user=jan@domena.cz\tcode=temp_fail", report: "internal"},
		{says: "user=jan@domena.cz\ttemp", answers: "user=jan@domena.cz\ttemp", report: "internal"},
		{says: "code=invalid_base64\treason=Invalid", answers: "code=invalid_base64\treason=Invalid", report: "rejected"},
		{says: "reason=Authentication request timed out", answers: "reason=Authentication request timed out", report: "rejected"},
	} {
		r := start(t, at(rules.StageAuthFailed, "TEXT"))
		auth := plain("5", "jan@domena.cz", "secret")
		r.postfix.sends(auth)
		r.dovecot.gets(auth)
		r.dovecot.sends(strings.TrimSuffix("FAIL\t5\t"+tt.says, "\t"))
		r.postfix.gets("FAIL\t5\t" + tt.answers)
		asked, told := r.judge.heard()
		if tt.asks != (len(asked) == 2) || tt.told != (len(told) == 1) || r.meter.reports[0] != "smtp "+tt.report {
			t.Fatalf("%q: asked %+v, told %+v, %q", tt.says, asked, told, r.meter.reports)
		}
		if tt.asks && (asked[1].Disabled != tt.disabled || asked[1].Login != "jan@domena.cz") {
			t.Errorf("%q: asked %+v", tt.says, asked[1])
		}
		if tt.told && (told[0].Kind != rules.LoginFailed || told[0].Login != "jan@domena.cz" || told[0].Client.String() != "192.0.2.7" || told[0].Service != "smtp" || told[0].Protocol != rules.ProtocolSASL) {
			t.Errorf("%q: told %+v", tt.says, told[0])
		}
		r.postfix.Close()
		r.dovecot.closed()
	}
}

// An OK is looked at again, for the login that Dovecot made of the client's: a
// block may have begun while the password was checked.
func TestSucceeded(t *testing.T) {
	blocked := false
	r := start(t, func(q rules.Request) rules.Decision {
		if blocked {
			return refuse("blocked")
		}
		return rules.Decision{}
	})
	auth := plain("1", "JAN", "secret")
	r.postfix.sends(auth)
	r.dovecot.gets(auth)
	r.dovecot.sends("OK\t1\tuser=jan@domena.cz\toriginal_user=JAN")
	r.postfix.gets("OK\t1\tuser=jan@domena.cz\toriginal_user=JAN")
	asked, told := r.judge.heard()
	if asked[0].Login != "JAN" || asked[1].Login != "jan@domena.cz" || asked[1].Stage != rules.StageAuth || told[0].Kind != rules.LoginSucceeded || told[0].Login != "jan@domena.cz" {
		t.Errorf("asked %+v, told %+v", asked, told)
	}
	r.postfix.sends(plain("2", "jan@domena.cz", "secret"))
	r.dovecot.gets(plain("2", "jan@domena.cz", "secret"))
	r.judge.mu.Lock()
	blocked = true
	r.judge.mu.Unlock()
	r.dovecot.sends("OK\t2\tuser=jan@domena.cz")
	r.postfix.gets("FAIL\t2\tuser=jan@domena.cz\treason=blocked")
	if _, told = r.judge.heard(); len(told) != 1 {
		t.Errorf("told %+v", told)
	}
	r.dovecot.sends("OK\t2\tuser=jan@domena.cz", "FAIL\t2", "PING") // each id is answered once
	r.postfix.gets("PING")
}

// A hint that is only observed has been recorded when Dovecot's own refusal
// comes; a block that is only observed has not to do with it.
func TestObserved(t *testing.T) {
	for rule, stages := range map[rules.Rule]int{rules.RuleAuthRejected: 1, rules.RuleThrottled: 2} {
		r := start(t, func(rules.Request) rules.Decision {
			return rules.Decision{Observed: []rules.Finding{{Rule: rule, Observed: true}}}
		})
		auth := plain("1", "ghost@domena.cz", "secret")
		r.postfix.sends(auth)
		r.dovecot.gets(auth)
		r.dovecot.sends("FAIL\t1\tuser=ghost@domena.cz")
		r.postfix.gets("FAIL\t1\tuser=ghost@domena.cz")
		if asked, told := r.judge.heard(); len(asked) != stages || len(told) != 1 {
			t.Errorf("%s: asked %+v, told %+v", rule, asked, told)
		}
	}
}

// Several attempts at a time on one connection, answered in another order.
func TestInterleaved(t *testing.T) {
	r := start(t, at(rules.StageAuthFailed, "TEXT"))
	for i := range 10 {
		line := plain(strconv.Itoa(i+1), "u"+strconv.Itoa(i+1)+"@domena.cz", "secret")
		r.postfix.sends(line)
		r.dovecot.gets(line)
	}
	for i := 10; i > 0; i-- {
		id := strconv.Itoa(i)
		if i%2 == 0 {
			r.dovecot.sends("OK\t" + id + "\tuser=x@domena.cz")
			r.postfix.gets("OK\t" + id + "\tuser=x@domena.cz")
			continue
		}
		r.dovecot.sends("FAIL\t" + id)
		r.postfix.gets("FAIL\t" + id + "\treason=TEXT")
	}
	_, told := r.judge.heard()
	for i, e := range told {
		if want := "u" + strconv.Itoa(10-i) + "@domena.cz"; e.Kind == rules.LoginFailed && e.Login != want {
			t.Errorf("event %d is of %s, want %s", i, e.Login, want)
		}
	}
}

// Clients that begin and give up do not fill the memory, and harm nobody. What
// Dovecot holds is never forgotten.
func TestTooManyPending(t *testing.T) {
	r := start(t, nil)
	begin := func(i int) string { return "AUTH\t" + strconv.Itoa(i) + "\tLOGIN" + head }
	for i := 1; i <= MaxPending; i++ {
		r.postfix.sends(begin(i))
		r.dovecot.gets(begin(i))
	}
	r.postfix.sends(begin(1000))
	r.postfix.gets("FAIL\t1000\treason=Too many authentications at a time")
	r.dovecot.sends("CONT\t7\tx")
	r.postfix.gets("CONT\t7\tx")
	r.postfix.sends(begin(1001))
	r.dovecot.gets("CANCEL\t7", begin(1001))
	r.postfix.sends("CANCEL\t1001", begin(1002))
	r.dovecot.gets("CANCEL\t1001", begin(1002))
	if _, told := r.judge.heard(); len(told) != 0 {
		t.Errorf("told %+v", told)
	}
}

func TestMalformed(t *testing.T) {
	for name, lines := range map[string][]string{
		"no id":             {"AUTH\tsecret\tPLAIN"},
		"NUL":               {"AUTH\t1\tPLAIN" + head + "\tresp=secret\x00"},
		"CR":                {"VERSION\t1\t1\r"},
		"empty":             {""},
		"unasked response":  {"AUTH\t1\tLOGIN" + head, "CONT\t1\t" + b64("secret")},
		"the same id twice": {"AUTH\t1\tLOGIN" + head, plain("1", "jan@domena.cz", "secret")},
		"the end in a line": {"AUTH\t1\tPLAIN"},
		"a line of 64 KiB":  {"CONT\t1\t" + strings.Repeat("secret", MaxLine/6)},
	} {
		r := start(t, nil)
		go func() { // nobody reads the rest of a long line
			for _, l := range lines {
				if name != "the end in a line" {
					l += "\n"
				}
				if _, err := r.postfix.Write([]byte(l)); err != nil {
					return
				}
			}
			if name == "the end in a line" {
				r.postfix.Close()
			}
		}()
		if len(lines) == 2 { // Dovecot has been asked, and its answer counts
			r.dovecot.gets(lines[0])
			r.postfix.closed()
			r.dovecot.sends("FAIL\t1\tuser=jan@domena.cz")
		}
		r.dovecot.closed()
		<-r.done
		if r.meter.errors != 1 || strings.Contains(r.log.String(), "secret") || !strings.Contains(r.log.String(), "malformed line, connections closed") {
			t.Errorf("%s: counted %d, logged %s", name, r.meter.errors, r.log)
		}
		if _, told := r.judge.heard(); len(told) != len(lines)-1 {
			t.Errorf("%s: told %+v", name, told)
		}
	}
}

func TestMalformedByDovecot(t *testing.T) {
	for _, line := range []string{"FAIL\tuser=a", "OK\t1\tuser=a\x00", ""} {
		r := start(t, nil)
		r.postfix.sends(plain("1", "jan@domena.cz", "secret"))
		r.dovecot.gets(plain("1", "jan@domena.cz", "secret"))
		r.dovecot.sends(line)
		r.ends()
		if r.meter.errors != 1 || !strings.Contains(r.log.String(), `error="dovecot: malformed line: `) {
			t.Errorf("%q: counted %d, logged %s", line, r.meter.errors, r.log)
		}
	}
}

// Dovecot ends: so does Postfix's connection, with the attempts on it.
func TestDovecotCloses(t *testing.T) {
	r := start(t, nil)
	r.postfix.sends(plain("1", "jan@domena.cz", "secret"))
	r.dovecot.gets(plain("1", "jan@domena.cz", "secret"))
	r.dovecot.Close()
	r.postfix.closed()
	<-r.done
	if !strings.Contains(r.log.String(), "dovecot closed the connection") || r.meter.errors != 0 {
		t.Errorf("counted %d, logged %s", r.meter.errors, r.log)
	}
}
