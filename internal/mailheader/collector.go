package mailheader

import (
	"strings"
	"unicode/utf8"

	"portreeve/rules"
)

// The budget of one message. A header beyond it is still read to its end, but
// only what changes rule 7's outcome is kept.
const (
	maxTrail     = 128  // fields
	maxAuthors   = 8    // From and Sender fields; more than one From is refused anyway
	maxAddresses = 100  // in one field
	maxText      = 1024 // bytes of a field's body, for the journal
	maxAddress   = 320  // bytes: 64, @, 255 (RFC 5321 section 4.5.3.1)
)

// Collector gathers what the rules need of one message's header, field by
// field. The zero value is ready.
type Collector struct {
	trail   []rules.TrailField
	hop     bool // a hop is among them
	authors []rules.AddressField
	crowded bool // more authors than room
}

// Reset forgets the message.
func (c *Collector) Reset() { *c = Collector{} }

// Add takes the next field of the header. The name may end in white space
// (Postfix passes on "from :" as "from").
func (c *Collector) Add(name, value string) {
	switch name = strings.TrimRight(name, " \t"); {
	case strings.EqualFold(name, "Received"):
		c.addReceived(value)
	case strings.EqualFold(name, "Resent-From") && len(c.trail) < maxTrail:
		c.trail = append(c.trail, rules.TrailField{
			Kind: rules.TrailResent, Addresses: addresses(value), Text: shown(value),
		})
	case strings.EqualFold(name, "From"), strings.EqualFold(name, "Sender"):
		if len(c.authors) >= maxAuthors {
			c.crowded = true
			return
		}
		c.authors = append(c.authors, rules.AddressField{
			Sender: strings.EqualFold(name, "Sender"), Addresses: addresses(value), Text: shown(value),
		})
	}
}

// addReceived keeps the first hop whatever the budget says: rule 7 asks for it
// and for the Resent-From fields above it, so that a Resent-From that found no
// room can only make the rule stricter.
func (c *Collector) addReceived(value string) {
	full := len(c.trail) >= maxTrail
	if full && c.hop {
		return
	}
	kind := ParseReceived(value)
	if full && kind != rules.TrailHop {
		return
	}
	c.hop = c.hop || kind == rules.TrailHop
	c.trail = append(c.trail, rules.TrailField{Kind: kind, Text: shown(value)})
}

// Message is what was gathered. It stays valid after Reset.
func (c *Collector) Message() *rules.Message {
	return &rules.Message{Trail: c.trail, Authors: c.authors, Crowded: c.crowded}
}

// addresses are those of an address field; none if it is no address list or an
// unreasonable one: a Resent-From then exempts nothing, a From is refused.
func addresses(value string) []string {
	list, ok := ParseAddresses(value)
	if !ok || len(list) > maxAddresses {
		return nil
	}
	for i, a := range list {
		if len(a) > maxAddress {
			return nil
		}
		list[i] = strings.Clone(a) // not the whole field with it
	}
	return list
}

// shown is the field's body on one line, cut for the journal.
func shown(value string) string {
	if len(value) > 2*maxText {
		value = value[:2*maxText]
	}
	s := strings.Join(strings.Fields(value), " ")
	if len(s) <= maxText {
		return s
	}
	end := maxText
	for end > maxText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.Clone(s[:end])
}
