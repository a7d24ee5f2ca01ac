package maillog

import (
	"net/netip"
	"testing"
	"time"
)

// ref is when the recorded lines were read.
var ref = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// said is what a line tells, as text: "auth failed smtp alice 127.0.3.2"; empty
// for nothing.
func said(line string) string {
	e, ok := Parse(line, ref)
	if !ok {
		return ""
	}
	s := e.Kind.String() + " " + e.Service + " " + e.Login
	if e.Client.IsValid() {
		s += " " + e.Client.String()
	}
	if e.Session != "" {
		s += " <" + e.Session + ">"
	}
	return s
}

// Each line was written by the program and version that stand beside it, or, with
// "source", by its source code.
func TestRecorded(t *testing.T) {
	for _, c := range []struct{ program, line, want string }{
		// Postfix with Dovecot.
		{"Postfix 3.7.11, Dovecot 2.3.19.1", `Nov 21 22:29:43 mx postfix/smtpd[15169]: warning: unknown[127.0.0.12]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=alice`, "auth failed smtp alice 127.0.0.12"},
		{"Postfix 3.7.11, Dovecot 2.4.4", `Nov 21 22:48:29 mx postfix/smtpd[17936]: warning: unknown[127.0.5.2]: SASL LOGIN authentication failed: (reason unavailable), sasl_username=alice`, "auth failed smtp alice 127.0.5.2"},
		{"Postfix 3.5, Dovecot, source", `Nov 21 22:29:43 mx postfix/smtpd[642]: warning: a.example.com[192.0.2.1]: SASL LOGIN authentication failed: UGFzc3dvcmQ6`, "auth failed smtp  192.0.2.1"},
		{"Postfix 3.5, Dovecot, source", `Nov 21 22:29:43 mx postfix/smtpd[642]: warning: a.example.com[2001:db8::1]: SASL PLAIN authentication failed:`, "auth failed smtp  2001:db8::1"},
		{"Postfix 3.7.11, another policy server", `Nov 21 22:31:26 mx postfix/smtpd[15169]: warning: unknown[127.0.1.31]: SASL PLAIN authentication failed: Too many failures from your address; see https://x.example/help?ip=1, sasl_username=alice`, "auth failed smtp alice 127.0.1.31"},
		{"Postfix 3.7.11", `Nov 21 22:38:39 mx postfix/smtpd[25372]: warning: unknown[127.0.1.200]: SASL LOGIN authentication aborted`, ""},
		{"Postfix 3.7.11", `Nov 21 22:38:39 mx postfix/smtpd[25372]: warning: unknown[127.0.1.200]: SASL CRAM-MD5 authentication failed: Invalid authentication mechanism, sasl_username=nosuch`, ""},
		{"Postfix 3.12, source", `Nov 21 22:38:39 mx postfix/smtpd[25372]: warning: unknown[127.0.1.200]: SASL CRAM-MD5 authentication failed: Invalid authentication mechanism: 'CRAM-MD5', sasl_username=nosuch`, ""},
		{"Postfix 3.7.11", `Nov 21 22:38:39 mx postfix/smtpd[25372]: warning: unknown[127.0.1.200]: SASL PLAIN authentication failed: Invalid base64 data in initial response, sasl_username=nosuch`, ""},
		{"Postfix 3.7.11", `Nov 21 22:38:39 mx postfix/smtpd[25372]: warning: unknown[127.0.1.200]: SASL PLAIN authentication failed: Connection lost to authentication server, sasl_username=alice`, ""},
		{"Postfix 3.7.11", `Nov 21 22:47:39 mx postfix/smtpd[16839]: lost connection after AUTH from unknown[127.0.4.6]`, ""},
		{"Postfix 3.7.11, Portreeve's auth policy", `Nov 21 22:38:39 mx postfix/smtpd[25372]: warning: unknown[127.0.1.200]: SASL PLAIN authentication failed: 0l0uxmDAtIPWPDRAEgMU9d Connection refused from 127.0.1.200. Too many authorization failures from this IP, try again later., sasl_username=alice`, ""},
		{"Postfix 3.7.11", `Nov 21 22:38:39 mx postfix/smtpd[25372]: warning: unknown[unknown]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=alice`, ""},

		// Postfix with Cyrus SASL: a sasldb, a saslauthd, and both broken.
		{"Postfix 3.7.11, Cyrus SASL 2.1.28", `2026-11-22T06:27:32.632707+00:00 mx postfix/smtpd[27]: warning: unknown[127.0.3.2]: SASL PLAIN authentication failed: authentication failure, sasl_username=alice@mx.test`, "auth failed smtp alice@mx.test 127.0.3.2"},
		{"Postfix 3.7.11, Cyrus SASL 2.1.28", `2026-11-22T06:27:32.637600+00:00 mx postfix/smtpd[27]: warning: unknown[127.0.3.6]: SASL CRAM-MD5 authentication failed: authentication failure, sasl_username=alice@mx.test`, "auth failed smtp alice@mx.test 127.0.3.6"},
		{"Postfix 3.10.13, Cyrus SASL 2.1.28", `2026-11-22T06:27:32.635768+00:00 mx postfix/smtpd[179]: warning: unknown[127.0.3.4]: SASL LOGIN authentication failed: authentication failure, sasl_username=alice@mx.test`, "auth failed smtp alice@mx.test 127.0.3.4"},
		{"Postfix 3.7.11, saslauthd 2.1.28", `2026-11-22T06:28:51.874995+00:00 mx postfix/submission/smtpd[54]: warning: unknown[127.0.3.22]:47479: SASL PLAIN authentication failed: authentication failure, sasl_username=alice`, "auth failed submission alice 127.0.3.22"},
		{"Postfix 3.7.11, saslauthd 2.1.28", `2026-11-22T06:28:51.877230+00:00 mx postfix/smtpd[51]: warning: unknown[127.0.3.23]:45991: SASL PLAIN authentication failed: authentication failure, sasl_username=nosuch`, "auth failed smtp nosuch 127.0.3.23"},
		{"Postfix 3.7.11, no saslauthd", `2026-11-22T06:28:52.923909+00:00 mx postfix/smtpd[51]: warning: unknown[127.0.3.24]:56233: SASL PLAIN authentication failed: generic failure, sasl_username=alice`, ""},
		{"Postfix 3.7.11, sasldb not to be read", `Nov 21 22:45:03 mx postfix/smtpd[15458]: warning: unknown[127.0.3.2]: SASL PLAIN authentication failed: generic failure, sasl_username=alice`, ""},
		{"Postfix 3.7.11, Cyrus SASL 2.1.28", `2026-11-22T06:27:32.637996+00:00 mx postfix/smtpd[27]: warning: unknown[127.0.3.7]: SASL PLAIN authentication failed: bad protocol / cancel, sasl_username=(unavailable)`, ""},
		{"Postfix 3.7.11, Cyrus SASL 2.1.28", `Nov 22 08:06:22 mx postfix/submission/smtpd[190]: warning: unknown[127.1.251.2]: SASL PLAIN authentication failed: another step is needed in authentication, sasl_username=(unavailable)`, ""},
		{"Postfix 3.10.13, Cyrus SASL 2.1.28", `Nov 22 07:52:40 mx postfix/smtpd[297]: warning: unknown[127.1.9.7]: SASL DIGEST-MD5 authentication failed: authentication failure, sasl_username=jan.novak@domena.cz`, "auth failed smtp jan.novak@domena.cz 127.1.9.7"},
		{"Postfix 3.7.11, Cyrus SASL 2.1.28", `2026-11-22T06:27:32.638272+00:00 mx postfix/smtpd[27]: warning: unknown[127.0.3.8]: SASL FOO authentication failed: no mechanism available, sasl_username=(unavailable)`, ""},
		{"Postfix 3.7.11, Cyrus SASL 2.1.28", `2026-11-22T06:27:32.632699+00:00 mx postfix/smtpd[27]: warning: SASL authentication failure: Password verification failed`, ""},

		// Other names of smtpd, and programs that are none.
		{"syslog_name", `Nov 21 22:29:43 mx postfix-in/smtps/smtpd[1]: warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=a`, "auth failed submission a 192.0.2.1"},
		{"syslog_name", `Nov  1 22:29:43 mx mail/submissions/smtpd[1]: warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=a`, "auth failed submission a 192.0.2.1"},
		{"not smtpd", `Nov 21 22:29:43 mx postfix/smtp[1]: warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=a`, ""},
		{"not smtpd", `Nov 21 22:29:43 mx smtpd[1]: warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=a`, ""},

		// Dovecot, its own file and syslog.
		{"Dovecot 2.3.19.1", `Nov 22 06:30:05 pop3-login: Info: Login: user=<alice>, method=PLAIN, rip=127.0.7.1, lip=127.0.0.1, mpid=34, session=<L1ilm9dgsc9/AAcB>`, "logged in pop3 alice 127.0.7.1 <L1ilm9dgsc9/AAcB>"},
		{"Dovecot 2.3.19.1", `Nov 22 06:30:11 pop3-login: Info: Login: user=<bob@x.cz>, method=PLAIN, rip=127.0.7.6, lip=127.0.0.1, mpid=41, TLS, session=<CnkCnNdg1ct/AAcG>`, "logged in pop3 bob@x.cz 127.0.7.6 <CnkCnNdg1ct/AAcG>"},
		{"Dovecot 2.3.19.1", `2026-11-22T06:30:29.807127+00:00 mx dovecot: imap-login: Login: user=<alice>, method=PLAIN, rip=127.0.7.7, lip=127.0.0.1, mpid=73, session=<R3ITnddgM7F/AAcH>`, "logged in imap alice 127.0.7.7 <R3ITnddgM7F/AAcH>"},
		{"Dovecot 2.3.19.1", `Nov 22 06:30:05 pop3(alice)<34><L1ilm9dgsc9/AAcB>: Info: Disconnected: Logged out top=0/0, retr=0/0, del=0/0, size=0`, "logged out pop3 alice <L1ilm9dgsc9/AAcB>"},
		{"Dovecot 2.3.19.1", `2026-11-22T06:30:35.259916+00:00 mx dovecot: imap(bob@x.cz)<77><s7tmnddgR4x/AAcK>: Disconnected: Connection closed (No commands sent) in=0 out=405 deleted=0 expunged=0 trashed=0 hdr_count=0 hdr_bytes=0 body_count=0 body_bytes=0`, "logged out imap bob@x.cz <s7tmnddgR4x/AAcK>"},
		{"Dovecot 2.3.19.1", `Nov 22 06:30:06 pop3-login: Info: Disconnected: Aborted login by logging out (auth failed, 1 attempts in 1 secs): user=<alice>, method=PLAIN, rip=127.0.7.2, lip=127.0.0.1, session=<FCemm9dgBdp/AAcC>`, ""},
		{"Dovecot 2.4.1", `Nov 22 06:30:05 pop3-login: Info: Logged in: user=<bob@x.cz>, method=PLAIN, rip=127.0.7.6, lip=127.0.0.1, mpid=39, TLS, session=<DdWkm9dgm4d/AAcG>`, "logged in pop3 bob@x.cz 127.0.7.6 <DdWkm9dgm4d/AAcG>"},
		{"Dovecot 2.4.1", `2026-11-22T06:30:10.066411+00:00 mx dovecot: pop3-login: Logged in: user=<alice>, method=PLAIN, rip=127.0.7.1, lip=127.0.0.1, mpid=62, session=<Dh7mm9dgzZV/AAcB>`, "logged in pop3 alice 127.0.7.1 <Dh7mm9dgzZV/AAcB>"},
		{"Dovecot 2.4.1", `Nov 22 06:30:05 imap-login: Info: Logged in: user=<alice>, method=PLAIN, rip=127.0.7.7, lip=127.0.0.1, mpid=41, session=<uUylm9dgh89/AAcH>`, "logged in imap alice 127.0.7.7 <uUylm9dgh89/AAcH>"},
		{"Dovecot 2.4.1", `Nov 22 06:30:05 pop3(alice)<32><Cxujm9dguZ1/AAcB>: Info: Disconnected: Logged out top=0/0, retr=0/0, del=0/0, size=0`, "logged out pop3 alice <Cxujm9dguZ1/AAcB>"},
		{"Dovecot 2.4.1", `Nov 22 06:30:05 pop3-login: Info: Login aborted: Logged out (auth failed, 1 attempts in 0 secs) (auth_failed): user=<alice>, method=PLAIN, rip=127.0.7.2, lip=127.0.0.1, session=<jhykm9dgm8N/AAcC>`, ""},
		{"Dovecot 2.4.4, nologin", `Nov 21 22:48:40 pop3-login: Info: Login aborted: Logged out (login disabled, 1/1 successful auths in 0 secs) (login_disabled): user=<nolog>, method=PLAIN, rip=127.0.5.7, lip=127.0.0.1, session=<2iZ0KdFgWdZ/AAUH>`, ""},
		{"Dovecot 2.3.19.1", `Nov 21 22:29:41 auth: Info: passwd-file(alice,127.0.0.12): Password mismatch`, ""},
		{"Dovecot, time-out", `Nov 22 06:30:05 pop3(alice)<34><L1ilm9dgsc9/AAcB>: Info: Disconnected: Inactivity - no input for 600 secs top=0/0, retr=0/0, del=0/0, size=0`, ""},
		{"Dovecot behind IPv6 sockets", `Nov 22 06:30:05 pop3-login: Info: Login: user=<alice>, method=PLAIN, rip=::ffff:192.0.2.1, lip=::ffff:192.0.2.2, mpid=34, secured, session=<L1ilm9dgsc9/AAcB>`, "logged in pop3 alice 192.0.2.1 <L1ilm9dgsc9/AAcB>"},

		// Courier.
		{"courier-pop 1.0.16", `2026-11-22T06:28:57.146824+00:00 mx pop3d: LOGIN, user=alice, ip=[::ffff:127.0.7.1], port=[60753]`, "logged in pop3 alice 127.0.7.1"},
		{"courier-pop 1.0.16", `2026-11-22T06:28:57.147612+00:00 mx pop3d: LOGOUT, user=alice, ip=[::ffff:127.0.7.1], port=[60753], top=0, retr=0, rcvd=6, sent=30, time=0`, "logged out pop3 alice 127.0.7.1"},
		{"courier-pop 1.4.1", `2026-11-22T06:29:08.822184+00:00 mx pop3d: DISCONNECTED, user=alice, ip=[::ffff:127.0.7.4], port=[44963], top=0, retr=0, rcvd=0, sent=16, time=0`, "logged out pop3 alice 127.0.7.4"},
		{"courier-imap 5.0.13", `2026-11-22T06:29:09.169069+00:00 mx imapd: LOGIN, user=alice, ip=[::ffff:127.0.7.5], port=[57685], protocol=IMAP`, "logged in imap alice 127.0.7.5"},
		{"courier-imap 5.2.11", `2026-11-22T06:29:08.922920+00:00 mx imapd: LOGOUT, user=alice, ip=[::ffff:127.0.7.5], port=[45179], headers=0, body=0, rcvd=11, sent=82, time=0`, "logged out imap alice 127.0.7.5"},
		{"courier-pop 1.4.1", `2026-11-22T06:28:58.704615+00:00 mx pop3d: LOGIN FAILED, user=alice, ip=[::ffff:127.0.7.2], port=[37873]`, ""},
		{"courier-pop 1.4.1", `2026-11-22T06:29:03.705337+00:00 mx pop3d: LOGOUT, ip=[::ffff:127.0.7.2], port=[37873]`, ""},
		{"Courier of 2010", `Jan 15 12:22:37 s2mr05 pop3d-ssl: LOGIN, user=a@b.cz, ip=[::ffff:192.0.2.7] `, ""},
		{"Courier of 2010", `Jan 15 12:22:37 s2mr05 pop3d-ssl: LOGIN, user=a@b.cz, ip=[::ffff:192.0.2.7]`, "logged in pop3 a@b.cz 192.0.2.7"},

		// Cyrus.
		{"Cyrus 3.6.1", `2026-11-22T06:31:11.977129+00:00 mx cyrus/pop3[117]: login: [127.0.7.1] alice plaintext User logged in SESSIONID=<cyrus-1795329071-117-1-4714988907980039471>`, "logged in pop3 alice 127.0.7.1"},
		{"Cyrus 3.6.1", `2026-11-22T06:31:05.947006+00:00 mx cyrus/imap[116]: login: [127.0.7.5] alice plaintext User logged in SESSIONID=<cyrus-1795329065-116-1-1741944856953056613>`, "logged in imap alice 127.0.7.5"},
		{"Cyrus 3.10.2", `2026-11-22T06:31:15.067464+00:00 mx cyrus/pop3[121]: login: [127.0.7.9] alice PLAIN User logged in SESSIONID=<cyrus-1795329075-121-1-13494966513116302793>`, "logged in pop3 alice 127.0.7.9"},
		{"Cyrus 3.6.1", `2026-11-22T06:31:11.990010+00:00 mx cyrus/pop3[117]: badlogin: [127.0.7.2] plaintext (alice) [SASL(-13): authentication failure: checkpass failed]`, ""},
		{"Cyrus, source", `Nov 22 06:31:05 mx cyrus/imaps[116]: login: pc.example.com [2001:db8::5] jan@domena.cz PLAIN+TLS User logged in`, "logged in imap jan@domena.cz 2001:db8::5"},

		// Not a line at all.
		{"empty", "", ""},
		{"no prefix", "warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: (reason unavailable)", ""},
		{"no stamp", "mx postfix/smtpd[1]: warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: (reason unavailable)", ""},
		{"no such date", `Feb 30 22:29:43 mx postfix/smtpd[15169]: warning: unknown[127.0.0.12]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=alice`, ""},
	} {
		if got := said(c.line); got != c.want {
			t.Errorf("%s:\n%s\n got %q\nwant %q", c.program, c.line, got, c.want)
		}
	}
}

func TestFolded(t *testing.T) {
	const text = "warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=a]"
	for line, want := range map[string]int{
		text: 1,
		"message repeated 3 times: [ " + text + "]":      3,
		"message repeated 999999 times: [ " + text + "]": maxFolded,
		"message repeated 0 times: [ " + text + "]":      0,
		"message repeated 3 times: [ " + text + "] ":     0,
	} {
		e, ok := Parse("Nov 22 10:00:00 mx postfix/smtpd[1]: "+line, ref)
		if ok != (want > 0) || e.Times != want || ok && e.Login != "a]" {
			t.Errorf("%s: %+v, want %d times", line, e, want)
		}
	}
}

func TestStamp(t *testing.T) {
	prague := time.FixedZone("CET", 3600)
	for _, c := range []struct {
		line string
		ref  time.Time
		want time.Time
	}{
		{"Nov 22 10:00:00 x", ref, time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)},
		{"Nov  2 10:00:00 x", ref.In(prague), time.Date(2026, 11, 2, 10, 0, 0, 0, prague)},
		{"Nov 23 11:00:00 x", ref, time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)}, // a day ahead may be a clock's fault
		{"Nov 24 10:00:00 x", ref, time.Date(2025, 11, 24, 10, 0, 0, 0, time.UTC)},
		{"Dec 31 23:59:59 x", ref.AddDate(0, 1, 10), time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)}, // read on 1 January
		{"Jan  1 00:00:01 x", time.Date(2026, 12, 31, 23, 59, 58, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 1, 0, time.UTC)},
		{"Feb 29 10:00:00 x", ref, time.Date(2024, 2, 29, 10, 0, 0, 0, time.UTC)},
		{"2026-11-22T10:00:00.123456+01:00 x", ref, time.Date(2026, 11, 22, 9, 0, 0, 123456000, time.UTC)},
		{"2026-11-22T10:00:00Z x", ref.In(prague), time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)},
	} {
		got, _, rest, ok := stamp(c.line, c.ref)
		if !ok || rest != "x" || !got.Equal(c.want) {
			t.Errorf("%q read at %s: %s %q %v, want %s", c.line, c.ref, got, rest, ok, c.want)
		}
	}
}

func TestAddressesAreUnmapped(t *testing.T) {
	e, ok := Parse("Nov 22 10:00:00 mx pop3d: LOGIN, user=a@b.cz, ip=[::ffff:192.0.2.7]", ref)
	if !ok || e.Client != netip.MustParseAddr("192.0.2.7") || e.Zoned {
		t.Errorf("%+v", e)
	}
}
