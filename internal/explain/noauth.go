package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"portreeve/rules"
)

// why is what kept an unauthenticated client from being authenticated.
type why int

const (
	whyNone     why = iota // it did not try
	whyUnknown             // it tried one login, which is no account
	whyDisabled            // it tried one login, which is disabled
	whyPassword            // it tried one login, with a wrong password
	whyFailed              // it tried several
	whyCrowded             // it collected POP for more accounts than grant
	whyLapsed              // its POP grant has ended
	whyUnfit               // its POP grants are of accounts that may not use the sender
	whyHidden              // whether it tried is not known: its address stands for many people
)

func (v *view) why() why {
	if tried := v.theOneTried(); tried != "" {
		account, found, known := v.h.account(v.ctx, tried)
		switch {
		case known && !found:
			return whyUnknown
		case found && !account.SMTP:
			return whyDisabled
		}
		return whyPassword
	}
	switch {
	case len(v.f.Failures) > 0:
		return whyFailed
	case v.crowded():
		return whyCrowded
	case len(v.f.Grants) > 0 && v.Sender != "":
		return whyUnfit
	case len(v.f.Lapsed) > 0:
		return whyLapsed
	case v.manyPeople():
		return whyHidden
	}
	return whyNone
}

// manyPeople tells whether nothing is remembered of the client's address. A
// trusted one is not refused here: it has become one since.
func (v *view) manyPeople() bool {
	p := v.h.Policy
	return p != nil && (v.within(p.Webmail) || v.within(p.Shared))
}

// within tells whether the client is in a list of [networks].
func (v *view) within(list []netip.Prefix) bool {
	a, ok := v.ip()
	return ok && slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// crowded tells whether the client had POP grants, too many of them.
func (v *view) crowded() bool {
	return v.h.Policy != nil && v.h.Policy.POP.Enabled && len(v.f.Grants) > v.h.Policy.POP.MaxAccounts
}

// unlisted tells whether the port counts as submission for want of a list.
func (v *view) unlisted() bool {
	p := v.h.Policy
	return p != nil && v.Port != 0 && !slices.Contains(p.Submission, v.Port) && !slices.Contains(p.Mixed, v.Port)
}

// because is why there was no login, as a part of a sentence.
func (v *view) because() string {
	switch v.why() {
	case whyNone:
		return "it tried no login within ten minutes before"
	case whyUnfit:
		return fmt.Sprintf("the POP login from its address at %s was that of %s, to whom the sender <%s> does not belong", v.h.stamp(v.f.Grants[0].Last), named(v.f.Grants[0].Login), rules.PrintableSender(v.Sender))
	case whyHidden:
		return fmt.Sprintf("whether it tried is not known, for %s stands for many people (networks.webmail, shared) and its failed logins are not remembered", v.Client)
	case whyCrowded:
		return fmt.Sprintf("its address collected POP mail of %d accounts, more than the %d of smtp_after_pop.max_accounts, and so authorises none",
			len(v.f.Grants), v.h.Policy.POP.MaxAccounts)
	case whyLapsed:
		g := v.f.Lapsed[0]
		s := fmt.Sprintf("the last POP login from its address (%s) was at %s, %s before", shownAddress(g.Login), v.h.stamp(g.Last), age(v.Time.Sub(g.Last)))
		if v.h.Policy != nil {
			s += fmt.Sprintf("; smtp_after_pop.validity is %s", age(v.h.Policy.POP.Validity))
		}
		return s
	}
	return "the logins from its address within ten minutes before failed: " + v.tried()
}

// age is a duration to the second, without the units that are nothing.
func age(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func noAuthCause(v *view) string {
	port := "the port is not known and counts as a submission port"
	if v.Port != 0 {
		port = fmt.Sprintf("port %d takes mail only after a login", v.Port)
	}
	if v.unlisted() {
		port = fmt.Sprintf("port %d is in neither list of [ports] and so counts as a submission port, which takes mail only after a login", v.Port)
	}
	return fmt.Sprintf("The client was not logged in: %s; %s.", v.because(), port)
}

func noAuthCompared(v *view) Compared {
	c := Compared{Fact: "login", Found: "none", Allowed: []string{"a login that succeeds"}}
	if v.h.Policy != nil && v.h.Policy.POP.Enabled {
		c.Allowed = append(c.Allowed, "a POP login from the same address, not older than "+age(v.h.Policy.POP.Validity))
	}
	c.Text = "there was no login; there must be " + strings.Join(c.Allowed, ", or ")
	return c
}

func noAuthSaid(v *view) []phrase {
	switch v.why() {
	case whyUnknown:
		return unknownSaid(v)
	case whyDisabled:
		return disabledSaid(v)
	case whyPassword:
		return []phrase{saidPassword, doPassword, doLogin}
	case whyFailed:
		return []phrase{saidFailed, doLogin, doPassword}
	case whyCrowded:
		return []phrase{saidPOPCrowded, doAuth}
	case whyLapsed:
		return []phrase{saidPOPLapsed, doCollect, doAuth}
	case whyUnfit:
		return []phrase{saidSenderPOP, doCollect, doAuth}
	case whyHidden:
		return []phrase{saidNotLoggedIn, doAuth, doPassword}
	}
	return []phrase{saidNoAuth, doAuth}
}

// failedLoginRemedies are what can be done about the failed logins that are to
// blame, if any are.
func (v *view) failedLoginRemedies() []Remedy {
	switch v.why() {
	case whyUnknown:
		return unknownRemedies(v)
	case whyDisabled:
		return disabledRemedies(v)
	case whyPassword:
		return passwordRemedies(v.theOneTried())
	case whyFailed:
		return []Remedy{{Text: "Ask which of these logins is the customer's, and check its spelling and its password: " + v.standings() + "."}}
	}
	return nil
}

// standings says of each login that was tried what the directory has of it.
func (v *view) standings() string {
	var parts []string
	for i, l := range tally(v.f.Failures) {
		if i == listAtMost {
			parts = append(parts, "…")
			break
		}
		part := named(l.Login)
		if s := v.standing(l.Login); s != "" && l.Login != "" {
			part += " (" + s + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

func noAuthRemedies(v *view) []Remedy {
	if v.h.Policy != nil && v.within(v.h.Policy.Trusted) {
		return nothingAnyMore("%s is trusted by now (networks.trusted)", v.Client)
	}
	list := v.failedLoginRemedies()
	list = append(list, v.popRemedies()...)
	if v.unlisted() {
		mixed := append(slices.Clone(v.h.Policy.Mixed), v.Port)
		list = append(list, v.h.setting(fmt.Sprintf("If other mail servers deliver on port %d: list it as a mixed port.", v.Port), "ports", "mixed", ports(mixed)))
	}
	if v.why() == whyNone {
		list = append(list, v.trusted()...)
	}
	if len(list) == 0 {
		list = append(list, Remedy{Text: "Nothing: the mail program has to log in."})
	}
	return list
}

func ports(list []uint16) string {
	shown := make([]string, len(list))
	for i, p := range list {
		shown[i] = strconv.Itoa(int(p))
	}
	return "[" + strings.Join(shown, ", ") + "]"
}

// popRemedies let a client send that relies on its POP logins.
func (v *view) popRemedies() []Remedy {
	switch v.why() {
	case whyCrowded:
		return []Remedy{v.h.setting("If all these accounts belong to one office: let its address authorise more of them.",
			"smtp_after_pop", "max_accounts", strconv.Itoa(len(v.f.Grants)))}
	case whyLapsed:
		hours := int(v.h.Now.Sub(v.f.Lapsed[0].Last)/time.Hour) + 1
		return []Remedy{v.h.setting("If mail programs here collect mail more seldom: let a POP login authorise for longer.",
			"smtp_after_pop", "validity", fmt.Sprintf(`"%dh"`, hours))}
	}
	return nil
}
