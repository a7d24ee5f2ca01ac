//go:build real

package integration

import (
	"slices"
	"strings"

	"portreeve/integration/real"
)

// situationHosts is the table. On most hosts remedies concern one account
// each, so that customers call at the same time; on the last one they change settings.
var situationHosts = []situationHost{
	{
		name: "submission", recipe: real.RecipeMilter,
		settings:   map[string]any{"sender.header_from": "enforce", "smtp_after_pop.enabled": true},
		situations: slices.Concat(loginSituations, senderSituations, messageSituations),
	},
	{
		// The relay gives an id to a wrong password, too.
		name: "sasl-relay", recipe: real.RecipeSASL,
		situations: relaySituations,
	},
	{
		// Postfix puts words of its own in front of every reply.
		name: "policy-only", recipe: real.RecipePolicy,
		situations: policySituations,
	},
	{
		name: "settings", recipe: real.RecipeMilter, alone: true,
		situations: slices.Concat(settingSituations, directorySituations),
	},
}

// The texts around a reply, as customers paste them.

// outlook shows one line, and wraps none.
func outlook(reply string) string {
	return "Úloha 'obchod - Odesílání' ohlásila chybu (0x800CCC78): 'Zprávu nelze odeslat. Ověřte e-mailovou adresu ve vlastnostech účtu. Odpověď serveru: " + reply + "'"
}

// thunderbird puts the reply into a sentence.
func thunderbird(reply string) string {
	return "Chyba při odesílání zprávy\n\nPři odesílání zprávy došlo k chybě. Poštovní server odpověděl:\n" + reply + ".\nZkontrolujte prosím zprávu a zkuste to znovu."
}

// bounce is the notice of a mail server, forwarded by its reader: wrapped and
// quoted.
func bounce(reply string) string {
	code, rest, _ := strings.Cut(reply, " ")
	return "> This is the mail system at host mail.zakaznik.test.\n>\n" +
		"> <kdosi@far.test>: host mx.test[192.0.2.1] said:\n>     " + code + " " + rest + "\n>     (in reply to end of DATA command)\n" +
		">\n> Final-Recipient: rfc822; kdosi@far.test\n> Action: failed\n> Status: 5.1.0\n> Diagnostic-Code: smtp;\n>     " + reply + "\n"
}
