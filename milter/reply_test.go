package milter

import (
	"testing"

	"portreeve/rules"
)

// TestReplyCode pins the form that Postfix takes (FACTS.md 1.2): anything else
// would put the milter in error for the rest of the SMTP session.
func TestReplyCode(t *testing.T) {
	const instead = "451 4.3.0 temporary failure, try again later\x00"
	for want, r := range map[string]rules.Reply{
		"550 5.1.0 <a%%b@c.cz> sender rejected\x00": {Code: 550, Enhanced: "5.1.0", Text: "<a%b@c.cz> sender rejected"},
		"451 4.3.0 100%%%% ü\x00":                   {Code: 451, Enhanced: "4.3.0", Text: "100%% ü"},
		"550 5.1.0 a??b?c?\x00":                     {Code: 550, Enhanced: "5.1.0", Text: "a\r\nb\x00c\x7f"},
	} {
		if m := replyCode(r).Response(); m.Code != 'y' || string(m.Data) != want {
			t.Errorf("%+v: %c%q, want %q", r, m.Code, m.Data, want)
		}
	}
	for _, r := range []rules.Reply{
		{},
		{Code: 250, Enhanced: "2.0.0", Text: "ok"},
		{Code: 550, Enhanced: "4.7.1", Text: "x"},
		{Code: 550, Text: "2 left"},
		{Code: 600, Enhanced: "6.0.0"},
		{Code: 55, Enhanced: "5.1.0"},
	} {
		m := replyCode(r)
		if string(m.Response().Data) != instead || !m.Continue() {
			t.Errorf("%+v: %q", r, m.Response().Data)
		}
	}
}
