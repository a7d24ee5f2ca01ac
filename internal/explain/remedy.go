package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"portreeve/internal/gate"
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
// made where the accounts are: of what the directory must then know.
func (h *Host) entry(text, table, key, value string, facts ...fact) Remedy {
	r := Remedy{Text: text, Command: h.verb("reload")}
	if h.Accounts == "" || !plain(key) {
		r.Text += h.Source.change(facts)
		return r
	}
	if shown := shownAddress(unicodeDomain(key)); shown != key {
		r.Text += fmt.Sprintf(" (In the file, the key may be written %s.)", tomlString(shown))
	}
	r.File, r.Table, r.Line = h.Accounts, "["+table+"]", tomlString(key)+" = "+value
	return r
}

// nothingAnyMore is for what somebody has mended since.
func nothingAnyMore(format string, args ...any) []Remedy {
	return []Remedy{{Text: fmt.Sprintf("Nothing any more: "+format+". The customer can send again.", args...)}}
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
func (v *view) changeAccount(text, login string, change func(*accountForm), facts ...fact) Remedy {
	f := v.formOf(login)
	change(&f)
	for i := range facts {
		facts[i].of = login
	}
	return v.h.entry(text, "accounts", login, f.String(), facts...)
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
	return v.h.entry(text, "domains", group[0], "{ aliases = "+tomlStrings(aliases)+" }", fact{group[0], factDomains, domain})
}

// network is a remedy that adds an address or a network to a list of [networks].
// ok is false where it or the list is not known, or has it already.
func (v *view) network(text, added, key string, list []netip.Prefix) (Remedy, bool) {
	network, err := netip.ParsePrefix(added)
	if a, single := netip.ParseAddr(added); single == nil {
		network, err = a.Prefix(a.BitLen())
	}
	has := func(p netip.Prefix) bool { return p.Bits() <= network.Bits() && p.Contains(network.Addr()) }
	if err != nil || v.h.Policy == nil || slices.ContainsFunc(list, has) {
		return Remedy{}, false
	}
	var shown []string
	for _, p := range append(slices.Clone(list), network) {
		shown = append(shown, gate.PrefixText(p))
	}
	return v.h.setting(text, "networks", key, tomlStrings(shown)), true
}

// trusted lets a server of one's own in that cannot log in.
func (v *view) trusted() []Remedy {
	if v.h.Policy == nil {
		return nil
	}
	r, ok := v.network(fmt.Sprintf("If %s is a server of your own that cannot log in: trust its address, here and in Postfix's mynetworks.", v.Client),
		v.Client, "trusted", v.h.Policy.Trusted)
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
		return []Remedy{v.h.entry(fmt.Sprintf("If %s should be an account: add it to the directory.", login), "accounts", login, "{}", fact{login, factAccount, login})}
	}
	first := v.h.entry(fmt.Sprintf("If %s should be an account: %s is no domain here yet. First add the domain.", login, bothDomains(domain)), "domains", domain, "{}", fact{domain, factDomains, domain})
	first.Command = "" // the account comes with the same reload
	return []Remedy{first, v.h.entry("Then add the account.", "accounts", login, "{}", fact{login, factAccount, login})}
}
