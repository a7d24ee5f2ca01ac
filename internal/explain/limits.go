package explain

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"portreeve/rules"
)

// handedOver tells whether the newest hop was on the client's own machine: an
// application that gives its mail to a mail server there.
func (v *view) handedOver() bool {
	from, _, _ := strings.Cut(v.f.LookedAt, " by ")
	return strings.Contains(from, "[127.") || strings.Contains(from, "[::1]") || strings.Contains(from, "[IPv6:::1]") || strings.HasPrefix(from, "from localhost ")
}

func forwardedCause(v *view) string {
	how := "came through another mail server"
	if v.handedOver() {
		how = "was handed by a program to a mail server on its own machine, which passed it on"
	}
	return fmt.Sprintf("The message %s before it was sent with the login %s (Received: %s).", how, named(v.account), rules.PrintableSender(v.f.LookedAt))
}

func forwardedCompared(*view) Compared {
	return Compared{
		Fact: "Received fields of mail servers", Found: "one or more", Allowed: []string{"none", "an account with forward = true"},
		Text: "the message has a Received field of another mail server; one that comes from its author's program has none",
	}
}

func forwardedSaid(v *view) []phrase {
	if v.handedOver() {
		return []phrase{saidForwardedApp, doApplication, doDirect}
	}
	return []phrase{saidForwarded, doDirect, doForward, doPermission}
}

func forwardedRemedies(v *view) []Remedy {
	var list []Remedy
	if v.mayForward() {
		return nothingAnyMore("%s may pass on other servers' mail by now", v.account)
	}
	if login, ok := canonical(v.account); ok {
		list = append(list, v.changeAccount("If this account may pass on other servers' mail (a mail server or an application of the customer's): allow it.",
			login, func(f *accountForm) { f.forward = true }, fact{key: factForward, value: "1"}))
	}
	if v.h.Policy != nil {
		if r, ok := v.network(fmt.Sprintf("If %s is your webmail server: say so.", v.Client), v.Client, "webmail", v.h.Policy.Webmail); ok {
			list = append(list, r)
		}
	}
	return list
}

// mayForward tells whether the account has forward = true today.
func (v *view) mayForward() bool {
	login, ok := canonical(v.account)
	if !ok {
		return false
	}
	account, found, _ := v.h.account(v.ctx, login)
	return found && account.Forward
}

// full tells which of the two limits is reached.
func (v *view) full() (messages, recipients bool) {
	l := v.f.Limits
	if l == nil {
		return false, false
	}
	return l.Messages > 0 && v.f.UsedMessages >= l.Messages, l.Recipients > 0 && v.f.UsedRecipients >= l.Recipients
}

// limit is the number that is reached; 0 if it is not known.
func (v *view) limit() int {
	messages, recipients := v.full()
	switch {
	case recipients && !messages:
		return v.f.Limits.Recipients
	case v.f.Limits != nil && v.f.Limits.Messages > 0:
		return v.f.Limits.Messages
	case v.f.Limits != nil:
		return v.f.Limits.Recipients
	}
	return 0
}

func (v *view) countsRecipients() bool {
	messages, recipients := v.full()
	return recipients && !messages || v.f.Limits != nil && v.f.Limits.Messages == 0
}

func quotaCause(v *view) string {
	s := fmt.Sprintf("The account %s has reached its sending limit of the hour: %s and %s are used or under way", named(v.account),
		amount(v.f.UsedMessages, "message"), amount(v.f.UsedRecipients, "recipient"))
	if l := v.f.Limits; l != nil {
		var limits []string
		if l.Messages > 0 {
			limits = append(limits, amount(l.Messages, "message"))
		}
		if l.Recipients > 0 {
			limits = append(limits, amount(l.Recipients, "recipient"))
		}
		s += "; it may send " + strings.Join(limits, " to ")
	}
	return s + "."
}

func quotaCompared(v *view) Compared {
	c := Compared{Fact: "messages of the hour", Found: strconv.Itoa(v.f.UsedMessages), Allowed: []string{strconv.Itoa(v.limit())}}
	if v.countsRecipients() {
		c.Fact, c.Found = "recipients of the hour", strconv.Itoa(v.f.UsedRecipients)
	}
	c.Text = fmt.Sprintf("%s: %s used or under way, %s allowed", c.Fact, c.Found, c.Allowed[0])
	return c
}

func quotaSaid(v *view) []phrase {
	if v.countsRecipients() {
		return []phrase{saidRecipients, doQuotaWait, doSplit}
	}
	return []phrase{saidMessages, doQuotaWait}
}

func quotaRemedies(v *view) []Remedy {
	login, ok := canonical(v.account)
	if !ok {
		return nil
	}
	list := []Remedy{
		{Text: "See what is used and left.", Command: v.h.verb("usage", login)},
		{Text: "Start the hour afresh, once.", Command: v.h.verb("reset", login)},
	}
	raised := 2 * v.limit()
	if raised == 0 {
		return list
	}
	key, column, change := "messages", factMessages, func(f *accountForm) { f.messages = raised }
	if v.countsRecipients() {
		key, column, change = "recipients", factRecipients, func(f *accountForm) { f.recipients = raised }
	}
	return append(list, v.changeAccount(fmt.Sprintf("Let the account send more %s an hour for good (%d, for example).", key, raised), login, change,
		fact{key: column, value: strconv.Itoa(raised)}))
}

func directoryCause(v *view) string {
	return fmt.Sprintf("The directory of accounts could not answer at %s, and directory.on_failure says to defer.", v.h.stamp(v.Time))
}

func directoryCompared(*view) Compared {
	return Compared{Fact: "answer of the directory", Found: "none", Allowed: []string{"an answer"}, Text: "the directory gave no answer in time"}
}

func directoryRemedies(v *view) []Remedy {
	at := v.Time.UTC()
	const layout = "2006-01-02 15:04:05"
	return []Remedy{
		{Text: "See how the host is now.", Command: v.h.verb("status")},
		{Text: "See in the log what the directory said.", Command: shell([]string{
			"journalctl", "-u", "portreeve", "--utc", "--since", at.Add(-time.Minute).Format(layout), "--until", at.Add(time.Minute).Format(layout),
			"--grep", "directory look-up failed",
		})},
		v.h.setting("If mail should rather go on unchecked while the directory is away: let the login and sender rules pass.", "directory", "on_failure", `"accept"`),
	}
}
