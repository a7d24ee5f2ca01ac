package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"portreeve/rules"
)

// String is the remedy as one line.
func (r Remedy) String() string {
	s := r.Text
	if r.Line != "" {
		s += fmt.Sprintf(" In %s, under %s, write: %s", r.File, r.Table, r.Line)
	}
	switch {
	case r.Command != "" && r.Line != "":
		s += " Then run: " + r.Command
	case r.Command != "":
		s += " Run: " + r.Command
	}
	return s
}

// verb is a command of this program for this host.
func (h *Host) verb(verb string, arguments ...string) string {
	command := []string{"portreeve"}
	if h.Config != "" && h.Config != defaultConfig {
		command = append(command, "--config", h.Config)
	}
	return shell(append(command, verb), arguments...)
}

// setting is a remedy that is a line of portreeve.toml.
func (h *Host) setting(text, table, key, value string) Remedy {
	return Remedy{Text: text, File: h.config(), Table: "[" + table + "]", Line: key + " = " + value, Command: h.verb("reload")}
}

// entry is a remedy that is a line of accounts.toml, or a change that has to be
// made where the accounts are.
func (h *Host) entry(text, table, key, value string) Remedy {
	r := Remedy{Text: text, Command: h.verb("reload")}
	if h.Accounts == "" || !plain(key) {
		r.Text += " Make the change where the directory has its data."
		return r
	}
	r.File, r.Table, r.Line = h.Accounts, "["+table+"]", tomlString(key)+" = "+value
	return r
}

// accountForm is what accounts.toml says of one account.
type accountForm struct {
	disabled             bool
	forward              bool
	addresses, senders   []string
	messages, recipients int
}

// formOf is what the directory has of the account today; new for one that it has
// not.
func (v *view) formOf(login string) accountForm {
	var f accountForm
	account, found, _ := v.h.account(v.ctx, login)
	if !found {
		return f
	}
	f.disabled, f.forward = !account.SMTP, account.Forward
	f.messages, f.recipients = account.MessagesPerHour, account.RecipientsPerHour
	addresses, senders, _ := v.h.lists(v.ctx, login)
	f.addresses, f.senders = slices.Clone(addresses), slices.Clone(senders)
	return f
}

// String is the form as a TOML inline table.
func (f accountForm) String() string {
	var parts []string
	add := func(key, value string) { parts = append(parts, key+" = "+value) }
	if f.disabled {
		add("smtp", "false")
	}
	if f.forward {
		add("forward", "true")
	}
	if len(f.addresses) > 0 {
		add("addresses", tomlStrings(f.addresses))
	}
	if len(f.senders) > 0 {
		add("senders", tomlStrings(f.senders))
	}
	if f.messages > 0 {
		add("messages_per_hour", strconv.Itoa(f.messages))
	}
	if f.recipients > 0 {
		add("recipients_per_hour", strconv.Itoa(f.recipients))
	}
	return inlineTable(parts)
}

func inlineTable(parts []string) string {
	if len(parts) == 0 {
		return "{}"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// changeAccount is a remedy that is an account's line with one change.
func (v *view) changeAccount(text, login string, change func(*accountForm)) Remedy {
	f := v.formOf(login)
	change(&f)
	return v.h.entry(text, "accounts", login, f.String())
}

// alias is a remedy that adds an alias to the account's domain.
func (v *view) alias(text, domain string) Remedy {
	group := v.h.group(v.ctx, v.own())
	if len(group) == 0 {
		group = v.group()
	}
	if len(group) == 0 {
		return Remedy{Text: text}
	}
	aliases := slices.Clone(group[1:])
	if !slices.Contains(group, domain) {
		aliases = append(aliases, domain)
	}
	return v.h.entry(text, "domains", group[0], "{ aliases = "+tomlStrings(aliases)+" }")
}

// network is a remedy that adds the client to a list of [networks]. ok is false
// where the client or the list is not known, or has it already.
func (v *view) network(text, key string, list []netip.Prefix) (Remedy, bool) {
	a, ok := v.ip()
	if !ok || v.h.Policy == nil || slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return Remedy{}, false
	}
	var shown []string
	for _, p := range append(slices.Clone(list), netip.PrefixFrom(a, a.BitLen())) {
		one := p.String()
		if p.IsSingleIP() {
			one = p.Addr().String()
		}
		shown = append(shown, one)
	}
	return v.h.setting(text, "networks", key, tomlStrings(shown)), true
}

// trusted lets a server of one's own in that cannot log in.
func (v *view) trusted() []Remedy {
	if v.h.Policy == nil {
		return nil
	}
	r, ok := v.network(fmt.Sprintf("If %s is a server of your own that cannot log in: trust its address, here and in Postfix's mynetworks.", v.Client),
		"trusted", v.h.Policy.Trusted)
	if !ok {
		return nil
	}
	return []Remedy{r}
}

// addAccount lists what makes a login an account.
func (v *view) addAccount(login string) []Remedy {
	if _, ok := rules.CanonicalAddress(login); !ok {
		return nil
	}
	domain := rules.DomainOf(login)
	if v.h.Directory == nil || len(v.h.group(v.ctx, domain)) > 0 {
		return []Remedy{v.h.entry(fmt.Sprintf("If %s should be an account: add it to the directory.", login), "accounts", login, "{}")}
	}
	first := v.h.entry(fmt.Sprintf("If %s should be an account: %s is no domain here yet. First add the domain.", login, bothDomains(domain)), "domains", domain, "{}")
	first.Command = "" // the account comes with the same reload
	return []Remedy{first, v.h.entry("Then add the account.", "accounts", login, "{}")}
}
