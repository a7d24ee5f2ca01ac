package explain

import (
	"fmt"
	"strconv"
	"strings"
)

func blockCause(v *view) string {
	b := v.block
	s := fmt.Sprintf("%d failed logins from %s within the window, and the limit is %d", b.Count, b.Prefix, b.Limit)
	if tried := v.tried(); tried != "" {
		s += ": " + tried
	}
	s += "."
	if b.Spared {
		s += fmt.Sprintf(" %s repeated one wrong password, as a program does that has stored it; without these repeats there were %d.",
			strings.Join(firstFew(b.stale()), ", "), b.CountOnce)
	}
	if end := v.end(); end != "" {
		s += " " + end
	}
	return s
}

func blockCompared(v *view) Compared {
	return Compared{
		Fact: "failed logins", Found: strconv.Itoa(v.block.Count), Allowed: []string{strconv.Itoa(v.block.Limit)},
		Text: fmt.Sprintf("%d failed logins; %d within the window are not refused", v.block.Count, v.block.Limit),
	}
}

func blockSaid(v *view) []phrase {
	if v.block.Over {
		return []phrase{saidBlockOver, doSendAgain, doDevices}
	}
	return []phrase{saidBlocked, doDevices, doWait}
}

func blockRemedies(v *view) []Remedy {
	b := v.block
	if b.Over {
		return append([]Remedy{{Text: "Nothing: " + lowerFirst(v.end())}}, v.lastingRemedies()...)
	}
	address := v.Client
	if _, ok := v.ip(); !ok {
		address = ""
	}
	var list []Remedy
	if command := v.h.verb("unblock", address); command != "" && address != "" {
		list = append(list, Remedy{Text: "Lift it at once, here and on every host that shares the store.", Command: command})
	}
	return append(list, v.lastingRemedies()...)
}

// lastingRemedies keep the block from coming again.
func (v *view) lastingRemedies() []Remedy {
	b := v.block
	var list []Remedy
	if stale := b.stale(); len(stale) > 0 {
		list = append(list, Remedy{Text: fmt.Sprintf("Let whoever uses %s find the program or telephone that still has the old password: it will block the address again.", strings.Join(firstFew(stale), ", "))})
	}
	if b.Spared && v.h.Policy != nil && !v.h.Policy.Throttle.Once {
		list = append(list, v.h.setting("This would have spared the others behind the address: count one wrong password, repeated, once.",
			"auth_failures", "same_password", `"once"`))
	}
	if v.h.Policy != nil {
		if r, ok := v.network(fmt.Sprintf("If %s is a proxy or NAT of many people: never hold anything against it as an address (login_failures then guards the logins).", b.Prefix),
			b.Prefix, "shared", v.h.Policy.Shared); ok {
			list = append(list, r)
		}
	}
	return list
}

func lowerFirst(s string) string {
	if s == "" {
		return "it is over."
	}
	return strings.ToLower(s[:1]) + s[1:]
}

func guessedCause(v *view) string {
	s := fmt.Sprintf("The login %s is being guessed", named(v.account))
	if g := v.f.Guessing; g != nil {
		s += fmt.Sprintf(": %d failed logins within the window from all addresses together, and the limit is %d", g.Count, g.Limit)
	}
	return s + ". Attempts from addresses that have not logged in with it in the last 30 days are delayed; nobody is refused."
}

func guessedCompared(v *view) Compared {
	c := Compared{Fact: "failed logins of the login", Text: "more failed logins than login_failures.limit"}
	if g := v.f.Guessing; g != nil {
		c.Found, c.Allowed = strconv.Itoa(g.Count), []string{strconv.Itoa(g.Limit)}
		c.Text = fmt.Sprintf("%d failed logins from all addresses together; %d within the window delay nobody", g.Count, g.Limit)
	}
	return c
}

func guessedRemedies(v *view) []Remedy {
	s := "Nothing: it ends by itself"
	if g := v.f.Guessing; g != nil && g.Until != nil {
		s += " at " + v.h.stamp(*g.Until)
	}
	return []Remedy{{Text: s + ". To delay longer or later: login_failures.delay and limit."}}
}
