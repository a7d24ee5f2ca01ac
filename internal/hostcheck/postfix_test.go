package hostcheck

import (
	"strings"
	"testing"

	"portreeve/internal/config"
)

// As printed by postconf -M of Postfix 3.7.
const listing = `smtp       inet  n       -       y       -       -       smtpd -o smtpd_milters=unix:portreeve/milter.sock
submission inet  n       -       y       -       -       smtpd -o smtpd_milters=unix:portreeve/milter.sock
2525       inet  n       -       y       -       -       smtpd -o smtpd_milters=unix:portreeve/milter.sock
[::1]:2526 inet  n       -       y       -       -       smtpd -o smtpd_relay_restrictions=check_policy_service,unix:/run/p/policy.sock
127.0.0.1:10025 inet n   -       n       -       -       smtpd -o smtpd_milters=
pickup     unix  n       -       y       60      1       pickup
nosuchname inet  n       -       y       -       -       smtpd -o smtpd_milters=unix:portreeve/milter.sock
`

func TestPortsInNeitherList(t *testing.T) {
	c := config.Default()
	c.Path = "/etc/portreeve/portreeve.toml"
	c.Listen.Policy.Addr = "/run/p/policy.sock"
	problems := Ports(c, Services(listing))
	if len(problems) != 2 {
		t.Fatalf("problems: %v", problems)
	}
	for i, want := range []string{"service 2525 asks Portreeve", "service [::1]:2526 asks Portreeve"} {
		if got := problems[i].String(); !strings.Contains(got, want) || !strings.HasSuffix(got, "to one of the two") {
			t.Errorf("got %q, want %q and a remedy", got, want)
		}
	}
	c.Ports.Submission = append(c.Ports.Submission, 2525, 2526)
	if problems := Ports(c, Services(listing)); len(problems) != 0 {
		t.Errorf("listed ports: %v", problems)
	}
}
