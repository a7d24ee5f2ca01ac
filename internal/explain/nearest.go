package explain

import (
	"slices"
	"strings"
)

const (
	// nearAtMost is how many accounts are named that may have been meant.
	nearAtMost = 3
	// editable are the characters that a mistyped login is tried with.
	editable = "abcdefghijklmnopqrstuvwxyz0123456789.-_"
	// editsOf bounds the length of a name whose misspellings are tried.
	editsOf = 64
)

// nearest lists accounts that a mistyped login may mean: that of the message's
// sender, the same name in another domain of the group, and, where the directory
// is a file and a look-up costs nothing, whatever is one letter away.
func (v *view) nearest(login string) []string {
	var list []string
	add := func(candidate string) bool {
		if candidate != login && !slices.Contains(list, candidate) && v.h.exists(v.ctx, candidate) {
			list = append(list, candidate)
		}
		return len(list) < nearAtMost
	}
	local, domain, whole := strings.Cut(login, "@")
	if from, ok := canonical(v.Sender); ok && (!whole || resembles(from, local, domain)) {
		add(from)
	}
	for _, d := range v.h.group(v.ctx, domain) {
		add(local + "@" + d)
	}
	if v.h.Accounts == "" || !whole || len(local) > editsOf || len(domain) > editsOf {
		return list[:min(len(list), nearAtMost)]
	}
	edits(domain, func(d string) bool {
		if group := v.h.group(v.ctx, d); len(group) > 0 {
			for _, d := range group {
				add(local + "@" + d)
			}
		}
		return len(list) < nearAtMost
	})
	edits(local, func(l string) bool { return add(l + "@" + domain) })
	return list[:min(len(list), nearAtMost)]
}

// resembles tells whether an address has the name or the domain of the login.
func resembles(address, local, domain string) bool {
	l, d, _ := strings.Cut(address, "@")
	return l == local || d == domain || oneEdit(d, domain)
}

// edits calls try with every text that is one edit away until it returns false.
func edits(s string, try func(string) bool) {
	name := []rune(s)
	for i := range len(name) + 1 {
		before, after := string(name[:i]), string(name[i:])
		rest, swapped := "", ""
		if i < len(name) {
			rest = string(name[i+1:])
		}
		if i+1 < len(name) {
			swapped = string([]rune{name[i+1], name[i]}) + string(name[i+2:])
		}
		if i < len(name) && !try(before+rest) || swapped != "" && !try(before+swapped) {
			return
		}
		for _, c := range editable {
			if !try(before+string(c)+after) || i < len(name) && !try(before+string(c)+rest) {
				return
			}
		}
	}
}
