package real

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func contrib(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../contrib", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// services splits a master.cf into its entries, comments left out.
func services(text string) map[string]string {
	all, name := map[string]string{}, ""
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		if line[0] != ' ' {
			name = strings.Fields(line)[0]
		}
		all[name] += line
	}
	return all
}

var blanks = regexp.MustCompile(`\s+`)

func TestPortsOfBothRecipes(t *testing.T) {
	tests := []struct {
		service string
		has     []string // in both recipes
		milter  string   // milter_default_action
	}{
		{"smtp", []string{"smtpd_tls_security_level=may", "smtpd_sasl_service=smtp", "=$portreeve_mx_relay"}, "accept"},
		{"submission", []string{"smtpd_tls_security_level=may", "smtpd_sasl_service=submission", "=$portreeve_submission_relay"}, "tempfail"},
		{"submissions", []string{"smtpd_tls_wrappermode=yes", "smtpd_sasl_service=submission", "=$portreeve_submission_relay"}, "tempfail"},
	}
	milter, policy := services(contrib(t, "postfix/master.cf")), services(contrib(t, "postfix/policy-only/master.cf"))
	for _, tt := range tests {
		for _, want := range append(tt.has, "smtpd_sasl_auth_enable=yes") {
			if !strings.Contains(milter[tt.service], want) || !strings.Contains(policy[tt.service], want) {
				t.Errorf("%s lacks %s in a recipe", tt.service, want)
			}
		}
		if !strings.Contains(milter[tt.service], "-o milter_default_action="+tt.milter+"\n") {
			t.Errorf("%s: the milter's default action is not %s", tt.service, tt.milter)
		}
		if strings.Contains(policy[tt.service], "milter") {
			t.Errorf("%s: a milter in the recipe without one", tt.service)
		}
	}
	if len(milter) != len(tests) || len(policy) != len(tests) {
		t.Errorf("services: %d and %d, want %d", len(milter), len(policy), len(tests))
	}
}

// SPEC.md section 6 gives this list; policy-only has the same.
func TestRelayRestrictionsOfPort25(t *testing.T) {
	want := regexp.MustCompile(`portreeve_mx_relay = permit_mynetworks, permit_auth_destination, ` +
		`check_policy_service \{ unix:portreeve/policy\.sock, policy_context=relay, ` +
		`\{ default_action=451 4\.3\.5 [^}]+ \} \}, permit_sasl_authenticated, reject_unauth_destination`)
	for _, file := range []string{"postfix/main.cf", "postfix/policy-only/main.cf"} {
		text := contrib(t, file)
		if !want.MatchString(blanks.ReplaceAllString(text, " ")) {
			t.Errorf("%s: the relay restrictions of port 25 are not SPEC.md's", file)
		}
		if regexp.MustCompile(`(?m)^(non_)?smtpd_milters`).MatchString(text) {
			t.Errorf("%s sets milters for every service", file)
		}
	}
}

// The two fragments for Dovecot differ in one comment line and the version.
func TestDovecotFragmentsAgree(t *testing.T) {
	old := strings.NewReplacer(
		"Dovecot 2.3 (Debian 12)", "Dovecot 2.4 (Debian 13)",
		"#disable_plaintext_auth = no", "#auth_allow_cleartext = yes",
	).Replace(contrib(t, "dovecot/portreeve-2.3.conf"))
	if old != contrib(t, "dovecot/portreeve-2.4.conf") {
		t.Error("portreeve-2.3.conf and portreeve-2.4.conf have drifted apart; change both")
	}
}

func TestBind(t *testing.T) {
	i := &Instance{Options: Options{Addr: address(1)}}
	got := string(i.bind([]byte("# smtp inet\nsmtp      inet  n\nsubmissions inet n\nsmtp unix\n  -o x=smtp\n")))
	if want := "# smtp inet\n127.77.0.1:smtp      inet  n\n127.77.0.1:submissions inet n\nsmtp unix\n  -o x=smtp\n"; got != want {
		t.Errorf("got %q", got)
	}
}
