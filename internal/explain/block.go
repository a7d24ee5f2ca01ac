package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"portreeve/internal/gate"
	"portreeve/ledger"
	"portreeve/rules"
)

// explainBlock says what led to the block, and how long it holds.
func (v *view) explainBlock() *Block {
	b := &Block{
		Prefix: rules.PrintableSender(firstOf(v.f.Prefix, v.Client)), Count: v.f.Count, Limit: v.f.Limit, Since: v.Time,
		Logins: tally(counted(v.f.Failures)), Text: []string{},
	}
	if v.f.BlockedSince != nil {
		b.Since = *v.f.BlockedSince
	}
	if v.f.BlockedUntil != nil {
		b.Until = *v.f.BlockedUntil
	}
	if now, ok := v.inForce(); ok {
		b.Until = now.Until.UTC() // failures that were under way have moved it
	} else {
		b.Over = true
	}
	b.CountOnce = b.Count
	for i := range b.Logins {
		b.Logins[i].Repeats = repeats(v.f.Failures, b.Logins[i].Login)
		b.CountOnce -= b.Logins[i].Repeats
		b.Text = append(b.Text, v.failedAs(b.Logins[i]))
	}
	b.CountOnce = max(b.CountOnce, 0)
	b.Spared = b.CountOnce <= b.Limit && b.CountOnce < b.Count
	return b
}

// inForce finds the block of this entry among those that hold now.
func (v *view) inForce() (ledger.Block, bool) {
	i := slices.IndexFunc(v.h.Blocks, func(b ledger.Block) bool { return b.ID == v.ID })
	if i < 0 {
		return ledger.Block{}, false
	}
	return v.h.Blocks[i], true
}

// counted leaves out the refusals at AUTH that count for nothing.
func counted(failures []gate.FailureFact) []gate.FailureFact {
	return slices.DeleteFunc(slices.Clone(failures), func(f gate.FailureFact) bool { return !f.Counted })
}

// repeats counts the login's failures that were one wrong password again.
func repeats(failures []gate.FailureFact, login string) int {
	times := map[int]int{}
	for _, f := range counted(failures) {
		if f.Login == login && login != "" && f.Same > 0 { // one that was not read has no password to repeat
			times[f.Same]++
		}
	}
	again := 0
	for _, n := range times {
		again += n - 1
	}
	return again
}

// timesAtMost is how many times of one login are written out.
const timesAtMost = 15

// failedAs is one login's failures in a line.
func (v *view) failedAs(l BlockedLogin) string {
	var times []string
	for i, t := range l.Times {
		if i == timesAtMost {
			times = append(times, "…")
			break
		}
		times = append(times, v.h.local(t).Format("15:04:05"))
	}
	same := ""
	if l.Repeats > 0 {
		same = fmt.Sprintf(", %d of them one wrong password again", l.Repeats)
	}
	who := named(l.Login)
	if s := v.standing(l.Login); s != "" && l.Login != "" {
		who += ", " + s
	}
	return fmt.Sprintf("%s: %s%s: %s", who, amount(l.Failures, "failed login"), same, strings.Join(times, ", "))
}

// amount is a number of things.
func amount(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// stale lists the logins that repeated one wrong password, as a program does
// that has stored it.
func (b *Block) stale() []string {
	var list []string
	for _, l := range b.Logins {
		if l.Repeats > 0 {
			list = append(list, named(l.Login))
		}
	}
	return list
}

// lifted tells whether the block ended before its time.
func (v *view) lifted() bool { return v.block.Over && v.h.Now.Before(v.block.Until) }

// end is when the block ends or has ended, in words.
func (v *view) end() string {
	switch {
	case v.block.Until.IsZero():
		return ""
	case v.lifted():
		return "It has been lifted, or the limit has been raised, since."
	case v.block.Over:
		return "It has ended by itself at " + v.h.stamp(v.block.Until) + "."
	}
	return fmt.Sprintf("It ends by itself at %s, in %s.", v.h.stamp(v.block.Until), v.block.Until.Sub(v.h.Now).Round(time.Second))
}
