//go:build real

package integration

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"portreeve/internal/explain"
	"portreeve/rules"
)

const (
	toldFailed   = `^550 5\.1\.0 \w{22} authentication failed$`
	toldRejected = `^535 5\.7\.8 Error: authentication failed: \w{22} authentication rejected$`
	toldDisabled = `authentication rejected access disabled$`
	toldBlocked  = `^535 5\.7\.8 Error: authentication failed: \w{22} Connection refused from 127\.1\.\d+\.\d+\. Too many authorization failures from this IP, try again later\.$`
)

// rightPassword enters the password of the mailbox.
func rightPassword(_ *stage, _ explain.Explanation, l *letter) { l.password = "" }

// suggestedLogin corrects the login to the account that was named first.
func suggestedLogin(st *stage, x explain.Explanation, l *letter) {
	if len(x.Compared.Allowed) == 0 {
		st.t.Fatalf("no account is suggested:\n%s", pretty(x))
	}
	l.login = x.Compared.Allowed[0]
}

// logIn turns authentication on.
func logIn(login string) func(*stage, explain.Explanation, *letter) {
	return func(_ *stage, _ explain.Explanation, l *letter) { l.login = login }
}

// Customers who are not logged in.
var loginSituations = []situation{
	{
		name:   "wrong password",
		letter: letter{login: "obchod@pekarna.test", password: "stare-heslo", goesOn: true, from: "obchod@pekarna.test"},
		told:   toldFailed, dialog: thunderbird,
		reason: rules.ReasonNoAuth, cause: `logins from its address within ten minutes before failed: "obchod@pekarna\.test" 1×`,
		remedy: customer{`^Enter the password of your mailbox again`, rightPassword},
	},
	{
		name:   "mistyped login",
		letter: letter{login: "info@kvetinny.test", password: "info-pass", from: "info@kvetiny.test"},
		told:   toldRejected, dialog: outlook,
		reason: rules.ReasonLoginUnknown, cause: `"info@kvetinny\.test" is not in the directory.*; info@kvetiny\.test is$`,
		remedy: customer{`^Compare the user name .* letter by letter`, suggestedLogin},
	},
	{
		name:   "login without domain",
		letter: letter{login: "sklad", from: "sklad@zelezarstvi.test"},
		told:   toldRejected,
		reason: rules.ReasonLoginNotAddress, cause: `is no whole e-mail address`,
		remedy: customer{`^As the user name of the outgoing server, enter your whole e-mail address`, logIn("sklad@zelezarstvi.test")},
	},
	{
		name:   "account that only Dovecot has",
		letter: letter{login: "rezervace@hotel.test", from: "rezervace@hotel.test"},
		told:   toldRejected,
		reason: rules.ReasonLoginUnknown, cause: `"rezervace@hotel\.test" is not in the directory`,
		remedy: administrator{`should be an account: add it to the directory`},
	},
	{
		name:   "account of a domain that only Dovecot has",
		letter: letter{login: "info@pension.test", from: "info@pension.test"},
		told:   toldRejected, dialog: thunderbird,
		reason: rules.ReasonLoginUnknown, cause: `pension\.test is no domain of this server`,
		remedy: administrator{`is no domain here yet`, `^Then add the account`},
	},
	{
		name:   "disabled account",
		letter: letter{login: "faktury@stavebniny.test", from: "faktury@stavebniny.test"},
		told:   toldDisabled, dialog: outlook,
		reason: rules.ReasonLoginDisabled, cause: `Sending is disabled for the account "faktury@stavebniny\.test"`,
		remedy: administrator{`^Let the account send again`},
	},
	{
		name:   "no AUTH",
		letter: letter{from: "recepce@hotel.test"},
		told:   toldFailed, dialog: thunderbird,
		reason: rules.ReasonNoAuth, cause: `it tried no login within ten minutes before; port 587 takes mail only after a login`,
		remedy: customer{`turn on authentication for the outgoing server`, logIn("recepce@hotel.test")},
	},
	{
		name:   "relay on 25",
		letter: letter{port: 25, from: "prodej@realitka.test"},
		told:   `^550 5\.1\.0 <kdosi@far\.test>: Recipient address rejected: \w{22} authentication failed$`, dialog: bounce,
		reason: rules.ReasonRelayNoAuth, cause: `far\.test is neither in the directory nor in relay\.local_domains, and there was no login`,
		remedy: customer{`turn on authentication for the outgoing server`, logIn("prodej@realitka.test")},
	},
	{
		name:   "POP of a disabled account",
		before: func(st *stage) { st.collect("archiv@muzeum.test") },
		letter: letter{from: "archiv@muzeum.test"},
		told:   `^550 5\.1\.0 \w{22} authentication rejected access disabled$`,
		reason: rules.ReasonLoginDisabled, cause: `authorised by its POP login as "archiv@muzeum\.test".*disabled`,
		remedy: administrator{`^Let the account send again`},
	},
	{
		name:   "login with a space at its end",
		letter: letter{login: "obchod@pekarna.test ", password: "obchod-pass", goesOn: true, from: "obchod@pekarna.test"},
		told:   `^550 5\.1\.0 \w{22} authentication rejected$`, dialog: thunderbird,
		reason: rules.ReasonNoAuthNotAddress, cause: `a name with characters that Dovecot does not accept in one`,
		remedy: customer{`^Compare the user name .* letter by letter`, func(_ *stage, _ explain.Explanation, l *letter) { l.login = "obchod@pekarna.test" }},
	},
	{
		name:   "POP of a neighbour behind the same address",
		before: func(st *stage) { st.collect("recepce@hotel.test") },
		letter: letter{from: "info@kvetiny.test"},
		told:   toldSender, dialog: func(reply string) string { return "The server said: " + strings.ToUpper(reply) },
		reason: rules.ReasonSenderDomain, cause: `Nobody logged in: the client is authorised by the POP login of "recepce@hotel\.test"`,
		remedy: customer{`^Let your mail program collect your mail first`, func(st *stage, _ explain.Explanation, _ *letter) { st.collect("info@kvetiny.test") }},
	},
	{
		name:   "blocked office with one stale phone",
		before: stalePhone,
		letter: letter{login: "dane@ucetni.test", from: "dane@ucetni.test"},
		told:   toldBlocked, dialog: outlook,
		reason: rules.ReasonBlocked, cause: `"mobil@ucetni\.test" repeated one wrong password.*; without these repeats there were 1\.`,
		remedy: administrator{`^Lift it at once`},
	},
}

// Those whose mail server gives every refused login an id.
var relaySituations = []situation{
	{
		name:   "wrong password at AUTH",
		letter: letter{login: "obchod@pekarna.test", password: "stare-heslo", from: "obchod@pekarna.test"},
		told:   `^535 5\.7\.8 Error: authentication failed: \w{22} authentication failed$`, dialog: outlook,
		reason: rules.ReasonLoginFailed, cause: `login as obchod@pekarna\.test failed: .* did not accept the password`,
		remedy: customer{`^Enter the password of your mailbox again`, rightPassword},
	},
	{
		name:   "mistyped login at AUTH",
		letter: letter{login: "inof@kvetiny.test", password: "info-pass", from: "info@kvetiny.test"},
		told:   toldRejected, dialog: thunderbird,
		reason: rules.ReasonLoginUnknown, cause: `"inof@kvetiny\.test" is not in the directory; info@kvetiny\.test is$`,
		remedy: customer{`^Compare the user name .* letter by letter`, suggestedLogin},
	},
	{
		name:   "login without domain at AUTH",
		letter: letter{login: "sklad", from: "sklad@zelezarstvi.test"},
		told:   toldRejected,
		reason: rules.ReasonLoginNotAddress, cause: `is no whole e-mail address`,
		remedy: customer{`^As the user name of the outgoing server, enter your whole e-mail address`, logIn("sklad@zelezarstvi.test")},
	},
	{
		name:   "disabled account at AUTH",
		letter: letter{login: "archiv@muzeum.test", from: "archiv@muzeum.test"},
		told:   toldDisabled, dialog: thunderbird,
		reason: rules.ReasonLoginDisabled, cause: `Sending is disabled for the account "archiv@muzeum\.test"`,
		remedy: administrator{`^Let the account send again`},
	},
}

// stalePasswords are what a phone sends whose password was changed elsewhere.
var stalePasswords = slices.Repeat([]string{"stare-heslo"}, 11)

func stalePhone(st *stage) { st.fail("mobil@ucetni.test", stalePasswords...) }

// guesses are n passwords.
func guesses(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("hadane-%d", i))
	}
	return list
}

// waitOut waits until the block ends, as the customer was told.
func waitOut(st *stage, x explain.Explanation, _ *letter) {
	if x.Block == nil || x.Block.Over || !strings.Contains(x.Cause, "It ends by itself at") {
		st.t.Fatalf("it is not said when the block ends:\n%s", pretty(x))
	}
	st.wait(time.Until(x.Block.Until) + time.Second)
}
