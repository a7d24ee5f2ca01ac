package rules

import "testing"

// free is a world in which every fact is at hand: what is measured is the rules.
type free struct {
	account Account
	group   []string
	tally   Tally
}

func (f *free) Tally() Tally                       { return f.tally }
func (f *free) Guesses(string) Tally               { return Tally{} }
func (f *free) HasLoggedIn(string) bool            { return false }
func (f *free) Failures() []Failure                { return nil }
func (f *free) Grants() []Grant                    { return nil }
func (f *free) Account(string) (*Account, State)   { return &f.account, Known }
func (f *free) Domains(string) ([]string, State)   { return f.group, Known }
func (f *free) Addresses(string) ([]string, State) { return nil, Known }
func (f *free) Senders(string) ([]string, State)   { return nil, Known }
func (f *free) Local(string) State                 { return Absent }
func (f *free) Room(string, Limits, bool) Room     { return Room{} }

// BenchmarkDecide is one decision at RCPT, where the policy service asks.
func BenchmarkDecide(b *testing.B) {
	passing := &free{account: Account{Login: "jan@domena.cz", SMTP: true}, group: []string{"domena.cz", "domena.eu"}}
	blocked := &free{tally: Tally{Count: 11, Block: "0l0tkyxd13Vm67WNY4Cw6K"}}
	for _, one := range []struct {
		name   string
		facts  *free
		sender string
		want   Rule
	}{
		{"pass", passing, "jan@domena.eu", ""},
		{"sender", passing, "jan@seznam.cz", RuleSender},
		{"throttled", blocked, "jan@domena.cz", RuleThrottled},
	} {
		b.Run(one.name, func(b *testing.B) {
			p, r := newPolicy(), request(StageEnvelope, stranger, 587, "jan@domena.cz", one.sender)
			b.ReportAllocs()
			for b.Loop() {
				if d := p.Decide(r, one.facts); d.Rule != one.want {
					b.Fatalf("%+v", d)
				}
			}
		})
	}
}
