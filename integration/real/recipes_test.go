package real

import (
	"strings"
	"testing"
)

// What each recipe changes of a host, besides what all have.
func TestRecipes(t *testing.T) {
	const (
		file = "maillog_file = /h/mail.log"
		asks = "http://127.77.0.1:9192/"
	)
	for recipe, want := range map[string]struct{ set, policyURL string }{
		RecipeMilter:    {file, asks},
		RecipePolicy:    {file, asks},
		RecipeSASL:      {"smtpd_sasl_path = portreeve/sasl.sock, " + file, asks},
		RecipeSASLDB:    {"smtpd_sasl_type = cyrus, smtpd_sasl_path = smtpd, cyrus_sasl_config_path = /h/postfix/sasl, " + file, ""},
		RecipeSASLAuthd: {"smtpd_sasl_type = cyrus, smtpd_sasl_path = smtpd, cyrus_sasl_config_path = /h/postfix/sasl, " + file, ""},
		RecipeSyslog:    {"", ""},
	} {
		i := &Instance{Options: Options{Dir: "/h", Addr: address(1), Recipe: recipe}}
		var set []string
		for _, line := range i.overrides() {
			if strings.HasPrefix(line, "smtpd_sasl") || strings.HasPrefix(line, "cyrus") || strings.HasPrefix(line, "maillog_file =") {
				set = append(set, line)
			}
		}
		if got := strings.Join(set, ", "); got != want.set {
			t.Errorf("%s sets %s, want %s", recipe, got, want.set)
		}
		if got := i.policyURL(); got != want.policyURL {
			t.Errorf("%s: Dovecot asks %q, want %q", recipe, got, want.policyURL)
		}
	}
	if len(recipes) != 6 {
		t.Errorf("there are %d recipes; test all of them here", len(recipes))
	}
}

// Cyrus SASL has the service's name in its digests, and the clients say smtp.
func TestServiceNames(t *testing.T) {
	fragment := contrib(t, "postfix/master.cf")
	for recipe, want := range map[string]int{RecipeMilter: 2, RecipeSASLDB: 0, RecipeSASLAuthd: 0} {
		i := &Instance{Options: Options{Recipe: recipe}}
		got := string(i.serviceNames([]byte(fragment)))
		if n := strings.Count(got, "-o smtpd_sasl_service=submission\n"); n != want {
			t.Errorf("%s: %d services are called submission, want %d", recipe, n, want)
		}
		if n := strings.Count(got, "-o smtpd_sasl_service="); n != 3 {
			t.Errorf("%s: %d services have a name, want 3", recipe, n)
		}
	}
}
