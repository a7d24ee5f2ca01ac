package explain

import (
	"context"
	"regexp"

	"portreeve/journal"
	"portreeve/rules"
)

// reason is how one of the rules' reasons is explained.
type reason struct {
	title    string               // in a few words
	cause    func(*view) string   // for the administrator
	compared func(*view) Compared // the fact that decided
	said     func(*view) []phrase // for the customer: what happened, then what can be done
	remedies func(*view) []Remedy // for the administrator
}

// reasons has every reason of package rules; a test holds it against them.
var reasons = map[rules.Reason]reason{
	rules.ReasonNoAuth:      {"No login where one is needed", noAuthCause, noAuthCompared, noAuthSaid, noAuthRemedies},
	rules.ReasonRelayNoAuth: {"Relaying without a login", relayCause, relayCompared, relaySaid, relayRemedies},

	rules.ReasonNoAuthUnknownLogin: {"Failed logins of no account here", unknownCause, loginCompared, unknownSaid, unknownRemedies},
	rules.ReasonLoginUnknown:       {"The login is no account here", unknownCause, loginCompared, unknownSaid, unknownRemedies},
	rules.ReasonNoAuthNotAddress:   {"Failed logins with a name that is no whole address", notWholeCause, wholeCompared, notWholeSaid, notWholeRemedies},
	rules.ReasonLoginNotAddress:    {"The login is no whole address", notWholeCause, wholeCompared, notWholeSaid, notWholeRemedies},
	rules.ReasonNoAuthDisabled:     {"Failed logins of a disabled account", disabledCause, disabledCompared, disabledSaid, disabledRemedies},
	rules.ReasonLoginDisabled:      {"The account is disabled", disabledCause, disabledCompared, disabledSaid, disabledRemedies},
	rules.ReasonLoginFailed:        {"Wrong password", failedCause, failedCompared, failedSaid, failedRemedies},

	rules.ReasonSenderDomain:     {"The sender is not of the account", senderCause, senderCompared, senderSaid, senderRemedies},
	rules.ReasonSenderAddress:    {"The sender is not the account's address", senderCause, senderCompared, senderSaid, senderRemedies},
	rules.ReasonSenderNotPlain:   {"The sender is no plain address", senderCause, senderCompared, senderSaid, senderRemedies},
	rules.ReasonSenderNotWebmail: {"The sender is for the webmail only", senderCause, senderCompared, senderSaid, senderRemedies},
	rules.ReasonHeaderDomain:     {"From or Sender of the header is not of the account", senderCause, senderCompared, senderSaid, headerSenderRemedies},
	rules.ReasonSenderNull:       {"The null sender is refused", nullCause, nullCompared, always(saidSenderNone, doOwnSender, doOwnSenderAny), nullRemedies},
	rules.ReasonHeaderMissing:    {"No From in the header", headerCause, headerCompared, always(saidHeaderNone, doFrom), headerRemedies},
	rules.ReasonHeaderSeveral:    {"More than one From in the header", headerCause, headerCompared, always(saidHeaderSeveral, doOneFrom), headerRemedies},
	rules.ReasonHeaderUnreadable: {"From or Sender of the header cannot be read", headerCause, headerCompared, always(saidHeaderUnreadable, doOwnSender, doFrom), headerRemedies},

	rules.ReasonBlocked:   {"The client is blocked after failed logins", blockCause, blockCompared, blockSaid, blockRemedies},
	rules.ReasonGuessed:   {"The login is being guessed", guessedCause, guessedCompared, always(saidGuessed, doNothingSlow, doStrongPassword), guessedRemedies},
	rules.ReasonForwarded: {"Another mail server passed the message on", forwardedCause, forwardedCompared, forwardedSaid, forwardedRemedies},
	rules.ReasonQuota:     {"The sending limit is reached", quotaCause, quotaCompared, quotaSaid, quotaRemedies},
	rules.ReasonDirectory: {"The directory could not answer", directoryCause, directoryCompared, always(saidDirectory, doLater), directoryRemedies},
}

// always is said of every entry of a reason.
func always(phrases ...phrase) func(*view) []phrase {
	return func(*view) []phrase { return phrases }
}

// unknown explains an entry of another version's reason.
var unknown = reason{
	title: "A reason of another version",
	cause: func(v *view) string { return "The rule " + v.Rule + " refused it (" + v.Reason + ")." },
	compared: func(v *view) Compared {
		return Compared{Fact: "reason", Found: v.Reason, Text: "the reason is of another version of Portreeve"}
	},
	said: always(saidOther, doTellUs),
	remedies: func(v *view) []Remedy {
		return []Remedy{{
			Text:    "This version has no words for the reason: the facts say from what it was decided.",
			Command: v.h.verb("explain", v.ID) + " --json",
		}}
	},
}

func titleOf(r string) string {
	if known, ok := reasons[rules.Reason(r)]; ok {
		return known.title
	}
	return r
}

// Of explains an entry with what the host knows today.
func Of(ctx context.Context, e journal.Entry, h Host, n Neighbours) (Explanation, error) {
	v, err := newView(ctx, e, &h)
	if err != nil {
		return Explanation{}, err
	}
	r, ok := reasons[rules.Reason(e.Reason)]
	if !ok {
		r = unknown
	}
	x := Explanation{
		Entry: e, Lang: h.Lang, Title: r.title, LastFailedLogin: v.lastFailed(),
		When: h.Lang.in().when(h.local(e.Time)), Cause: r.cause(v), Compared: r.compared(v),
		Remedies: []Remedy{}, Administrator: []string{}, Block: v.block, Around: v.around(n),
	}
	if _, known := columns[x.Lang]; !known {
		x.Lang = English
	}
	if x.Compared.Allowed == nil {
		x.Compared.Allowed = []string{}
	}
	x.CustomerCause, x.Customer = v.spoken(r.said(v))
	if e.Observed {
		x.Remedies = append(x.Remedies, Remedy{Text: "Nothing: the rule only observes; Portreeve let the client go on."})
	}
	x.Remedies = append(x.Remedies, r.remedies(v)...)
	for _, one := range x.Remedies {
		x.Administrator = append(x.Administrator, one.String())
	}
	return x, nil
}

var placeholder = regexp.MustCompile(`\{([a-z]+)\}`)

// spoken fills in what is read to the customer. A text that needs what is not
// known is left out.
func (v *view) spoken(phrases []phrase) (cause string, list []string) {
	c, values := v.h.Lang.in(), v.values()
	steps, suggested := []string{}, false
	if v.Observed {
		steps = append(steps, c.say(doNothingObserved, values))
	}
	cause = c.say(saidOther, values)
	for i, p := range phrases {
		switch {
		case !complete(p, values):
		case i == 0:
			cause = c.say(p, values)
		case p == doOwnSenderAny && v.whole(), p == doOwnSender && suggested && v.sender.suggestion == v.account:
		default:
			steps = append(steps, c.say(p, values))
			suggested = suggested || p == doSpelling || p == doCorrectSender
		}
	}
	return cause, steps
}

// complete tells whether there is a value for every placeholder of the text.
func complete(p phrase, values map[string]string) bool {
	for _, m := range placeholder.FindAllStringSubmatch(textsEN[p], -1) {
		if values[m[1]] == "" {
			return false
		}
	}
	return true
}
