package hostcheck

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portreeve/internal/hostcheck/dovecot"
	"portreeve/internal/listen"
)

// A recorded host that setup has connected has nothing to say, whatever the
// release and the recipe. The clock, the daemon and the directory are the rig's.
func TestGoodHostsAreSilent(t *testing.T) {
	for _, release := range []string{"bookworm", "trixie"} {
		for _, kind := range []string{"milter", "policy-only", "admin-milter"} {
			for _, f := range hostOf(t, release+"-"+kind).Check().Findings {
				// Debian's sample of submission, taken over: level encrypt, static:all.
				if kind == "admin-milter" && f.Severity == Advice && (f.Check == "tls" || f.Check == "header-rewrite") {
					continue
				}
				t.Errorf("%s-%s: %s: %s", release, kind, f.Check, f.Problem)
			}
		}
	}
}

// Where there is nothing to look at, nothing is found.
func TestNothingHere(t *testing.T) {
	w := hostOf(t, "bookworm-milter")
	w.Postfix, w.Dovecot, w.Status, w.Directory = nil, nil, nil, nil
	if r := w.Check(); len(r.Findings)+len(r.NotChecked) > 0 {
		t.Errorf("found %+v, not checked %q", r.Findings, r.NotChecked)
	}
}

const dataCall = "check_policy_service { unix:portreeve/policy.sock, default_action=DUNNO }"

// fires is a host broken in one place, and what a check says of it.
type fires struct {
	check  string
	broken func(w *world)
	want   string // "problem: " or "advice: ", and a part of the sentence
}

func relayList(service, list string) func(w *world) {
	return func(w *world) { w.option(service, "smtpd_relay_restrictions", list) }
}

const relayCall = "check_policy_service { unix:portreeve/policy.sock, policy_context=relay }"

var postfixCases = []fires{
	{"connected", func(w *world) { w.master("portreeve/", "elsewhere/"); w.unset("portreeve_") }, "problem: Postfix asks Portreeve on no port"},
	{"ports", func(w *world) { w.master("", "2525 inet n - y - - smtpd -o smtpd_milters=unix:portreeve/milter.sock") }, "problem: Postfix's service 2525 asks Portreeve, but port 2525 is neither"},
	{"ports", func(w *world) {
		w.master("", "[::1]:2526 inet n - y - - smtpd -o smtpd_sender_restrictions="+strings.ReplaceAll(dataCall, " {", ",{"))
	}, "problem: Postfix's service [::1]:2526 asks"},
	{"ports", func(w *world) {
		w.master("", "2525 inet n - y - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_relay_restrictions=permit_sasl_authenticated,reject")
	}, "problem: Postfix's service 2525 offers AUTH, but port 2525 is neither in ports.submission nor in ports.mixed, and Portreeve is not asked there, so no rule holds: add 2525"},
	{"ports", func(w *world) {
		w.master("", "192.0.2.1:10025 inet n - y - - smtpd")
		w.set("smtpd_sasl_auth_enable", "yes")
	}, "advice: Postfix's service 192.0.2.1:10025 offers AUTH"},
	{"ports", func(w *world) { w.Config.Ports.Submission = append(w.Config.Ports.Submission, 2587) }, "advice: port 2587 is listed"},
	{"readable", func(w *world) { w.option("smtp", "smtpd_data_restrictions", "check_client_access") }, "problem: smtpd_data_restrictions of smtp/inet: check_client_access has no argument"},
	{"readable", func(w *world) { w.set("smtpd_recipient_restrictions", "reject_unlisted_recipient # ours") }, `problem: smtpd_recipient_restrictions of smtp/inet: "#" begins no comment behind a value: put it on a line of its own`},
	{"readable", func(w *world) { w.option("smtp", "smtpd_milters", "inet:127.0.0.1:8891 #DKIM") }, `problem: smtpd_milters of smtp/inet: "#DKIM" begins no comment`},
	{"readable", func(w *world) { w.master("-o smtpd_sasl_service=smtp", "Instead of -o smtpd_sasl_service=smtp") }, `problem: smtp/inet has the argument "Instead", which is no option`},
	{"addresses", func(w *world) { w.Config.Listen.Milter.Addr = "/run/portreeve/milter.sock" }, "problem: smtpd_milters of smtp/inet asks at unix:/var/spool/postfix/portreeve/milter.sock, but listen.milter is unix:/run/portreeve/milter.sock"},
	{"addresses", func(w *world) { w.Config.Listen.Milter = listen.Address{} }, "problem: smtpd_milters of smtp/inet asks at unix:/var/spool/postfix/portreeve/milter.sock, but listen.milter is off"},
	{"sockets", func(w *world) {
		w.dialErr["/var/spool/postfix/portreeve/milter.sock"] = errors.New("connection refused")
	}, "problem: nobody answers at listen.milter"},
	{"sockets", func(w *world) {
		w.dialErr["/var/spool/postfix/private/auth"] = errors.New("connection refused")
	}, "problem: nobody answers at smtpd_sasl_path of smtp/inet (connection refused), and Postfix greets nobody on a port that offers AUTH: start Dovecot"},
	{"milter", func(w *world) { w.option("submission", "smtpd_milters", "inet:127.0.0.1:8891") }, "problem: the service submission/inet (port 587) does not ask Portreeve's milter"},
	{"milter", func(w *world) { w.option("smtp", "receive_override_options", "no_address_mappings,no_milters") }, "problem: receive_override_options of smtp/inet"},
	{"milter-action", func(w *world) { w.option("smtp", "milter_default_action", "tempfail") }, `problem: while Portreeve is away, smtp/inet answers mail from other servers with "tempfail"`},
	{"milter-action", func(w *world) { w.option("submission", "milter_default_action", "accept") }, "problem: while Portreeve is away, submission/inet lets every sender through"},
	{"milter-action", func(w *world) {
		w.option("submissions", "smtpd_milters", "{ unix:portreeve/milter.sock, default_action=reject }")
	}, `with "reject", for good`},
	{"milter-tcp", func(w *world) {
		w.Config.Listen.Milter = listen.Address{Network: "tcp", Addr: "127.0.0.1:9194"}
		w.option("smtp", "smtpd_milters", "inet:localhost:9194")
	}, "advice: smtp/inet asks the milter over TCP"},
	{"milter-main", func(w *world) { w.set("non_smtpd_milters", "unix:portreeve/milter.sock") }, "problem: non_smtpd_milters names Portreeve's milter"},
	{"milter-others", func(w *world) { w.option("smtp", "smtpd_milters", "inet:127.0.0.1:8891, unix:portreeve/milter.sock") }, "advice: on smtp/inet other milters see the mail before Portreeve"},
	{"milter-others", func(w *world) { w.set("smtpd_milters", "inet:127.0.0.1:8891") }, "advice: main.cf's milter inet:127.0.0.1:8891 is not in the list of smtp/inet"},
	{"policy", relayList("smtp", "permit_mynetworks, reject_unauth_destination"), "problem: smtpd_relay_restrictions of smtp/inet does not ask the policy service with policy_context=relay"},
	{"policy", func(w *world) { w.option("smtp", "smtpd_data_restrictions", "") }, "problem: smtpd_data_restrictions of smtp/inet does not ask the policy service: a session"},
	{"policy-order", relayList("smtp", "permit_mynetworks, permit_auth_destination, permit_sasl_authenticated, "+relayCall), "problem: in smtpd_relay_restrictions of smtp/inet permit_sasl_authenticated stands ahead"},
	{"policy-order", relayList("smtp", "permit_mynetworks, "+relayCall+", permit_sasl_authenticated, reject"), "permit_auth_destination does not stand ahead"},
	{"policy-order", relayList("submission", relayCall+", permit_sasl_authenticated"), "problem: neither smtpd_relay_restrictions nor smtpd_recipient_restrictions of submission/inet refuses relaying, and Postfix does not start it so: end smtpd_relay_restrictions with reject"},
	{"policy-order", relayList("submission", "reject_unauth_destination, "+relayCall), "reject_unauth_destination stands ahead"},
	{"policy-order", func(w *world) { w.option("smtp", "smtpd_data_restrictions", "permit_mynetworks, "+dataCall) }, "problem: in smtpd_data_restrictions of smtp/inet permit_mynetworks stands ahead"},
	{"policy-action", func(w *world) {
		w.Config.SMTPAfterPOP.Enabled = true
		w.option("smtp", "smtpd_relay_restrictions", "permit_mynetworks, permit_auth_destination, check_policy_service { unix:portreeve/policy.sock, policy_context=relay, default_action=DUNNO }, reject")
	}, "refuses customers with a POP grant for good"},
	{"policy-action", relayList("smtp", "permit_auth_destination, check_policy_service { unix:portreeve/policy.sock, policy_context=relay, default_action=REJECT }"), "smtpd_relay_restrictions of smtp/inet answers REJECT"},
	{"policy-action", func(w *world) {
		w.option("smtp", "smtpd_data_restrictions", "check_policy_service unix:portreeve/policy.sock")
	}, "stops mail from other servers (451 4.3.5"},
	{"policy-action", func(w *world) { w.option("submission", "smtpd_sender_restrictions", dataCall) }, "smtpd_sender_restrictions of submission/inet lets every sender through"},
	{"policy-action", relayList("smtp", "permit_auth_destination, check_policy_service { unix:portreeve/policy.sock, policy_context=relay, default_action=permit }"), "problem: while Portreeve is away, smtpd_relay_restrictions of smtp/inet lets everybody relay (default_action=permit)"},
	{"login-gates", func(w *world) {
		w.Config.SMTPAfterPOP.Enabled = true
		w.set("smtpd_sender_login_maps", "hash:/etc/postfix/owners")
		w.set("smtpd_sender_restrictions", "reject_sender_login_mismatch")
	}, "problem: reject_sender_login_mismatch in smtpd_sender_restrictions of smtp/inet refuses clients that only have a POP grant"},
	{"login-gates", func(w *world) {
		w.Config.SMTPAfterPOP.Enabled = true
		w.option("submission", "smtpd_client_restrictions", "permit_sasl_authenticated,reject")
	}, "problem: reject in smtpd_client_restrictions of submission/inet refuses clients that only have a POP grant"},
	{"login-gates", func(w *world) {
		w.Config.SMTPAfterPOP.Enabled = true
		w.set("smtpd_recipient_restrictions", "permit_mynetworks, reject_unauth_destination")
	}, "problem: reject_unauth_destination in smtpd_recipient_restrictions of smtp/inet"},
}

var sessionCases = []fires{
	{"sasl", func(w *world) { w.option("submission", "smtpd_sasl_auth_enable", "no") }, "problem: submission/inet offers no AUTH"},
	{"sasl", func(w *world) { w.set("smtpd_sasl_type", "cyrus") }, `problem: passwords on smtp/inet are checked by "cyrus"`},
	{"sasl", func(w *world) { w.set("smtpd_sasl_path", "private/other") }, "problem: smtpd_sasl_path of smtp/inet is /var/spool/postfix/private/other, but Dovecot has no socket there"},
	{"sasl", func(w *world) {
		w.Config.Listen.SASL = listen.Address{Network: "unix", Addr: "/var/spool/postfix/portreeve/sasl.sock"}
	}, "problem: listen.sasl is unix:/var/spool/postfix/portreeve/sasl.sock, but smtpd_sasl_path of smtp/inet is private/auth"},
	{"sasl", func(w *world) { w.set("smtpd_sasl_path", "tcp:x") }, "problem: smtpd_sasl_path of smtp/inet: "},
	{"addresses", func(w *world) { w.set("smtpd_sasl_path", "portreeve/sasl.sock") }, "problem: smtpd_sasl_path of smtp/inet asks at unix:/var/spool/postfix/portreeve/sasl.sock, but listen.sasl is off"},
	{"sasl-service", func(w *world) { w.option("submissions", "smtpd_sasl_service", "customers") }, `problem: auth_failures.protocols has no "customers"`},
	{"sasl-service", func(w *world) { w.set("smtpd_sasl_type", "cyrus") }, `advice: smtpd_sasl_service of submission/inet is "submission", which Cyrus SASL takes for`},
	{"mechanisms", func(w *world) { w.dovecotSet("auth_mechanisms", "plain") }, "advice: auth_mechanisms has no login"},
	{"mechanisms", func(w *world) { w.set("smtpd_sasl_security_options", "noanonymous, noplaintext") }, "advice: smtpd_sasl_security_options of smtp/inet"},
	{"mechanisms", func(w *world) { w.set("smtpd_sasl_tls_security_options", "noplaintext") }, "problem: smtpd_sasl_tls_security_options of smtp/inet"},
	{"tls", func(w *world) { w.option("submissions", "smtpd_tls_wrappermode", "no") }, "problem: submissions/inet does not begin with TLS"},
	{"tls", func(w *world) { w.option("submission", "smtpd_tls_wrappermode", "yes") }, "problem: submission/inet begins with TLS"},
	{"tls", func(w *world) {
		w.set("smtpd_tls_cert_file", "/etc/ssl/gone.pem")
		w.Stat = func(path string) (time.Time, error) {
			if path == "/etc/ssl/gone.pem" {
				return time.Time{}, fs.ErrNotExist
			}
			return noon.Add(-time.Hour), nil
		}
	}, "problem: smtpd_tls_cert_file of smtp/inet is /etc/ssl/gone.pem, which does not exist"},
	{"tls", func(w *world) { w.option("submission", "smtpd_tls_auth_only", "yes") }, "advice: submission/inet offers no AUTH before STARTTLS (smtpd_tls_auth_only = yes)"},
	{"tls", func(w *world) { w.set("smtpd_tls_auth_only", "yes") }, "advice: smtp/inet offers no AUTH before STARTTLS"},
	{"tls", func(w *world) { w.option("smtp", "smtpd_tls_security_level", "encrypt") }, "problem: smtp/inet refuses other mail servers"},
	{"tls", func(w *world) { w.option("submission", "smtpd_tls_security_level", "encrypt") }, "advice: submission/inet refuses customers that have no TLS"},
	{"tls", func(w *world) { w.option("smtp", "smtpd_tls_security_level", "none") }, "problem: smtp/inet offers no STARTTLS"},
	{"tls", func(w *world) { w.set("smtpd_tls_cert_file", "") }, "problem: smtp/inet should offer TLS, but has no certificate"},
	{"mail-tls", func(w *world) { w.dovecotSet("ssl", "no") }, "problem: ssl = no: no STARTTLS on 110"},
	{"mail-tls", func(w *world) { w.Config.SMTPAfterPOP.Enabled = true; w.dovecotSet("protocols", "imap") }, "advice: smtp_after_pop waits for pop3 logins"},
	{"mail-tls", func(w *world) {
		off := dovecot.Section{Kind: "inet_listener", Name: "pop3s", Settings: map[string]string{"port": "0"}}
		w.Dovecot.Sections = append([]dovecot.Section{{Kind: "service", Name: "pop3-login", Sections: []dovecot.Section{off}}}, w.Dovecot.Sections...)
	}, "advice: nothing listens on port 995"},
	{"postscreen", func(w *world) {
		w.master("smtp       inet  n       -       y       -       -       smtpd", "smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd")
		w.set("postscreen_bare_newline_enable", "yes")
	}, "problem: postscreen_bare_newline_enable = yes"},
	{"delay-reject", func(w *world) { w.set("smtpd_delay_reject", "no") }, "problem: smtpd_delay_reject = no on smtp/inet"},
	{"soft-bounce", func(w *world) { w.set("soft_bounce", "yes") }, "problem: soft_bounce = yes on smtp/inet"},
	{"xclient", func(w *world) { w.set("smtpd_authorized_xclient_hosts", "192.0.2.0/24") }, "advice: 192.0.2.0/24 may claim any address"},
	{"header-rewrite", func(w *world) { w.option("submission", "local_header_rewrite_clients", "static:all") }, "advice: local_header_rewrite_clients of submission/inet has static:all"},
	{"networks", func(w *world) { w.set("mynetworks", "127.0.0.0/8 [::1]/128 192.0.2.0/24") }, "problem: mynetworks has 192.0.2.0/24, but networks.trusted has not"},
	{"networks", func(w *world) { w.Config.Networks.Trusted = networks("127.0.0.0/8", "::1/128", "2001:db8::/32") }, "advice: networks.trusted has 2001:db8::/32, but mynetworks has not"},
	{"domains", func(w *world) { w.set("virtual_mailbox_domains", "domena.cz, nova.cz, localhost") }, "problem: virtual_mailbox_domains has nova.cz, which is not in the directory"},
	{"domains", func(w *world) { w.set("mydestination", "mx.test, mail.test") }, "advice: mydestination has mail.test"},
	{"domains", func(w *world) { w.set("mydestination", "mail.test"); w.Config.Listen.Milter = listen.Address{} }, "problem: mydestination has mail.test, which neither"},
	{"domains", func(w *world) {
		w.set("virtual_mailbox_domains", "hash:/etc/postfix/domains")
		w.tables["-s hash:/etc/postfix/domains"] = "firma.cz\tOK\nstara.cz\tOK\nx@y.cz\tz\n"
	}, "problem: virtual_mailbox_domains has stara.cz, which"},
	{"aliases", func(w *world) { w.accounts("[domains]\n\"b.cz\" = {}\n\"firma.cz\" = { aliases = [\"a.b.cz\"] }\n") }, "advice: the alias a.b.cz of firma.cz lies below the hosted domain b.cz"},
}

var dovecotCases = []fires{
	{"auth-policy", func(w *world) { w.dovecotSet("auth_policy_server_url", "") }, "problem: Dovecot asks no auth policy server"},
	{"auth-policy", func(w *world) { w.dovecotSet("auth_policy_server_url", "http://127.0.0.1:9999/") }, "problem: auth_policy_server_url = http://127.0.0.1:9999/, but listen.auth is inet:127.0.0.1:9192"},
	{"auth-policy", func(w *world) { w.dovecotSet("auth_policy_report_after_auth", "no") }, "problem: auth_policy_report_after_auth = no: failed logins"},
	{"auth-policy", func(w *world) { w.dovecotSet("auth_policy_log_only", "yes") }, "problem: auth_policy_log_only = yes"},
	{"auth-policy", func(w *world) { w.dovecotSet("auth_policy_request_attributes", "login=%u pwhash=x remote=%r") }, "problem: auth_policy_request_attributes has no protocol="},
	{"auth-policy", func(w *world) { w.dovecotSet("auth_policy_hash_nonce", "") }, "problem: auth_policy_hash_nonce is empty"},
	{"auth-policy", func(w *world) { w.dovecotSet("auth_policy_hash_nonce", PublicNonce) }, "advice: auth_policy_hash_nonce is that of the example"},
	{"auth-policy", func(w *world) { w.Config.Listen.Auth = listen.Address{} }, "advice: nobody tells of failed logins"},
	{"token", func(w *world) { w.dovecotSet("auth_policy_server_api_header", "X-Api-Key: another") }, "problem: auth_policy_server_api_header is not the token"},
	{"token", func(w *world) { w.dovecotSet("auth_policy_server_api_header", "") }, "problem: auth_policy_server_api_header is empty"},
	{"token", func(w *world) { w.write(w.Config.AuthPolicy.TokenFile, "of-the-recorded-hosts\n", 0o644) }, "problem: everybody on this host can read the token"},
	{"token", func(w *world) {
		w.write(filepath.Join(filepath.Dir(w.Dovecot.Path), "99.conf"), "x = of-the-recorded-hosts\n", 0o644)
	}, "problem: everybody on this host can read the token in it"},
	{"token", func(w *world) { w.page("of-the-help-desk", 0o604) }, "problem: everybody on this host can read the token: chmod o= "},
	{"token", func(w *world) { w.page("of-the-helpdesk", 0o600) }, "advice: the token has fewer than 16 characters, so it can be guessed: openssl rand -hex 24 > "},
	{"token", func(w *world) {
		w.Config.AuthPolicy.Token = "of-the-records1"
		w.dovecotSet("auth_policy_server_api_header", "X-Api-Key: of-the-records1")
	}, "advice: the token has fewer than 16 characters"},
	{"anvil", func(w *world) { w.Dovecot.Sections = nil }, "problem: Dovecot's own penalty is on"},
	{"daemon", func(w *world) { w.Status.Config = "/root/other.toml" }, "advice: the daemon that answers runs with /root/other.toml"},
	{"daemon", func(w *world) { w.Status.Loaded = noon.Add(-2 * time.Hour) }, `advice: the file has been changed since the daemon read it (its mode is "enforce")`},
	{"daemon", func(w *world) { w.Status.Store.Up, w.Status.Store.Error = false, "disk full" }, "problem: the store cannot be written (disk full)"},
	{"reports", func(w *world) { w.Status.Counts.AuthReports = 0 }, "problem: the daemon runs for 48h0m0s, and Dovecot has told it of no login"},
	{"reports", func(w *world) { w.Status.Counts.AuthReports, w.Status.Since = 0, noon.Add(-2*time.Hour) }, "advice: the daemon runs for 2h0m0s"},
	{"talkers", func(w *world) { w.talk(201, 150, 1) }, "advice: 201 of the 1000 logins since"},
	{"talkers", func(w *world) { w.talk(30, 1, 5) }, "for at least 5 accounts and mostly with the right password"},
	{"clock", func(w *world) { w.Synced = func() (bool, bool) { return true, false } }, "advice: the kernel's clock is not synchronised"},
	{"clock", func(w *world) { w.Stat = func(string) (time.Time, error) { return noon.Add(time.Hour), nil } }, "problem: the clock says 2026-11-22T12:00:00Z, but the store was written 1h0m0s later"},
	{"clock", func(w *world) { w.Status.Since = noon.Add(time.Hour) }, "but the daemon was started 1h0m0s later"},
}

// unset removes main.cf's parameters of a prefix.
func (w *world) unset(prefix string) {
	for name := range w.Postfix.Main {
		if strings.HasPrefix(name, prefix) {
			delete(w.Postfix.Main, name)
		}
	}
}

// Every check fires on a host that is broken in one place, of either release,
// and says in which file and what to do.
func TestBrokenHosts(t *testing.T) {
	seen := map[string]bool{}
	for _, cases := range [][]fires{postfixCases, sessionCases, dovecotCases, directoryCases} {
		for _, tt := range cases {
			seen[tt.check] = true
			for _, release := range []string{"bookworm", "trixie"} {
				w := hostOf(t, release+"-milter")
				tt.broken(w)
				severity, sentence, split := strings.Cut(tt.want, ": ")
				if severity != string(Problem) && severity != string(Advice) || !split {
					severity, sentence = "", tt.want
				}
				hit := false
				for _, f := range w.found(tt.check) {
					hit = hit || strings.HasPrefix(f, severity) && strings.Contains(f, sentence)
					if _, where, _ := strings.Cut(f, ": "); !filepath.IsAbs(where) || strings.HasSuffix(f, ": ") {
						t.Errorf("%s: no file or no remedy in %q", tt.check, f)
					}
				}
				if !hit {
					t.Errorf("%s: %s found %q, not %q", release, tt.check, w.found(tt.check), tt.want)
				}
			}
		}
	}
	for _, c := range Checks() {
		if !seen[c.Name] {
			t.Errorf("no host makes %s fire", c.Name)
		}
	}
}

// A token is never shown.
func TestTokenIsNeverShown(t *testing.T) {
	w := hostOf(t, "trixie-milter")
	w.dovecotSet("auth_policy_server_api_header", "X-Api-Key: another-secret")
	w.write(w.Config.AuthPolicy.TokenFile, "of-the-recorded-hosts\n", 0o644)
	for _, f := range w.Check().Findings {
		if strings.Contains(f.String(), "another-secret") || strings.Contains(f.String(), "of-the-recorded-hosts") {
			t.Errorf("%s", f.Problem)
		}
	}
}

// What rights or expressions keep from being looked at is said, and no problem.
func TestNotChecked(t *testing.T) {
	for want, broken := range map[string]func(w *world){
		"Dovecot's nonce and token: run this as root": func(w *world) {
			w.Root = false
			w.dovecotSet("auth_policy_hash_nonce", PublicNonce)
			w.dovecotSet("auth_policy_server_api_header", "")
		},
		"smtpd_data_restrictions of smtp/inet: an expression in ${…}": func(w *world) { w.option("smtp", "smtpd_data_restrictions", "${{a} == {b} ? {x} : {y}}") },
		"whether anybody answers at unix:/var/spool/postfix/portreeve/policy.sock": func(w *world) {
			w.dialErr["/var/spool/postfix/portreeve/policy.sock"] = fs.ErrPermission
		},
		"hash:/etc/postfix/networks in mynetworks":            func(w *world) { w.set("mynetworks", "127.0.0.0/8 [::1]/128 hash:/etc/postfix/networks") },
		"the domains of mysql:/etc/postfix/domains.cf":        func(w *world) { w.set("virtual_mailbox_domains", "mysql:/etc/postfix/domains.cf") },
		"hash:/etc/postfix/secret in virtual_mailbox_domains": func(w *world) { w.set("virtual_mailbox_domains", "hash:/etc/postfix/secret") },
		"/nosuch/domains in virtual_mailbox_domains":          func(w *world) { w.set("virtual_mailbox_domains", "/nosuch/domains") },
		"whether Postfix reaches its sockets (no such user): is": func(w *world) {
			w.Who = func(string) (Identity, error) { return Identity{}, errors.New("no such user") }
		},
	} {
		w := hostOf(t, "bookworm-milter")
		broken(w)
		r := w.Check()
		if !strings.Contains(strings.Join(r.NotChecked, "\n"), want) {
			t.Errorf("not checked is %q, want %q", r.NotChecked, want)
		}
		for _, f := range r.Findings {
			if f.Check != "policy" || !strings.HasPrefix(want, "smtpd_data") {
				t.Errorf("%s: %s: %s", want, f.Check, f.Problem)
			}
		}
	}
}

// Listed proxies, few logins, few reports: no reason to speak.
func TestQuietTalkers(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"shared":       func(w *world) { w.talk(500, 0, 16); w.Config.Networks.Shared = networks("192.0.2.0/24") },
		"webmail":      func(w *world) { w.talk(500, 0, 16); w.Config.Networks.Webmail = networks("192.0.2.7/32") },
		"a household":  func(w *world) { w.talk(150, 0, 4) },
		"a guesser":    func(w *world) { w.talk(150, 150, 16) },
		"a new daemon": func(w *world) { w.talk(90, 0, 16); w.Status.Talkers.Reports = 99 },
	} {
		w := hostOf(t, "bookworm-milter")
		change(w)
		if list := w.found("talkers"); len(list) > 0 {
			t.Errorf("%s: %q", name, list)
		}
	}
}
