package mimic

import (
	"encoding/base64"
	"strings"
)

// auth is smtpd_sasl_type = dovecot with PLAIN and LOGIN. It tells whether the
// session goes on.
func (s *smtp) auth(rest string) bool {
	mechanism, initial, _ := strings.Cut(rest, " ")
	mechanism = strings.ToUpper(mechanism)
	switch {
	case s.helo == "":
		s.peer.say("503 5.5.1 Error: send HELO/EHLO first")
		return true
	case s.mail:
		s.peer.say("503 5.5.1 Error: MAIL transaction in progress")
		return true
	case s.milter.refused != "":
		s.peer.say(s.milter.refused) // FACTS.md 1.4
		return true
	case s.login != "":
		s.peer.say("503 5.5.1 Error: already authenticated")
		return true
	}
	var user, password string
	switch mechanism {
	case "PLAIN":
		response, ok := s.response(initial, "")
		parts := strings.Split(response, "\x00")
		if !ok || len(parts) != 3 {
			s.fail("")
			return ok
		}
		user, password = parts[1], parts[2]
	case "LOGIN":
		var ok bool
		if user, ok = s.response(initial, "Username:"); !ok {
			return false
		}
		if password, ok = s.response("", "Password:"); !ok {
			return false
		}
	default:
		s.fail("Invalid authentication mechanism")
		return true
	}
	s.finish(mechanism, user, password)
	return true
}

// response takes the initial response, or asks for one.
func (s *smtp) response(initial, challenge string) (text string, ok bool) {
	if initial == "" {
		s.peer.say("334 " + base64.StdEncoding.EncodeToString([]byte(challenge)))
		line, err := s.peer.line()
		if err != nil {
			return "", false
		}
		initial = line
	}
	raw, err := base64.StdEncoding.DecodeString(initial)
	if err != nil {
		return "", true // Dovecot: a user of that name is not known
	}
	return string(raw), true
}

// finish asks Dovecot. SMTP logins carry neither a session nor TLS (FACTS.md 2.5).
func (s *smtp) finish(mechanism, user, password string) {
	got := s.host.dovecot.check(attempt{
		protocol: s.service.name, client: s.client, login: user, password: password,
	})
	if !got.ok {
		s.fail(got.reason)
		return
	}
	s.login, s.mechanism = got.user, mechanism
	s.peer.say("235 2.7.0 Authentication successful")
}

// fail gives Dovecot's reason, which an ordinary wrong password has none of
// (FACTS.md 2.2).
func (s *smtp) fail(reason string) {
	s.peer.say("535 5.7.8 Error: authentication failed: " + or(reason, "(reason unavailable)"))
}
