package setup

import (
	"strings"
	"testing"

	"portreeve/internal/hostcheck/postfix"
)

func parsed(t *testing.T, text string) list {
	t.Helper()
	l, err := postfix.Restrictions(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestMergeRelay(t *testing.T) {
	const (
		net, dst, login = "permit_mynetworks", "permit_auth_destination", "permit_sasl_authenticated"
		no              = "reject_unauth_destination"
	)
	for _, tt := range []struct{ mixed, submission, have string }{
		{net + ", " + dst + ", ASK, " + login + ", " + no, net + ", ASK, " + login + ", reject", net + ", " + login + ", defer_unauth_destination"},
		{net + ", " + dst + ", ASK, " + login + ", " + no, net + ", ASK, " + login + ", reject", login + " " + net + " " + no},
		{net + ", " + dst + ", ASK, " + login + ", reject", net + ", ASK, " + login + ", reject", net + ", " + login + ", reject"},
		{dst + ", ASK, " + login + ", reject", "ASK, " + login + ", reject", login + ", reject"},
		{net + ", " + dst + ", ASK, " + login + ", " + no, net + ", " + dst + ", ASK, " + login + ", " + no, net + ", " + dst + ", " + login + ", " + no},
		{"permit_tls_clientcerts, permit_mx_backup, " + dst + ", ASK, " + login + ", " + no, "permit_tls_clientcerts, permit_mx_backup, ASK, " + login + ", " + no, login + ", permit_tls_clientcerts, permit_mx_backup, " + no},
		{"check_client_access cidr:/x, " + dst + ", ASK, " + login + ", " + no, "check_client_access cidr:/x, ASK, " + login + ", " + no, "check_client_access cidr:/x, " + login + ", " + no},
		{"ERROR", "ASK, " + login + ", reject_unknown_recipient_domain, reject", login + ", reject_unknown_recipient_domain, reject"},
		{dst + ", ASK, " + login + ", reject, check_client_access cidr:/x", "ASK, " + login + ", reject, check_client_access cidr:/x", login + ", reject, check_client_access cidr:/x"},
		{"ERROR", "ERROR", login + ", our_class, " + no},
		{"ERROR", "ERROR", login + ", check_recipient_access hash:/x, " + no},
		{"ERROR", "ASK, " + login + ", " + no + ", check_recipient_access hash:/x", login + ", " + no + ", check_recipient_access hash:/x"},
		{dst + ", ASK", "ASK", ""},
	} {
		for mixed, want := range map[bool]string{true: tt.mixed, false: tt.submission} {
			l, err := mergeRelay(parsed(t, tt.have), postfix.Restriction{Name: "ASK"}, mixed)
			got := postfix.FormatRestrictions(l)
			if err != nil {
				got = "ERROR"
				if !strings.HasSuffix(err.Error(), "run setup again then") {
					t.Errorf("%q: no remedy in %v", tt.have, err)
				}
			}
			if got != want {
				t.Errorf("%q, mixed=%v: got %q, want %q", tt.have, mixed, got, want)
			}
		}
	}
}

func TestMergeOtherLists(t *testing.T) {
	ask := postfix.Restriction{Name: "ASK"}
	for have, want := range map[string]string{
		"":                                      "ASK",
		"reject_unauth_pipelining":              "reject_unauth_pipelining, ASK",
		"reject_unauth_pipelining, permit":      "reject_unauth_pipelining, ASK, permit",
		"permit_mynetworks, reject_multi":       "ASK, permit_mynetworks, reject_multi",
		"sleep 1, permit_sasl_authenticated, x": "sleep 1, ASK, permit_sasl_authenticated, x",
	} {
		if got := postfix.FormatRestrictions(mergeData(parsed(t, have), ask)); got != want {
			t.Errorf("data %q: got %q, want %q", have, got, want)
		}
	}
	if got := postfix.FormatRestrictions(mergeSender(parsed(t, "permit_mynetworks, reject"), ask)); got != "ASK, permit_mynetworks, reject" {
		t.Errorf("sender: %q", got)
	}
}

func TestGate(t *testing.T) {
	for text, want := range map[string]bool{
		"permit_sasl_authenticated, reject":                  true,
		"permit_mynetworks permit_sasl_authenticated reject": true,
		"permit_sasl_authenticated":                          false,
		"reject":                                             false,
		"":                                                   false,
		"permit_sasl_authenticated, reject_unknown_sender_domain":       false,
		"reject_non_fqdn_sender, permit_sasl_authenticated, reject":     false,
		"permit_sasl_authenticated, reject, check_sender_access hash:x": false,
	} {
		if got := gate(parsed(t, text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
