package maillog

import (
	"regexp"
	"strings"
)

// pattern is one kind of line of one program. Its expression is matched against
// the whole text; the names of its groups are login, client, session, reason
// and service.
type pattern struct {
	kind    Kind
	program *regexp.Regexp // of the tag; nil: see dovecot
	starts  string         // a cheap test before the expression
	text    *regexp.Regexp
}

const (
	// An address is parsed afterwards; here it is only kept apart from other text.
	address = `(?P<client>[0-9A-Fa-f:.]+)`
	// Postfix, and the resolver for the others, let nothing else be a host's name;
	// the name is the client's choice (reverse DNS).
	hostName = `[A-Za-z0-9._-]+`
	// RFC 4422: nothing else is a mechanism. Postfix logs what the client sent,
	// which can be a quoted string with a whole log line in it.
	mechanism = `[A-Za-z0-9_-]{1,20}`
	// What Dovecot adds after the addresses: mpid=123, TLS, secured. There is
	// neither "=" nor ">" in the words, so that the login's end cannot be mistaken:
	// the last ">, method=" is the one that Dovecot wrote.
	dovecotTail = `(?:, mpid=[0-9]+)?(?:, [A-Za-z0-9 .:()/-]{1,64})*(?:, session=<(?P<session>[A-Za-z0-9+/]{1,64})>)?`
	// Courier's, after ip=[…]: again nothing with a "[", which the login could hold.
	courierTail = `(?:, port=\[[0-9]+\])?(?:, [a-z]+=[A-Za-z0-9]{1,20})*`
)

var (
	postfix = regexp.MustCompile(`^(?:[A-Za-z0-9._-]+/)+smtpd$`) // any syslog_name
	dovecot = regexp.MustCompile(`^(?:dovecot)?$`)               // syslog, or Dovecot's own file
	courier = regexp.MustCompile(`^(?P<service>pop3|imap)d(?:-ssl)?$`)
	cyrus   = regexp.MustCompile(`^(?:cyrus/)?(?P<service>pop3|imap)s?$`)
)

// patterns is all that is understood. For each there are recorded lines of each
// version in patterns_test.go.
var patterns = []pattern{
	{
		// smtpd_sasl_glue.c. The suffix exists from 3.5.22, 3.6.12, 3.7.8, 3.8.3 and
		// 3.9.0; the port with smtpd_client_port_logging.
		kind: AuthFailed, program: postfix, starts: "warning: ",
		text: whole(`warning: ` + hostName + `\[` + address + `\](?::[0-9]+)?: SASL ` + mechanism + ` authentication failed:(?P<reason>.*)`),
	},
	{
		// 2.3 says Login, 2.4 Logged in. The login is cut at 80 bytes.
		kind: LoggedIn, program: dovecot,
		text: whole(`(?P<service>pop3|imap)-login: (?:Info: )?(?:Login|Logged in): user=<(?P<login>.*)>, method=` + mechanism +
			`, rip=` + address + `, lip=[0-9A-Fa-f:.]+` + dovecotTail),
	},
	{
		// mail_log_prefix's default since 2.3. A time-out is no logout: the client was
		// gone long before.
		kind: LoggedOut, program: dovecot,
		text: whole(`(?P<service>pop3|imap)\((?P<login>.*)\)<[0-9]+><(?P<session>[A-Za-z0-9+/]{1,64})>: (?:Info: )?Disconnected: (?:Logged out|Connection closed)[^>]*`),
	},
	{
		kind: LoggedIn, program: courier, starts: "LOGIN, ",
		text: whole(`LOGIN, user=(?P<login>.*), ip=\[` + address + `\]` + courierTail),
	},
	{
		kind: LoggedOut, program: courier,
		text: whole(`(?:LOGOUT|DISCONNECTED), user=(?P<login>.*), ip=\[` + address + `\]` + courierTail),
	},
	{
		// The host's name is missing where it has none. Cyrus logs no end of a POP3 session.
		kind: LoggedIn, program: cyrus, starts: "login: ",
		text: whole(`login: (?:` + hostName + ` )?\[` + address + `\] (?P<login>[^ ]+) [A-Za-z0-9_+-]{1,40} User logged in(?: SESSIONID=<[^<> ]*>)?`),
	},
}

// whole anchors an expression at both ends.
func whole(expression string) *regexp.Regexp {
	return regexp.MustCompile(`^(?:` + expression + `)$`)
}

// notTheClient are reasons that Postfix logs for a failure which is no wrong
// password (FACTS.md section 4). Each is matched from its beginning.
var notTheClient = []string{
	// Dovecot is away, or broken (xsasl_dovecot_server.c).
	"Connection lost to authentication server",
	"Can't connect to authentication server",
	"Authentication backend error",
	// Nothing was checked: a client that cannot do it, or does not try.
	"Invalid authentication mechanism",
	"Invalid base64 data",
	// Cyrus SASL's sasl_errstring(). "generic failure" is a saslauthd that does not
	// run and a sasldb that may not be read; a wrong password and an unknown login
	// are "authentication failure" with both (recorded). "another step" is AUTH PLAIN
	// with "=", an initial response of no bytes.
	"generic failure",
	"another step is needed in authentication",
	"no memory available",
	"overflowed buffer",
	"no mechanism available",
	"bad protocol / cancel",
	"can't request information until later in exchange",
	"invalid parameter supplied",
	"transient failure",
	"remote authentication server unavailable",
	"mechanism doesn't support requested feature",
	"mechanism too weak for this user",
	"encryption needed to use mechanism",
	"user exists, but no verifier for user",
	"One time use of a plaintext password will enable requested mechanism for user",
	"error when parsing configuration file",
	"SASL library is not initialized",
	"version mismatch with plug-in",
}

// clientsFault tells whether a reason stands for a login that was tried and was wrong.
// A text that is not known is taken for one: policy servers write their own.
func clientsFault(reason string) bool {
	for _, r := range notTheClient {
		if strings.HasPrefix(reason, r) {
			return false
		}
	}
	return !ours(reason)
}
