package explain

import (
	"fmt"
	"slices"
	"strings"

	"portreeve/internal/gate"
	"portreeve/rules"
)

// standing is what the directory says today of a login that was tried.
func (v *view) standing(login string) string {
	canonical, whole := canonical(login)
	if !whole {
		return "no whole address"
	}
	account, found, known := v.h.account(v.ctx, canonical)
	switch {
	case !known:
		return ""
	case !found:
		return "no account here"
	case !account.SMTP:
		return "a disabled account"
	}
	return "an account"
}

// strange adds how a name without a domain was read, or that not even the
// login's domain is of this server. Such a name is not shown, for it may be a
// password.
func (v *view) strange() string {
	if v.defaulted() {
		return fmt.Sprintf(" as an account of %s (login.default_domain)", bothDomains(v.h.Policy.Logins.DefaultDomain))
	}
	if d := v.own(); d != "" && v.h.Directory != nil && len(v.h.group(v.ctx, d)) == 0 {
		return fmt.Sprintf(" (%s is no domain of this server)", bothDomains(d))
	}
	return ""
}

func unknownCause(v *view) string {
	switch {
	case v.Reason != string(rules.ReasonLoginUnknown):
		return fmt.Sprintf("The client is not logged in: all its failed logins of the ten minutes before were for %s, which is not in the directory%s.", named(v.account), v.strange())
	case v.Stage == rules.StageAuth.String():
		return fmt.Sprintf("The client wanted to log in as %s, which is not in the directory%s.", named(v.account), v.strange())
	}
	return fmt.Sprintf("The mail server accepted the login %s, which is not in the directory%s.", named(v.account), v.strange())
}

func loginCompared(v *view) Compared {
	c := Compared{Fact: "login", Found: v.account, Allowed: v.nearest(v.account)}
	c.Text = named(v.account) + " is not in the directory" + v.strange()
	if len(c.Allowed) > 0 {
		c.Text += "; " + strings.Join(c.Allowed, " and ") + areIn(len(c.Allowed))
	}
	return c
}

func areIn(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

func unknownSaid(v *view) []phrase {
	if !v.whole() {
		return []phrase{saidNoWholeAddress, doWholeAddress}
	}
	return []phrase{saidUnknownLogin, doLogin}
}

// defaulted tells whether the login is a name without a domain, read as one of
// login.default_domain.
func (v *view) defaulted() bool {
	return !v.whole() && v.h.Policy != nil && v.h.Policy.Logins.DefaultDomain != ""
}

func unknownRemedies(v *view) []Remedy {
	login, whole := canonical(v.account)
	if whole && v.h.exists(v.ctx, login) {
		return []Remedy{{Text: "Nothing any more: there is such an account by now. The customer can try again."}}
	}
	var list []Remedy
	if near := v.nearest(login); len(near) > 0 {
		list = append(list, Remedy{Text: fmt.Sprintf("Ask whether the customer means %s: there is such an account.", strings.Join(near, " or "))})
	}
	if whole {
		list = append(list, v.addAccount(login)...)
	}
	switch {
	case len(list) > 0:
	case v.defaulted():
		list = append(list, Remedy{Text: "Ask for the user name, of which only the beginning is kept here: it must be that of an account of this domain, or the whole address of another."})
	default:
		list = append(list, Remedy{Text: "Nothing: such a name can be no account here."})
	}
	return list
}

// unread tells whether the login had characters that Dovecot allows in none
// (auth_username_chars): it then tells nobody what it was.
func (v *view) unread() bool { return v.account == "" && len(v.f.Failures) > 0 }

// nameless shows a login that is no whole address. One that failed may be a
// password; it was kept as its first letter and its length only.
func nameless(v *view) string {
	return firstOf(rules.PrintableSender(v.account), "a name that is not shown")
}

func notWholeCause(v *view) string {
	if v.unread() {
		return "The client is not logged in: all its failed logins of the ten minutes before were for a name with characters that Dovecot does not accept in one (auth_username_chars), and so does not tell."
	}
	what := "The client wanted to log in as"
	switch {
	case v.Reason != string(rules.ReasonLoginNotAddress):
		what = "The client is not logged in: all its failed logins of the ten minutes before were for"
	case v.Stage != rules.StageAuth.String():
		what = "The mail server accepted the login"
	}
	return fmt.Sprintf("%s %s, which is no whole e-mail address.", what, nameless(v))
}

func wholeCompared(v *view) Compared {
	c := Compared{Fact: "login", Found: nameless(v), Allowed: []string{"name@domain"}}
	c.Text = "a login is name@domain; this one is not"
	if v.unread() {
		c.Text = "a login is name@domain, without spaces, accents and quotation marks; this one could not be read"
	}
	if near := v.meantAddress(); near != "" {
		c.Allowed = append(c.Allowed, near)
	}
	return c
}

// meantAddress is the account that a login without a domain may mean.
func (v *view) meantAddress() string {
	if from, ok := canonical(v.Sender); ok && v.h.exists(v.ctx, from) {
		return from
	}
	return ""
}

func notWholeSaid(v *view) []phrase {
	if v.unread() {
		return []phrase{saidUnreadLogin, doLogin}
	}
	return []phrase{saidNoWholeAddress, doWholeAddress}
}

func notWholeRemedies(v *view) []Remedy {
	var list []Remedy
	near := v.meantAddress()
	if near != "" {
		list = append(list, Remedy{Text: fmt.Sprintf("Ask whether the customer means %s: there is such an account.", near)})
	}
	text := "If names without a domain should work here: say which domain they are of."
	switch {
	case v.unread():
		return append(list, Remedy{Text: "Ask for the user name, and look for a space at one of its ends, an accent or a quotation mark in it."})
	case strings.Contains(v.account, "@"):
		return append(list, Remedy{Text: "Nothing: with an @, a login is read as an address, and this one is none."})
	case near != "":
		return append(list, v.h.setting(text, "login", "default_domain", tomlString(rules.DomainOf(near))))
	}
	return append(list, Remedy{
		Text: text + " Put it in place of DOMAIN.", File: v.h.config(), Table: "[login]", Line: `default_domain = "DOMAIN"`, Command: v.h.verb("reload"),
	})
}

// dovecots tells whether it was not the directory that has the account disabled.
func (v *view) dovecots() bool {
	return !slices.ContainsFunc(v.f.Accounts, func(a gate.AccountFact) bool { return a.Found && !a.SMTP })
}

func disabledCause(v *view) string {
	login := named(v.account)
	switch {
	case v.dovecots():
		return fmt.Sprintf("The mail server itself refused %s as disabled.", login)
	case v.Reason == string(rules.ReasonNoAuthDisabled):
		return fmt.Sprintf("The client is not logged in: it tried %s, whose access is disabled in the directory.", login)
	case len(v.f.Grants) > 0:
		return fmt.Sprintf("The client is authorised by its POP login as %s at %s, but sending is disabled for that account in the directory.", login, v.h.stamp(v.f.Grants[0].Last))
	}
	return fmt.Sprintf("Sending is disabled for the account %s in the directory.", login)
}

func disabledCompared(v *view) Compared {
	c := Compared{Fact: "account", Found: v.account + " disabled", Allowed: []string{"an account that is enabled"}}
	c.Text = fmt.Sprintf("%s is in the directory, and smtp is false for it", named(v.account))
	if v.dovecots() {
		c.Text = fmt.Sprintf("%s is disabled where the mail server has its users", named(v.account))
	}
	return c
}

func disabledSaid(*view) []phrase { return []phrase{saidDisabled, doEnable} }

func disabledRemedies(v *view) []Remedy {
	login, ok := canonical(v.account)
	if v.dovecots() || !ok {
		return []Remedy{{Text: "To enable it: do so where the mail server has its users (Dovecot's passdb); this directory did not refuse it."}}
	}
	if account, found, _ := v.h.account(v.ctx, login); found && account.SMTP {
		return []Remedy{{Text: "Nothing any more: the account has been enabled since. The customer can send again."}}
	}
	return []Remedy{v.changeAccount("Let the account send again.", login, func(f *accountForm) { f.disabled = false }, fact{key: factSMTP, value: "1"})}
}

func failedCause(v *view) string {
	return fmt.Sprintf("The login as %s failed: the mail server did not accept the password.", firstOf(rules.PrintableSender(v.account), "a name that is not shown"))
}

func failedCompared(v *view) Compared {
	return Compared{
		Fact: "password", Found: "not accepted", Allowed: []string{"the password of the mailbox"},
		Text: fmt.Sprintf("the password that was given for %s is not that of the mailbox", named(v.account)),
	}
}

func failedSaid(v *view) []phrase {
	if !v.whole() {
		return []phrase{saidFailed, doWholeAddress, doPassword}
	}
	return []phrase{saidPassword, doPassword, doLogin}
}

func failedRemedies(v *view) []Remedy {
	if login, ok := canonical(v.account); ok {
		if _, found, known := v.h.account(v.ctx, login); known && !found {
			return append(unknownRemedies(v), passwordRemedies(login)...)
		}
		return passwordRemedies(login)
	}
	return passwordRemedies("")
}

// passwordRemedies are for an account whose password was wrong.
func passwordRemedies(login string) []Remedy {
	r := Remedy{Text: "Let the customer enter the password again; if it is lost, set a new one for the mailbox."}
	list := []Remedy{r}
	if command := shell([]string{"doveadm", "auth", "test"}, login); command != "" {
		list = append(list, Remedy{Text: "To try a password yourself: the command asks for it, and Dovecot says whether it is right.", Command: command})
	}
	return list
}
