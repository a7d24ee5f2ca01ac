package main

import "encoding/base64"

// scene is one session of the transcript.
type scene struct {
	title  string
	from   string // the client's address
	port   int
	repeat int // how often the lines are played; the last time is shown
	lines  []string
}

// plain is AUTH PLAIN with its response (RFC 4616).
func plain(user, password string) string {
	return "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password))
}

// scenes are the documented refusals, in the order of SPEC.md section 2, and
// what is let through beside them.
var scenes = []scene{
	{
		title: "Submission without AUTH", from: "127.1.0.1", port: 587,
		lines: []string{"MAIL FROM:<jan.novak@domena.cz>"},
	},
	{
		title: "A login that is no whole address", from: "127.1.0.2", port: 587,
		lines: []string{plain("jan.novak", "jan.novak-pass"), "MAIL FROM:<jan.novak@domena.cz>"},
	},
	{
		title: "A login that is no account here, but that Dovecot accepts", from: "127.1.0.3", port: 587,
		lines: []string{plain("ghost@domena.cz", "ghost-pass"), "MAIL FROM:<ghost@domena.cz>"},
	},
	{
		title: "An account whose SMTP access is disabled", from: "127.1.0.4", port: 587,
		lines: []string{plain("eva@domena.cz", "eva-pass"), "MAIL FROM:<eva@domena.cz>"},
	},
	{
		title: "Somebody else's sender address; then the account's own, and its alias domain's", from: "127.1.0.5", port: 587,
		lines: []string{
			plain("jan.novak@domena.cz", "jan.novak-pass"),
			"MAIL FROM:<jan.novak@seznam.cz>",
			"MAIL FROM:<jan.novak@domena.cz>", "RSET", "MAIL FROM:<jan.novak@domena.eu>",
		},
	},
	{
		title: "A third-level domain of a hosted domain", from: "127.1.0.6", port: 587,
		lines: []string{plain("karel@b.cz", "karel-pass"), "MAIL FROM:<karel@a.b.cz>"},
	},
	{
		title: "Mail that another mail server passes on, after AUTH", from: "127.1.0.7", port: 587,
		lines: []string{
			plain("jan.novak@domena.cz", "jan.novak-pass"), "MAIL FROM:<jan.novak@domena.cz>", "RCPT TO:<friend@example.com>", "DATA",
			"Received: from pc.example (pc.example [192.0.2.7]) by mail.example with ESMTP id 1; Mon, 1 Jan 2024 00:00:00 +0000\r\n" +
				"From: <jan.novak@domena.cz>\r\nSubject: passed on\r\n\r\nHello\r\n.",
		},
	},
	{
		title: "Relaying through port 25 without AUTH; mail for a domain of this server is taken", from: "127.1.0.8", port: 25,
		lines: []string{"MAIL FROM:<friend@example.com>", "RCPT TO:<petr@domena.eu>", "RCPT TO:<stranger@example.net>"},
	},
	{
		title: "Eleven wrong passwords from one address, and a twelfth attempt", from: "127.1.0.10", port: 587, repeat: 12,
		lines: []string{plain("jan.novak@domena.cz", "wrong"), "MAIL FROM:<jan.novak@domena.cz>"},
	},
}
