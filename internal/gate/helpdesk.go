package gate

import (
	"time"

	"portreeve/rules"
)

// LapsedFor is how long a POP grant that has ended is remembered, so that a
// refusal after it can say so.
const LapsedFor = 24 * time.Hour

// lapse looks for the grants of the client's address that have ended.
func (f *facts) lapse() {
	p := f.s.Policy
	if !p.POP.Enabled || f.r.Stage.AtAuth() || !f.r.Client.IsValid() || p.ManyPeople(f.r.Client) {
		return
	}
	all := f.g.Ledger.Grants(f.r.Client, f.r.Time, p.POP.Validity+LapsedFor)
	f.lapsed = all[min(len(f.Grants()), len(all)):] // both have the latest first
}

// repeated numbers the failures that are one wrong password of one login, from
// 1; 0 is one that is like no other. The hash itself is kept nowhere but in
// the ledger.
func repeated(list []rules.Failure) []int {
	type attempt struct{ login, password string }
	times := map[attempt]int{}
	for _, f := range list {
		times[attempt{f.Login, f.Password}]++
	}
	numbers := make([]int, len(list))
	known := map[attempt]int{}
	for i, f := range list {
		a := attempt{f.Login, f.Password}
		if f.Password == "" || times[a] == 1 {
			continue
		}
		if known[a] == 0 {
			known[a] = len(known) + 1
		}
		numbers[i] = known[a]
	}
	return numbers
}
