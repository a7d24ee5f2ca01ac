package policyd

import (
	"net/netip"
	"strings"
	"testing"

	"portreeve/rules"
)

// plainRequest is one of Postfix 3.7's at RCPT.
var plainRequest = []byte(strings.TrimPrefix(`
request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=198.51.100.7
client_name=dsl-7.provider.example
client_port=51234
reverse_client_name=dsl-7.provider.example
server_address=192.0.2.25
server_port=587
helo_name=pc.example
sender=jan.novak@domena.cz
recipient=somebody@elsewhere.example
recipient_count=0
queue_id=
instance=1a2b.691c3a40.0.0
size=2048
etrn_domain=
stress=
sasl_method=PLAIN
sasl_username=jan.novak@domena.cz
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=TLSv1.3
encryption_cipher=TLS_AES_256_GCM_SHA384
encryption_keysize=256
policy_context=

`, "\n"))

// BenchmarkParse finds the attributes.
func BenchmarkParse(b *testing.B) {
	var a attributes
	b.ReportAllocs()
	b.SetBytes(int64(len(plainRequest)))
	for b.Loop() {
		if _, err := a.parse(plainRequest); err != nil {
			b.Fatal(err)
		}
	}
}

// TestParseAllocatesNothing: the values are parts of the connection's buffer.
func TestParseAllocatesNothing(t *testing.T) {
	var a attributes
	if n := testing.AllocsPerRun(100, func() {
		if _, err := a.parse(plainRequest); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkTranslate copies what the rules will look at.
func BenchmarkTranslate(b *testing.B) {
	var (
		a attributes
		r rules.Request
	)
	if _, err := a.parse(plainRequest); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		a.fill(&r, rules.StageEnvelope)
	}
	if r.Client != netip.MustParseAddr("198.51.100.7") || r.Login != "jan.novak@domena.cz" {
		b.Errorf("%+v", r)
	}
}

// BenchmarkAnswer encodes a pass, and a refusal.
func BenchmarkAnswer(b *testing.B) {
	for name, d := range map[string]rules.Decision{
		"pass": {},
		"refuse": {Action: rules.Refuse, Reply: rules.Reply{
			Code: 550, Enhanced: "5.1.0", Text: "0l0tkyxd13Vm67WNY4Cw6K authentication failed",
		}},
	} {
		b.Run(name, func(b *testing.B) {
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				out = appendAnswer(out[:0], &d)
			}
		})
	}
}
