//go:build real

package integration

import (
	"regexp"

	"portreeve/internal/explain"
	"portreeve/rules"
)

const toldSender = `^550 5\.1\.0 <.+> sender rejected$`

// theCustomers is an address in a step that the customer is read.
var theCustomers = regexp.MustCompile(`[\pL0-9.]+@[\pL0-9.-]+\pL`)

// readAddress takes the sender's address from the step that was read.
func readAddress(step string) customer {
	return customer{step, func(st *stage, x explain.Explanation, l *letter) {
		for _, said := range x.Customer {
			if regexp.MustCompile(step).MatchString(said) {
				l.from = theCustomers.FindString(said)
				return
			}
		}
	}}
}

// Customers whose sender is refused. Such a reply has no id.
var senderSituations = []situation{
	{
		name:   "freemail sender",
		letter: letter{login: "info@kavarna.test", from: "kavarna.brno@seznam.cz"},
		told:   toldSender, dialog: outlook,
		reason: rules.ReasonSenderDomain, cause: `seznam\.cz is a public mail provider`,
		remedy: administrator{`^If it should work from everywhere`},
	},
	{
		name:   "other customer's domain",
		letter: letter{login: "servis@autodily.test", from: "servis@pneu.test"},
		told:   toldSender,
		reason: rules.ReasonSenderDomain, cause: `pneu\.test is hosted here for somebody else \(pneu\.test, pneumatiky\.test\)`,
		remedy: customer{`^To send as servis@pneu\.test, log in .* with a mailbox of pneu\.test`, logIn("servis@pneu.test")},
	},
	{
		name:   "missing alias",
		letter: letter{login: "info@cukrarna.test", from: "info@cukrarna-brno.test"},
		told:   toldSender, dialog: thunderbird,
		reason: rules.ReasonSenderDomain, cause: `cukrarna-ostrava\.test is an alias of cukrarna\.test, cukrarna-brno\.test is not`,
		remedy: administrator{`belongs to the same customer: make it an alias`},
	},
	{
		name:   "third-level domain",
		letter: letter{login: "eshop@papir.test", from: "objednavky@shop.papir.test"},
		told:   toldSender, dialog: bounce,
		reason: rules.ReasonSenderDomain, cause: `shop\.papir\.test is a third-level domain of papir\.test`,
		remedy: administrator{`should send all the same: list it as an alias`},
	},
	{
		name:   "mistyped sender",
		letter: letter{login: "info@optika.test", from: "info@optyka.test"},
		told:   toldSender, dialog: thunderbird,
		reason: rules.ReasonSenderDomain, cause: `optyka\.test is one letter from optika\.test`,
		remedy: readAddress(`^If you meant .* correct the sender address`),
	},
	{
		name:   "webmail identity from a phone",
		letter: letter{login: "obchod@zahrada.test", from: "zahradnictvi@email.cz"},
		told:   toldSender, dialog: outlook,
		reason: rules.ReasonSenderNotWebmail, cause: `stored as an external sender.*holds in the webmail only, and 127\.1\.\d+\.\d+ is not in networks\.webmail`,
		remedy: administrator{`may use its external senders from everywhere`},
	},
	{
		name:   "U-label sender",
		letter: letter{login: "info@xn--haky-hua.cz", from: "info@HAČKY.cz", utf8: true, header: "From: <info@xn--haky-hua.cz>\n"},
		told:   toldSender,
		reason: rules.ReasonSenderNotPlain, cause: `its domain is another spelling of hačky\.cz \(xn--haky-hua\.cz\)`,
		remedy: readAddress(`^Write the sender address plainly`),
	},
	{
		name:   "sender without its accents",
		letter: letter{login: "info@xn--haky-hua.cz", from: "info@hacky.cz", header: "From: <info@xn--haky-hua.cz>\n"},
		told:   toldSender, dialog: outlook,
		reason: rules.ReasonSenderDomain, cause: `hacky\.cz is one letter from hačky\.cz \(xn--haky-hua\.cz\)`,
		remedy: customer{`^If you meant info@hačky\.cz, correct the sender address`, func(_ *stage, _ explain.Explanation, l *letter) { l.from = "info@xn--haky-hua.cz" }},
	},
	{
		name:   "quoted sender",
		letter: letter{login: "info@sklenar.test", from: `"info sklo"@sklenar.test`, header: "From: <info@sklenar.test>\n"},
		told:   toldSender,
		reason: rules.ReasonSenderNotPlain, cause: `it has quotation marks`,
		remedy: readAddress(`^(Write the sender address plainly|In your mail program, set the sender address)`),
	},
	{
		name:   "From unlike the envelope",
		letter: letter{login: "program@divadlo.test", from: "program@divadlo.test", header: "From: Divadlo <program@divadlo-praha.test>\n"},
		told:   toldSender, dialog: thunderbird,
		reason: rules.ReasonHeaderDomain, cause: `"program@divadlo-praha\.test", which the message's header names as From or Sender, is not of the account`,
		remedy: administrator{`belongs to the same customer: make it an alias`},
	},
	{
		name:   "null sender with foreign From, in a program that can be mended",
		letter: letter{login: "sklad@lekarna.test", header: "From: <sklad@lekarna-jinde.test>\n"},
		told:   toldSender,
		reason: rules.ReasonHeaderDomain, cause: `lekarna-jinde\.test is neither its domain nor an alias`,
		remedy: customer{`set the sender address to sklad@lekarna\.test`, func(_ *stage, _ explain.Explanation, l *letter) {
			l.header = "From: <sklad@lekarna.test>\n"
		}},
	},
}
