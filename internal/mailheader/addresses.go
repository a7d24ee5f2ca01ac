package mailheader

import (
	"io"
	"mime"
	"net/mail"
	"strings"
)

// ParseAddresses reads the body of a From or Resent-From field: the addresses
// of a mailbox list, those in groups too (RFC 5322 section 3.4, RFC 6854). What
// is not such a list, to the letter, is false. Display names and comments are
// skipped, never read. A local part that is no dot-atom keeps its quotes, so
// that "a@x.cz"@y.cz cannot be taken for another address.
func ParseAddresses(value string) ([]string, bool) {
	if !foldsOnly(value) {
		return nil, false
	}
	// Old mail programs put names into the header in whatever charset they have.
	// No byte above 127 means anything to the grammar, and a replacement character
	// in an address makes it nobody's.
	value = strings.ToValidUTF8(value, "\uFFFD")
	// Unfolding removes the line end and keeps the white space after it (RFC
	// 5322 section 2.2.3); net/mail expects it done.
	list, err := lenientNames.ParseList(unfold.Replace(value))
	if err != nil {
		return nil, false
	}
	addresses := make([]string, len(list))
	for i, a := range list {
		// String quotes what needs it; without a name it is <address>.
		s := (&mail.Address{Address: a.Address}).String()
		addresses[i] = strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">")
	}
	return addresses, true
}

var unfold = strings.NewReplacer("\r\n", "", "\n", "")

// lenientNames does not fail for a display name in a charset that Go does not
// know: names are thrown away.
var lenientNames = mail.AddressParser{WordDecoder: &mime.WordDecoder{
	CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil },
}}

// foldsOnly tells whether the only control characters are tabs and the line
// ends of folding, before a space or a tab (Postfix hands them on as LF).
func foldsOnly(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\r':
			if i+1 >= len(s) || s[i+1] != '\n' {
				return false
			}
		case c == '\n':
			if i+1 >= len(s) || (s[i+1] != ' ' && s[i+1] != '\t') {
				return false
			}
		case c != '\t' && (c < ' ' || c == 0x7f):
			return false
		}
	}
	return true
}
