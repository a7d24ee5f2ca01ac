//go:build real

package integration

import (
	"portreeve/internal/explain"
	"portreeve/rules"
)

const (
	toldRelay = `^550 5\.1\.0 \w{22} relay rejected$`
	toldQuota = `^450 4\.7\.1 \w{22} sending limit reached, try again later$`
)

// Messages that are refused for what they are, or for their number.
var messageSituations = []situation{
	{
		name: "smart-hosting server",
		letter: letter{
			login: "posta@strojirna.test", from: "vyroba@strojirna.test",
			header: "Received: from pc7.strojirna.test (pc7.strojirna.test [192.168.1.7])\n" +
				"\tby mail.strojirna.test (Postfix) with ESMTPS id 4ZxK2m1c0Kz9\n\tfor <kdosi@far.test>; Thu, 1 Jan 2026 10:00:00 +0100 (CET)\n" +
				"From: <vyroba@strojirna.test>\n",
		},
		told: toldRelay, dialog: bounce,
		reason: rules.ReasonForwarded, cause: `came through another mail server before it was sent with the login "posta@strojirna\.test" \(Received: from pc7\.strojirna\.test`,
		remedy: administrator{`may pass on other servers' mail`},
	},
	{
		name: "application server with local Postfix",
		letter: letter{
			login: "web@knihkupectvi.test", from: "web@knihkupectvi.test",
			header: "Received: from shop.knihkupectvi.test (localhost [127.0.0.1])\n" +
				"\tby shop.knihkupectvi.test (Postfix) with ESMTP id 4ZxK2m1c0Kz9; Thu, 1 Jan 2026 10:00:00 +0100 (CET)\n" +
				"From: <web@knihkupectvi.test>\n",
		},
		told: toldRelay, dialog: bounce,
		reason: rules.ReasonForwarded, cause: `was handed by a program to a mail server on its own machine`,
		remedy: administrator{`may pass on other servers' mail`},
	},
	{
		name: "redirecting mail program",
		letter: letter{
			login: "spis@advokati.test", from: "spis@advokati.test",
			header: "Received: from mx.test (mx.test [192.0.2.1]) by imap.test with LMTP; Thu, 1 Jan 2026 10:00:01 +0100\n" +
				"Received: from klient.test (klient.test [192.0.2.77]) by mx.test (Postfix) with ESMTPS id 4ZxK2m1c0Kz9;\n" +
				"\tThu, 1 Jan 2026 10:00:00 +0100 (CET)\n" +
				"From: <podatelna@advokati.test>\n",
		},
		told: toldRelay, dialog: outlook,
		reason: rules.ReasonForwarded, cause: `the message has a Received field of another mail server; one that comes from its author's program has none`,
		remedy: customer{`use Forward`, func(_ *stage, _ explain.Explanation, l *letter) {
			l.header = "From: <spis@advokati.test>\n" // a message of one's own, with the other one inside
		}},
	},
	{
		name:   "two Froms, from a program that can be mended",
		letter: letter{login: "atelier@fotograf.test", from: "atelier@fotograf.test", header: "From: <atelier@fotograf.test>\nFrom: Foto <atelier@fotograf.test>\n"},
		told:   toldSender,
		reason: rules.ReasonHeaderSeveral, cause: `more than one From field`,
		remedy: customer{`may name its sender only once`, func(_ *stage, _ explain.Explanation, l *letter) { l.header = "" }},
	},
	{
		name:   "quota by messages",
		before: func(st *stage) { st.send(letter{login: "vystavy@galerie.test", from: "vystavy@galerie.test"}) },
		letter: letter{login: "vystavy@galerie.test", from: "vystavy@galerie.test"},
		told:   toldQuota, dialog: thunderbird,
		reason: rules.ReasonQuota, cause: `messages of the hour: 1 used or under way, 1 allowed`,
		remedy: administrator{`^Start the hour afresh`},
	},
	{
		name:   "quota by recipients",
		letter: letter{login: "zpravodaj@skola.test", from: "zpravodaj@skola.test", to: []string{"a@far.test", "b@far.test", "c@far.test"}},
		told:   toldQuota,
		reason: rules.ReasonQuota, cause: `recipients of the hour: 2 used or under way, 2 allowed`,
		remedy: administrator{`^Let the account send more recipients an hour`},
	},
}

// Those of hosts without a milter, where Postfix gives the reply.
var policySituations = []situation{
	{
		name:   "no AUTH, from the policy service",
		letter: letter{from: "recepce@hotel.test"},
		told:   `^550 5\.1\.0 <recepce@hotel\.test>: Sender address rejected: \w{22} authentication failed$`, dialog: outlook,
		reason: rules.ReasonNoAuth, cause: `it tried no login within ten minutes before`,
		remedy: customer{`turn on authentication for the outgoing server`, logIn("recepce@hotel.test")},
	},
	{
		name:   "missing alias, from the policy service",
		letter: letter{login: "info@cukrarna.test", from: "info@cukrarna-brno.test"},
		told:   `^550 5\.1\.0 <info@cukrarna-brno\.test>: Sender address rejected: <info@cukrarna-brno\.test> sender rejected$`, dialog: bounce,
		reason: rules.ReasonSenderDomain, cause: `cukrarna-brno\.test is not`,
		remedy: administrator{`belongs to the same customer: make it an alias`},
	},
	{
		name:   "quota by messages, from the policy service",
		before: func(st *stage) { st.send(letter{login: "vystavy@galerie.test", from: "vystavy@galerie.test"}) },
		letter: letter{login: "vystavy@galerie.test", from: "vystavy@galerie.test"},
		told:   `^450 4\.7\.1 <.*>: .* rejected: \w{22} sending limit reached, try again later$`,
		reason: rules.ReasonQuota, cause: `messages of the hour: 1 used or under way, 1 allowed`,
		remedy: administrator{`^Let the account send more messages an hour`},
	},
}
