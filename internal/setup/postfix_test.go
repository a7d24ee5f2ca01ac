package setup

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portreeve/internal/hostcheck/postfix"
	"portreeve/internal/listen"
)

// contribution is a recipe of contrib/postfix, as a host would have it.
func contribution(t *testing.T, dir string, files map[string]string) *postfix.Config {
	t.Helper()
	own := map[string]string{"postconf-names": files["postconf-names"]}
	for _, name := range []string{"main.cf", "master.cf"} {
		data, err := os.ReadFile(filepath.Join("../../contrib/postfix", dir, name))
		if err != nil {
			t.Fatal(err)
		}
		own[name] = string(data)
	}
	return conf(t, own)
}

// Debian's own configuration ends as contrib/postfix describes: every option of
// every service there has the same effect here.
func TestDebianBecomesContrib(t *testing.T) {
	for _, release := range releases {
		for dir, recipe := range map[string]Recipe{".": RecipeMilter, "policy-only": RecipePolicy} {
			h := hostOf(t, release+"-default")
			if recipe == RecipePolicy {
				h.conf.Listen.Milter = listen.Address{}
			}
			before := h.files["main.cf"] + h.files["master.cf"]
			p := h.apply()
			for _, want := range contribution(t, dir, h.files).Services {
				for _, o := range want.Options {
					wanted, err := want.Value(o.Name)
					if err != nil {
						t.Fatal(err)
					}
					if got := h.value(want.Name, o.Name); got != strings.Join(strings.Fields(wanted), " ") {
						t.Errorf("%s, %s: %s of %s is %q, contrib has %q", release, recipe, o.Name, want.Name, got, wanted)
					}
				}
			}
			for _, c := range p.Changes {
				if strings.Contains(c.Diff, "\n-") {
					t.Errorf("%s, %s: something of Debian's is lost:\n%s", release, recipe, c.Diff)
				}
			}
			if after := h.files["main.cf"] + h.files["master.cf"]; len(after) <= len(before) {
				t.Errorf("%s, %s: nothing was added", release, recipe)
			}
		}
	}
}

// The texts are those that real Postfixes were recorded with.
func TestRecordsAreWhatIsPlanned(t *testing.T) {
	for _, release := range releases {
		for to, from := range map[string]string{"milter": "default", "policy-only": "default", "admin-milter": "admin"} {
			h := hostOf(t, release+"-"+from)
			if to == "policy-only" {
				h.conf.Listen.Milter = listen.Address{}
			}
			h.apply()
			want := recorded(t, release+"-"+to)
			for _, name := range []string{"main.cf", "master.cf"} {
				if h.files[name] != want[name] {
					t.Errorf("%s: the plan for %s has changed since the record was made; run testdata/record.sh of hostcheck", release+"-"+to, name)
				}
			}
		}
	}
}

const (
	ourMilter  = "unix:portreeve/milter.sock"
	relayAsked = "check_policy_service { unix:portreeve/policy.sock, policy_context=relay, " + retryRelay + " }"
	dataAsked  = "check_policy_service { unix:portreeve/policy.sock, default_action=DUNNO }"
)

func TestAdministratorsOwn(t *testing.T) {
	for _, release := range releases {
		h := hostOf(t, release+"-admin")
		p := h.apply()
		others := ", inet:127.0.0.1:8891, inet:127.0.0.1:11332"
		for _, tt := range []struct{ service, name, want string }{
			{"smtp", "smtpd_milters", "{ " + ourMilter + ", default_action=accept }" + others},
			{"smtp", "milter_default_action", "accept"},
			{"smtp", "smtpd_relay_restrictions", "permit_mynetworks, permit_auth_destination, " + relayAsked + ", permit_sasl_authenticated, reject_unauth_destination"},
			{"smtp", "smtpd_recipient_restrictions", "reject_non_fqdn_recipient, reject_rbl_client zen.example.net"},
			{"smtp", "smtpd_data_restrictions", "reject_unauth_pipelining, " + dataAsked + ", permit"},
			{"submission", "smtpd_milters", "{ " + ourMilter + ", default_action=tempfail }" + others},
			{"submission", "milter_default_action", "accept"}, // the other milters'
			{"submission", "smtpd_tls_security_level", "encrypt"},
			{"submission", "smtpd_relay_restrictions", relayAsked + ", permit_sasl_authenticated, reject"}, // no permit_mynetworks: there was none
			{"submission", "smtpd_recipient_restrictions", ""},
			{"smtps", "smtpd_client_restrictions", ""},
			{"smtps", "smtpd_relay_restrictions", relayAsked + ", permit_sasl_authenticated, reject"},
			{"127.0.0.1:10025", "smtpd_milters", ""},
			{"127.0.0.1:10025", "smtpd_relay_restrictions", "permit_mynetworks,reject"},
		} {
			if got := h.value(tt.service, tt.name); got != tt.want {
				t.Errorf("%s: %s of %s is\n%q, want\n%q", release, tt.name, tt.service, got, tt.want)
			}
		}
		if len(h.service("smtps").Options) < 5 || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "offers AUTH") {
			t.Errorf("%s: notes %q", release, p.Notes)
		}
		main := postfix.ParseMain(h.files["main.cf"])
		for name, want := range map[string]string{"smtpd_milters": "inet:127.0.0.1:8891, inet:127.0.0.1:11332", "non_smtpd_milters": "inet:127.0.0.1:8891", "milter_default_action": "accept"} {
			if got := main.Value(name); got != want {
				t.Errorf("%s: %s is %q", release, name, got)
			}
		}
	}
}

// Each host is set up, and one value then looked at.
func TestHosts(t *testing.T) {
	relay := func(h *host) *host {
		return h.main("permit_mynetworks permit_sasl_authenticated defer_unauth_destination", "permit_mynetworks, check_client_access hash:/etc/postfix/relays, permit_sasl_authenticated, defer_unauth_destination")
	}
	for name, tt := range map[string]struct {
		host                 func(h *host) *host
		service, param, want string
	}{
		"look-ups of relays stay ahead": {
			relay, "smtp", "smtpd_relay_restrictions",
			"permit_mynetworks, check_client_access hash:/etc/postfix/relays, permit_auth_destination, " + relayAsked + ", permit_sasl_authenticated, defer_unauth_destination",
		},
		"and submission follows main.cf": {relay, "submission", "smtpd_relay_restrictions", "permit_mynetworks, " + relayAsked + ", permit_sasl_authenticated, reject"},
		"relaying decided for recipients": {func(h *host) *host {
			return h.main("permit_mynetworks permit_sasl_authenticated defer_unauth_destination", "").main("", "smtpd_recipient_restrictions = permit_sasl_authenticated, permit_mynetworks,\n  reject_unauth_destination, reject_rbl_client zen.example.net")
		}, "smtp", "smtpd_relay_restrictions", "permit_mynetworks, permit_auth_destination, " + relayAsked + ", permit_sasl_authenticated, reject_unauth_destination"},
		"a list by its name": {func(h *host) *host {
			return h.main("permit_mynetworks permit_sasl_authenticated defer_unauth_destination", "$our_relay").main("", "our_relay = permit_mynetworks, permit_tls_clientcerts, permit_sasl_authenticated, reject_unauth_destination")
		}, "smtp", "smtpd_relay_restrictions", "permit_mynetworks, permit_tls_clientcerts, permit_auth_destination, " + relayAsked + ", permit_sasl_authenticated, reject_unauth_destination"},
		"our milter in main.cf": {func(h *host) *host {
			return h.main("", "smtpd_milters = unix:portreeve/milter.sock, inet:127.0.0.1:8891")
		}, "smtp", "smtpd_milters", "{ " + ourMilter + ", default_action=accept }, inet:127.0.0.1:8891"},
		"and no more for re-injection": {func(h *host) *host {
			return h.main("", "smtpd_milters = unix:portreeve/milter.sock").master("", "127.0.0.1:10025 inet n - n - - smtpd -o content_filter=")
		}, "127.0.0.1:10025", "smtpd_milters", ""},
		"our milter behind others": {func(h *host) *host {
			return h.master("", "2587 inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_milters=inet:127.0.0.1:8891,unix:portreeve/milter.sock")
		}, "2587", "smtpd_milters", "{ " + ourMilter + ", default_action=tempfail }, inet:127.0.0.1:8891"},
		"our socket by its other name": {func(h *host) *host {
			return h.master("", "2587 inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes -o milter_default_action=tempfail -o smtpd_milters=unix:/var/spool/postfix/portreeve/milter.sock")
		}, "2587", "smtpd_milters", "unix:/var/spool/postfix/portreeve/milter.sock"},
		"a call of his own":       {func(h *host) *host { return h.own("{ unix:portreeve/policy.sock, timeout=20s, policy_context=relay }") }, "smtp", "smtpd_relay_restrictions", "permit_mynetworks, permit_auth_destination, check_policy_service { unix:portreeve/policy.sock, timeout=20s, policy_context=relay }, permit_sasl_authenticated, reject"},
		"a call without context":  {func(h *host) *host { return h.own("unix:portreeve/policy.sock") }, "smtp", "smtpd_relay_restrictions", "permit_mynetworks, permit_auth_destination, " + relayAsked + ", permit_sasl_authenticated, reject"},
		"a call in another place": {func(h *host) *host { return h.own("{ unix:portreeve/old.sock, policy_context=relay }") }, "smtp", "smtpd_relay_restrictions", "permit_mynetworks, permit_auth_destination, " + relayAsked + ", permit_sasl_authenticated, reject"},
		"early refusals":          {func(h *host) *host { return h.main("", "smtpd_delay_reject = no") }, "submission", "smtpd_delay_reject", "yes"},
		"early refusals on 25":    {func(h *host) *host { return h.main("", "smtpd_delay_reject = no") }, "smtp", "smtpd_delay_reject", "yes"},
		"no STARTTLS until now":   {func(h *host) *host { return h.noTLS() }, "smtp", "smtpd_tls_security_level", "may"},
		"AUTH forbidden on 25": {func(h *host) *host {
			return h.master("smtp      inet  n       -       y       -       -       smtpd\n", "smtp inet n - y - - smtpd -o smtpd_sasl_auth_enable=no\n")
		}, "smtp", "smtpd_sasl_auth_enable", "no"},
		"postscreen": {func(h *host) *host {
			return h.master("smtp      inet  n       -       y       -       -       smtpd\n#smtp ", "smtp      ").master("#smtpd     pass", "smtpd     pass")
		}, "smtpd", "smtpd_milters", ourMilter},
		"a socket over TCP": {func(h *host) *host {
			h.conf.Listen.Milter = listen.Address{Network: "tcp", Addr: "0.0.0.0:9194"}
			return h
		}, "smtp", "smtpd_milters", "inet:127.0.0.1:9194"},
	} {
		t.Run(name, func(t *testing.T) {
			h := tt.host(hostOf(t, "bookworm-default"))
			h.conf.Ports.Submission = append(h.conf.Ports.Submission, 2587)
			h.apply()
			if got := h.value(tt.service, tt.param); got != tt.want {
				t.Errorf("%s of %s is\n%q, want\n%q\n%s", tt.param, tt.service, got, tt.want, h.files["main.cf"])
			}
		})
	}
}

// own is a host whose port 25 asks by a list of its own.
func (h *host) own(call string) *host {
	return h.main("permit_mynetworks permit_sasl_authenticated defer_unauth_destination", "permit_mynetworks, permit_sasl_authenticated, check_policy_service "+call+", reject")
}

func (h *host) noTLS() *host {
	return h.main("\nsmtpd_tls_security_level=may\n", "\nsmtpd_tls_security_level=none\n")
}

func TestBlockers(t *testing.T) {
	for want, change := range map[string]func(h *host){
		"listen.policy is off":                 func(h *host) { h.conf.Listen.Policy = listen.Address{} },
		"listen.milter is off":                 func(h *host) { h.conf.Listen.Milter, h.in.Recipe = listen.Address{}, RecipeMilter },
		`policy-only needs listen.milter = ""`: func(h *host) { h.in.Recipe = RecipePolicy },
		"outside Postfix's queue directory":    func(h *host) { h.conf.Listen.Milter.Addr = "/run/portreeve/milter.sock" },
		`has the argument "Instead"`: func(h *host) {
			h.master("smtp      inet  n       -       y       -       -       smtpd\n#", "smtp inet n - y - - smtpd\n  Instead of it\n#")
		},
		"turns milters off":                   func(h *host) { h.main("", "receive_override_options = no_milters") },
		`a "{" without its "}"`:               func(h *host) { h.main("", "smtpd_data_restrictions = check_policy_service { unix:x") },
		"check_client_access has no argument": func(h *host) { h.main("", "smtpd_data_restrictions = check_client_access") },
		"may let clients relay whom Portreeve": func(h *host) {
			h.relayList("permit_sasl_authenticated, check_client_access cidr:/x, reject_unauth_destination")
		},
		"would be skipped by permit_auth_dest": func(h *host) {
			h.relayList("permit_sasl_authenticated, reject_unauth_destination, check_recipient_access hash:/x")
		},
		"an expression in ${…}": func(h *host) { h.master("", "2587 inet n - n - - smtpd -o smtpd_milters=${{a}=={b}?{c}:{d}}") },
		"smtpd_relay_restrictions of 2587/inet: an": func(h *host) {
			h.master("", "2587 inet n - n - - smtpd -o smtpd_relay_restrictions=${{a}=={b}?{c}:{d}}")
		},
	} {
		h := hostOf(t, "trixie-default")
		h.conf.Ports.Submission = append(h.conf.Ports.Submission, 2587)
		change(h)
		p := h.plan()
		if len(p.Blockers) == 0 || !strings.Contains(strings.Join(p.Blockers, "\n"), want) {
			t.Errorf("blockers are %q, want %q", p.Blockers, want)
		}
		if _, err := Apply(p, Backups{t.TempDir()}, noon, nil); err == nil {
			t.Errorf("%s: it is applied all the same", want)
		}
	}
}

func (h *host) relayList(list string) {
	h.main("permit_mynetworks permit_sasl_authenticated defer_unauth_destination", "permit_mynetworks, "+list)
}

func TestNewServices(t *testing.T) {
	h := hostOf(t, "trixie-default")
	h.in.OnlyExisting = true
	if p := h.apply(); strings.Contains(h.files["master.cf"], "\nsubmission") || !strings.Contains(strings.Join(p.Notes, " "), "nobody serves port 587") {
		t.Errorf("only existing: notes %q", p.Notes)
	}
	h = hostOf(t, "trixie-default").main("smtpd_tls_cert_file = /etc/ssl/certs/ssl-cert-snakeoil.pem\n", "smtpd_tls_cert_file =\n")
	if p := h.apply(); strings.Contains(h.files["master.cf"], "\nsubmissions ") || !strings.Contains(strings.Join(p.Notes, " "), "needs a certificate") {
		t.Errorf("without a certificate: notes %q", p.Notes)
	}
	h = hostOf(t, "trixie-default").master("smtp      inet  n       -       y       -       -       smtpd\n#", "192.0.2.1:smtp inet n - n - - smtpd\n#")
	h.conf.Ports.Submission = []uint16{587, 2588}
	p := h.apply()
	if s := h.service("192.0.2.1:submission"); s.Chroot != "n" || s.Port != 587 {
		t.Errorf("the new service is %+v", s.Entry)
	}
	if text := strings.Join(p.Notes, " "); !strings.Contains(text, "lists 2588") || strings.Contains(h.files["master.cf"], "\n192.0.2.1:submissions") {
		t.Errorf("notes %q", p.Notes)
	}
	h = hostOf(t, "trixie-admin").main("", "#end")
	h.master("submissions     inet", "submissions     inet") // commented out: smtps serves the port
	h.apply()
	if strings.Contains(h.files["master.cf"], "\nsubmissions ") {
		t.Error("port 465 is served twice")
	}
}

// A new port is no way around the owners of addresses, while Portreeve observes.
func TestOwnedSenders(t *testing.T) {
	const settings = "smtpd_sender_login_maps = hash:/etc/postfix/owners\nsmtpd_sender_restrictions = reject_sender_login_mismatch, reject_unknown_sender_domain"
	for recipe, want := range map[Recipe]string{
		RecipeMilter: "reject_authenticated_sender_login_mismatch",
		RecipePolicy: "check_policy_service { unix:portreeve/policy.sock, { default_action=451 4.3.5 the sender cannot be checked now, try again later } }, reject_authenticated_sender_login_mismatch",
	} {
		h := hostOf(t, "trixie-default").main("", settings)
		if recipe == RecipePolicy {
			h.conf.Listen.Milter = listen.Address{}
		}
		h.apply()
		for _, name := range []string{"submission", "submissions"} {
			if got := h.value(name, "smtpd_sender_restrictions"); got != want {
				t.Errorf("%s: %s asks %q", recipe, name, got)
			}
		}
		if got := h.value("submission", "smtpd_end_of_data_restrictions"); strings.Contains(got, "mismatch") {
			t.Errorf("%s: the end of data asks %q", recipe, got)
		}
	}
}

// Two services with lists of their own get a parameter each, and a list that
// one of them has already is not given to the other.
func TestParametersOfSeveralServices(t *testing.T) {
	h := hostOf(t, "bookworm-milter").master("", "192.0.2.7:smtp inet n - y - - smtpd -o smtpd_relay_restrictions=permit_inet_interfaces,permit_sasl_authenticated,reject")
	h.apply()
	if got := h.value("smtp", "smtpd_relay_restrictions"); strings.Contains(got, "permit_inet_interfaces") {
		t.Errorf("smtp got the other's list: %q", got)
	}
	if raw, _ := h.service("192.0.2.7:smtp").Option("smtpd_relay_restrictions"); raw != "$portreeve_mx_relay_2" {
		t.Errorf("the second list is %q", raw)
	}
	if raw, _ := h.service("192.0.2.7:smtp").Option("smtpd_data_restrictions"); raw != "$portreeve_mx_data" {
		t.Errorf("an equal list is not shared: %q", raw)
	}
}

// A gate that is stricter than the relay list stays.
func TestGateThatStays(t *testing.T) {
	h := hostOf(t, "bookworm-default").master("", "2587 inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes\n  -o smtpd_client_restrictions=permit_sasl_authenticated,reject -o smtpd_relay_restrictions=permit_mynetworks,permit_tls_clientcerts,reject")
	h.conf.Ports.Submission = append(h.conf.Ports.Submission, 2587)
	p := h.apply()
	if got := h.value("2587", "smtpd_client_restrictions"); got != "permit_sasl_authenticated,reject" || !strings.Contains(strings.Join(p.Notes, " "), "smtpd_client_restrictions of 2587/inet stay") {
		t.Errorf("%q, notes %q", got, p.Notes)
	}
}

// At the end of the message the same list is asked, unless there was another.
func TestEndOfDataOfPolicyOnly(t *testing.T) {
	for have, want := range map[string]string{"": "$portreeve_mx_sender", "check_policy_service inet:127.0.0.1:10031": "$portreeve_mx_end_of_data"} {
		h := hostOf(t, "bookworm-default").main("", "smtpd_end_of_data_restrictions = "+have)
		h.conf.Listen.Milter = listen.Address{}
		h.apply()
		if raw, _ := h.service("smtp").Option("smtpd_end_of_data_restrictions"); raw != want {
			t.Errorf("%q becomes %q, want %q", have, raw, want)
		}
		if got := h.value("smtp", "smtpd_end_of_data_restrictions"); got != strings.TrimSuffix(dataAsked+", "+have, ", ") {
			t.Errorf("%q becomes %q", have, got)
		}
	}
}

func TestFromMilterToPolicyOnly(t *testing.T) {
	h := hostOf(t, "trixie-admin-milter")
	h.conf.Listen.Milter = listen.Address{}
	h.apply()
	if got := h.value("submission", "smtpd_milters"); got != "inet:127.0.0.1:8891,inet:127.0.0.1:11332" {
		t.Errorf("milters %q", got)
	}
	if got := h.value("submission", "smtpd_sender_restrictions"); got != "check_policy_service { unix:portreeve/policy.sock, "+retrySender+" }" {
		t.Errorf("sender restrictions %q", got)
	}
	if got := h.value("smtp", "smtpd_end_of_data_restrictions"); got != dataAsked {
		t.Errorf("end of data %q", got)
	}
}

func TestWhoChecksPasswords(t *testing.T) {
	relay := listen.Address{Network: "unix", Addr: "/var/spool/postfix/portreeve/sasl.sock"}
	for name, tt := range map[string]struct {
		host       func(h *host) *host
		kind, path string
	}{
		"nobody yet": {func(h *host) *host { return h }, "dovecot", "private/auth"},
		"the relay":  {func(h *host) *host { h.conf.Listen.SASL = relay; return h }, "dovecot", "portreeve/sasl.sock"},
		"the relay, no more": {func(h *host) *host {
			return h.main("", "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = portreeve/sasl.sock")
		}, "dovecot", "private/auth"},
		"Dovecot, by its path": {func(h *host) *host {
			return h.main("", "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = /run/dovecot/auth")
		}, "dovecot", "/run/dovecot/auth"},
		"Dovecot, without path": {func(h *host) *host { return h.main("", "smtpd_sasl_type = dovecot") }, "dovecot", "private/auth"},
		"Cyrus, in use":         {func(h *host) *host { h.in.Cyrus = true; return h.main("", "smtpd_sasl_auth_enable = yes") }, "", ""},
		"Cyrus, by one service": {func(h *host) *host {
			return h.master("smtp      inet  n       -       y       -       -       smtpd\n#smtp ", "smtp      inet  n       -       y       -       -       smtpd\n  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_sasl_type=cyrus\n#smtp ")
		}, "", ""},
		"AUTH on, and nobody behind it": {func(h *host) *host { return h.main("", "smtpd_sasl_auth_enable = yes") }, "dovecot", "private/auth"},
		"Dovecot, by one service": {func(h *host) *host {
			h.in.Cyrus = true // installed, and not asked
			return h.master("", "submission inet n - y - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_sasl_type=dovecot\n  -o smtpd_sasl_path=private/dovecot-auth")
		}, "dovecot", "private/dovecot-auth"},
	} {
		h := tt.host(hostOf(t, "bookworm-default"))
		p := h.apply()
		main := postfix.ParseMain(h.files["main.cf"])
		if kind, path := main.Value("smtpd_sasl_type"), main.Value("smtpd_sasl_path"); kind != tt.kind || path != tt.path {
			t.Errorf("%s: type %q, path %q; notes %q", name, kind, path, p.Notes)
		}
		want := "submission"
		if tt.kind == "" {
			want = "smtp" // whatever else Cyrus SASL takes for a service of its own
		}
		if got := h.value("submission", "smtpd_sasl_service"); got != want {
			t.Errorf("%s: smtpd_sasl_service is %q", name, got)
		}
	}
	h := hostOf(t, "trixie-admin")
	h.conf.Listen.SASL = relay
	h.conf.Networks.Trusted = []netip.Prefix{}
	h.apply()
	if got := h.value("submission", "smtpd_sasl_path"); got != "portreeve/sasl.sock" {
		t.Errorf("with the relay, submission asks at %q", got)
	}
}
