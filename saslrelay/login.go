package saslrelay

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// loginIn finds the login in a client's first response, which is base64. Both
// mechanisms have the password after it (in the same response, or the next), so
// what was decoded is overwritten. ok is false when the mechanism is another one
// or Dovecot would not understand the response either; then its answer names the
// login, if anything does.
//
// PLAIN (RFC 4616) is authzid NUL authcid NUL password, and the authcid's
// password is checked. LOGIN (draft-murchison-sasl-login) is the login alone.
func loginIn(mechanism string, response []byte) (login string, ok bool) {
	plain := strings.EqualFold(mechanism, "PLAIN") // Postfix passes it as the client wrote it
	if !plain && !strings.EqualFold(mechanism, "LOGIN") {
		return "", false
	}
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(response)))
	defer clear(decoded)
	n, err := base64.StdEncoding.Decode(decoded, response)
	if err != nil {
		return "", false
	}
	text := decoded[:n]
	if plain {
		parts := bytes.SplitN(text, []byte{0}, 3)
		if len(parts) != 3 {
			return "", false
		}
		text = parts[1]
	}
	return string(text), bytes.IndexByte(text, 0) < 0
}
