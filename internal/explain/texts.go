package explain

import (
	"fmt"
	"slices"
	"strings"

	"portreeve/rules"
)

type line = func(cause) string

// say is a text that is the same for every entry.
func say(s string) line { return func(cause) string { return s } }

const (
	turnOnAuth = "Turn on authentication for the outgoing server in the mail program (the login is the whole e-mail address, the password that of the mailbox)."
	checkLogin = "Check the login in the mail program: it is the whole e-mail address."
)

// texts has the words of every reason; a test holds it against rules' reasons.
var texts = map[rules.Reason]words{
	rules.ReasonNoAuth: {
		cause:         say("The client sent MAIL without having logged in, and this port takes mail of customers only after a login."),
		customer:      []line{say(turnOnAuth), afterFailures},
		administrator: []line{say("If the client is a server of your own that cannot log in: add its address to networks.trusted.")},
	},
	rules.ReasonRelayNoAuth: {
		cause:    relayCause,
		customer: []line{say(turnOnAuth), afterFailures},
		administrator: []line{func(c cause) string {
			if len(c.e.Recipients) == 0 {
				return ""
			}
			return fmt.Sprintf("If this server should take mail for %s: add the domain to the directory or to relay.local_domains.", rules.DomainOf(c.e.Recipients[0]))
		}},
	},
	rules.ReasonNoAuthUnknownLogin: {
		cause: func(c cause) string {
			return fmt.Sprintf("The client is not logged in; all its failed logins of the ten minutes before were for %q, which is no account here.", c.account)
		},
		customer:      []line{say(checkLogin)},
		administrator: []line{say("If the account should exist: add it to the directory, then run `portreeve reload`.")},
	},
	rules.ReasonNoAuthNotAddress: {
		cause: func(c cause) string {
			return fmt.Sprintf("The client is not logged in; all its failed logins of the ten minutes before were for a name that is no whole e-mail address (%s).", firstOf(c.tried(), "not shown"))
		},
		customer:      []line{say(checkLogin)},
		administrator: []line{say("If names without a domain should work here: set login.default_domain.")},
	},
	rules.ReasonNoAuthDisabled: {
		cause: func(c cause) string {
			return fmt.Sprintf("The client is not logged in; it tried %q, whose SMTP access is disabled.", c.account)
		},
		customer:      []line{say("Ask whoever administers the domain to enable sending for this mailbox.")},
		administrator: []line{enable},
	},
	rules.ReasonLoginUnknown: {
		cause: func(c cause) string {
			return fmt.Sprintf("The login %q is not an account in the directory.", c.account)
		},
		customer: []line{
			say(checkLogin),
		},
		administrator: []line{say("If the account should exist: add it to the directory, then run `portreeve reload`.")},
	},
	rules.ReasonLoginNotAddress: {
		cause: func(c cause) string {
			return fmt.Sprintf("The login %s is no whole e-mail address.", firstOf(c.account, "(not shown)"))
		},
		customer:      []line{say(checkLogin)},
		administrator: []line{say("If names without a domain should work here: set login.default_domain.")},
	},
	rules.ReasonLoginDisabled: {
		cause:         func(c cause) string { return fmt.Sprintf("SMTP access of the account %q is disabled.", c.account) },
		customer:      []line{say("Ask whoever administers the domain to enable sending for this mailbox.")},
		administrator: []line{enable},
	},
	rules.ReasonLoginFailed: {
		cause: func(c cause) string {
			return fmt.Sprintf("The login as %s failed: the password is not that of the mailbox.", firstOf(c.account, c.e.Login, "(not shown)"))
		},
		customer:      []line{say("Enter the mailbox's password again in the mail program, and check that the login is the whole e-mail address.")},
		administrator: []line{say("If the password is lost: set a new one for the mailbox.")},
	},
	rules.ReasonSenderDomain: {
		cause:         senderCause,
		customer:      []line{ownSender},
		administrator: []line{aliasHint},
	},
	rules.ReasonSenderAddress: {
		cause: func(c cause) string {
			return fmt.Sprintf("The account %q may use its own address and those listed for it; %q is neither.", c.account, c.lookedAt())
		},
		customer: []line{ownSender},
		administrator: []line{func(c cause) string {
			return fmt.Sprintf("If the address belongs to this account: add %q to the account's addresses.", c.lookedAt())
		}},
	},
	rules.ReasonSenderNotPlain: {
		cause: func(c cause) string {
			return fmt.Sprintf("The sender %q is not one plain local@domain address, so it could be delivered as another one.", c.lookedAt())
		},
		customer:      []line{ownSender},
		administrator: []line{say("Nothing: such addresses are rewritten by Postfix and are refused whatever their domain.")},
	},
	rules.ReasonSenderNull: {
		cause:         say("The null sender <> is refused by sender.null_sender."),
		customer:      []line{ownSender},
		administrator: []line{say("If mail programs here send read receipts: set sender.null_sender to \"header\".")},
	},
	rules.ReasonSenderNotWebmail: {
		cause: func(c cause) string {
			return fmt.Sprintf("%q is stored as an external sender of %q, which holds in the webmail only; %s is not the webmail.", c.lookedAt(), c.account, c.e.Client)
		},
		customer:      []line{say("Send this mail from the webmail, or use an address of your own domain."), ownSender},
		administrator: []line{say("If that address is the webmail server: add it to networks.webmail.")},
	},
	rules.ReasonHeaderMissing: {
		cause:         say("The message has no From field in its header, or it stood where no mail program puts one."),
		customer:      []line{say("Set name and address of the sender in the mail program.")},
		administrator: []line{observeHeader},
	},
	rules.ReasonHeaderSeveral: {
		cause:         say("The message has more than one From field in its header; recipients would see one or the other."),
		customer:      []line{say("Send the message from another mail program, or report the fault to whoever made this one.")},
		administrator: []line{observeHeader},
	},
	rules.ReasonHeaderUnreadable: {
		cause: func(c cause) string {
			return fmt.Sprintf("The From or Sender field of the message's header is no list of addresses (%s).", firstOf(c.f.LookedAt, "it is empty"))
		},
		customer:      []line{ownSender},
		administrator: []line{observeHeader},
	},
	rules.ReasonHeaderDomain: {
		cause: func(c cause) string {
			return fmt.Sprintf("The message's header names %q as From or Sender; the account %q may send as %s.",
				c.f.LookedAt, c.account, strings.Join(c.domainsOf(), ", "))
		},
		customer:      []line{ownSender},
		administrator: []line{aliasHint, observeHeader},
	},
	rules.ReasonBlocked: {
		cause:         blockCause,
		customer:      []line{blockWait, say("Correct the stored password in every mail program and phone behind this address.")},
		administrator: []line{unblock},
	},
	rules.ReasonGuessed: {
		cause:         guessedCause,
		customer:      []line{say("Nothing: the login works, only more slowly from a place where it is new. If the password is easy to guess, choose a better one.")},
		administrator: []line{say("Nothing: it ends by itself. To delay longer or later: login_failures.")},
	},
	rules.ReasonForwarded: {
		cause: func(c cause) string {
			return fmt.Sprintf("The message came through another mail server before it was sent with the login %q (%s).", c.account, c.lookedAt())
		},
		customer: []line{say("Send the message from the mail program itself, not through another mail server.")},
		administrator: []line{func(c cause) string {
			return fmt.Sprintf("If this account may pass on other servers' mail: set forward = true for %q.", c.account)
		}},
	},
	rules.ReasonQuota: {
		cause: func(c cause) string {
			return fmt.Sprintf("The account %q has reached its sending limit of the hour: %d messages and %d recipients are used or under way.", c.account, c.f.UsedMessages, c.f.UsedRecipients)
		},
		customer: []line{say("Wait: places become free as the messages of the hour before grow older. A mail program tries again by itself.")},
		administrator: []line{func(c cause) string {
			return fmt.Sprintf("See it with `portreeve usage %s`. To raise the limit: messages_per_hour or recipients_per_hour of the account; to start afresh once: `portreeve reset %s`.", c.account, c.account)
		}},
	},
	rules.ReasonDirectory: {
		cause:         say("The directory of accounts could not answer, and directory.on_failure says to defer."),
		customer:      []line{say("Nothing: the mail program or server tries again by itself.")},
		administrator: []line{say("See `portreeve status` and the log for the directory's error.")},
	},
}

func observeHeader(cause) string {
	return "To see it without refusing: sender.header_from = \"observe\" (for a null envelope sender: sender.null_sender = \"allow\")."
}

func enable(c cause) string {
	return fmt.Sprintf("To enable it: remove smtp = false from %q in the directory, then run `portreeve reload`.", c.account)
}

func afterFailures(c cause) string {
	if tried := c.tried(); tried != "" {
		return "Check login and password: the logins of the ten minutes before failed (" + tried + ")."
	}
	return ""
}

func relayCause(c cause) string {
	to := "a recipient that is not this server's own"
	if len(c.e.Recipients) > 0 {
		to = fmt.Sprintf("%q, whose domain is not this server's own", c.e.Recipients[0])
	}
	return "The client is not logged in and wanted to send to " + to + "."
}

func senderCause(c cause) string {
	return fmt.Sprintf("The sender %q is not of the account %q, which may send as %s; %s is none of these.",
		c.lookedAt(), c.account, strings.Join(c.domainsOf(), ", "), c.senderDomain())
}

func ownSender(c cause) string {
	if !strings.Contains(c.account, "@") {
		return "Set the sender address in the mail program to the address of the mailbox."
	}
	return fmt.Sprintf("Set the sender address in the mail program to %s.", c.account)
}

func aliasHint(c cause) string {
	return fmt.Sprintf("If %s belongs to the same customer: add it to the aliases of %s in the directory, then run `portreeve reload`.",
		c.senderDomain(), rules.DomainOf(c.account))
}

func blockCause(c cause) string {
	s := fmt.Sprintf("%d failed logins from %s within the window, and the limit is %d", c.f.Count, firstOf(c.f.Prefix, c.e.Client), c.f.Limit)
	if tried := c.tried(); tried != "" {
		s += ": " + tried
	}
	return s + "."
}

func guessedCause(c cause) string {
	s := fmt.Sprintf("The login %q is being guessed", c.account)
	if g := c.f.Guessing; g != nil {
		s += fmt.Sprintf(": %d failed logins within the window from all addresses together, and the limit is %d", g.Count, g.Limit)
		if tried := c.from(); tried != "" {
			s += " (" + tried + ")"
		}
	}
	return s + ". Attempts from addresses that have not logged in with it in the last 30 days are delayed; nobody is refused."
}

// from lists the addresses of the failures, each once.
func (c cause) from() string {
	var list []string
	for _, f := range c.f.Failures {
		if !slices.Contains(list, f.Client) {
			list = append(list, f.Client)
		}
	}
	return strings.Join(list, ", ")
}

func blockWait(c cause) string {
	switch {
	case c.f.BlockedUntil == nil:
		return ""
	case c.over():
		return "Nothing any more: the block ended at " + c.f.BlockedUntil.Format("2006-01-02 15:04:05 MST") + "."
	}
	return "Wait: the block ends by itself at " + c.f.BlockedUntil.Format("2006-01-02 15:04:05 MST") + "."
}

func unblock(c cause) string {
	if c.over() || c.plainClient() == "" {
		return ""
	}
	return "To lift it at once: portreeve unblock " + c.plainClient()
}
