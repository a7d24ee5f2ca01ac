package authpolicy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// hostileLogins are what people, programs and worse type as their name.
var hostileLogins = []string{
	"", " ", "@", "@@", "a@", "@a.cz", "a@a.cz\x00", "\x00", "\x01\x02\x1b[2J\x7f", "a\r\nX-Evil: 1", "a\tb", "\n",
	`<script>alert("x")</script>@a.cz`, `"><img src=x>`, "{{.}}", "%s%n%x", "' or 1=1 --", "*)(uid=*", "../../etc/passwd",
	"\u202ezc.a@naj", "\u2066a\u2069@a.cz", "\ufeffjan@a.cz", "ž@á.cz", "jan@ａ.cz", strings.Repeat("x", 10_000), strings.Repeat("ž", 5000) + "@a.cz",
}

// TestHostileLogins: each is asked about and remembered as it came, and answered
// in Dovecot's own form.
func TestHostileLogins(t *testing.T) {
	for _, login := range hostileLogins {
		text, err := json.Marshal(login)
		if err != nil {
			t.Fatal(err)
		}
		body := fmt.Sprintf(`{"login":%s,"protocol":"smtp","remote":"192.0.2.1","success":false,"policy_reject":false,"pwhash":"00"}`, text)
		r := newRig()
		for _, command := range []string{"allow", "report"} {
			if status, answer := r.post(command, body); status != http.StatusOK || answer != goOn {
				t.Errorf("%s of %.40q: %d %s", command, login, status, answer)
			}
		}
		if len(r.gate.asked) != 1 || r.gate.asked[0].Login != login || len(r.gate.told) != 1 || r.gate.told[0].Login != login {
			t.Errorf("%.40q: asked %+v, told %+v", login, r.gate.asked, r.gate.told)
		}
		if r.log.Len() > 0 {
			t.Errorf("%.40q: logged %s", login, &r.log)
		}
	}
}

// TestBrokenUTF8: what is no UTF-8 becomes U+FFFD, as JSON has it.
func TestBrokenUTF8(t *testing.T) {
	r := newRig()
	if status, _ := r.post("report", "{\"login\":\"a\xff\xfe@a.cz\",\"protocol\":\"smtp\",\"remote\":\"192.0.2.1\",\"success\":false,\"policy_reject\":false}"); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if len(r.gate.told) != 1 || r.gate.told[0].Login != "a\ufffd\ufffd@a.cz" {
		t.Errorf("told %+v", r.gate.told)
	}
}

// TestRemotes: what is no address is nobody's, and is held against nobody.
func TestRemotes(t *testing.T) {
	for remote, want := range map[string]string{
		"": "invalid IP", "unknown": "invalid IP", "192.0.2.1:25": "invalid IP", "192.0.2.300": "invalid IP", "192.0.2": "invalid IP",
		"[2001:db8::1]": "invalid IP", "IPv6:2001:db8::1": "invalid IP", "192.0.2.1/32": "invalid IP", "\x00": "invalid IP", "<b>": "invalid IP",
		"mx.test": "invalid IP", "0x7f000001": "invalid IP", "127.1": "invalid IP", "0192.0.2.1": "invalid IP", strings.Repeat("1", 10_000): "invalid IP",
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:DB8::1": "2001:db8::1", "fe80::1%eth0": "fe80::1",
	} {
		text, err := json.Marshal(remote)
		if err != nil {
			t.Fatal(err)
		}
		r := newRig()
		body := fmt.Sprintf(`{"login":"a","protocol":"smtp","remote":%s,"success":false,"policy_reject":false}`, text)
		r.post("allow", body)
		r.post("report", body)
		if len(r.gate.asked) != 1 || len(r.gate.told) != 1 {
			t.Errorf("%.40q: asked %v, told %v", remote, r.gate.asked, r.gate.told)
		} else if asked, told := r.gate.asked[0].Client.String(), r.gate.told[0].Client.String(); asked != want || told != want {
			t.Errorf("%.40q is %s when asked and %s when told, want %s", remote, asked, told, want)
		}
	}
}

// TestReportRepeated: nothing in a report tells a repetition from the same wrong
// password tried again, and Dovecot sends each once (FACTS.md 2.6). Both are told,
// with the same password hash: same_password = "once" makes one of them.
func TestReportRepeated(t *testing.T) {
	r := newRig()
	body := report(`,"success":false,"policy_reject":false,"pwhash":"1f"`)
	r.post("report", body)
	r.post("report", body)
	if len(r.gate.told) != 2 || r.gate.told[0] != r.gate.told[1] || r.gate.told[0].Password != "1f" || r.gate.told[0].ID != 0 {
		t.Errorf("told %+v", r.gate.told)
	}
}

// TestForgedReports: who lacks the token changes nothing, whatever he reports,
// and however often.
func TestForgedReports(t *testing.T) {
	r := newRig()
	for _, key := range []string{"", " ", "S3CRET", token[:5], token + "\x00", "Bearer " + token} {
		for _, success := range []string{"true", "false"} {
			for _, command := range []string{"report", "allow"} {
				status, answer := r.post(command, `{"login":"jan@a.cz","protocol":"pop3","remote":"192.0.2.1","success":`+success+`,"policy_reject":false}`,
					func(q *http.Request) { q.Header.Set("X-Api-Key", key) })
				if status != http.StatusForbidden || answer != goOn {
					t.Errorf("%q: %d %s", key, status, answer)
				}
			}
		}
	}
	if len(r.gate.asked)+len(r.gate.told) > 0 || r.meter.counts["error auth_policy"] != 24 || len(r.meter.counts) != 1 {
		t.Errorf("asked %v, told %v, counted %v", r.gate.asked, r.gate.told, r.meter.counts)
	}
}
