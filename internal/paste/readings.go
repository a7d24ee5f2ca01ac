package paste

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"regexp"
	"strings"
	"unicode/utf8"
)

// readings are the text and what it says once encodings are undone: the source of
// a message is quoted-printable or base64, a page or a rich text has tags, and an
// answer has quoting marks. What is found in one of them is found. Together they
// are a few times as long as the text at most.
func readings(text string) []string {
	list := append([]string{}, decoded(tidy(text))...)
	for _, body := range base64Bodies(list[0]) {
		list = append(list, decoded(tidy(body))...)
	}
	for _, t := range list {
		if quoted.MatchString(t) {
			list = append(list, quoted.ReplaceAllString(t, ""))
		}
	}
	return list
}

// quoted are the quoting marks of a line.
var quoted = regexp.MustCompile(`(?m)^[ \t]*(?:[>|][ \t]?)+`)

// decoded is the text, and the text without quoted-printable and tags where it
// has some.
func decoded(text string) []string {
	list := []string{text}
	if strings.Contains(text, "=\n") || encodedByte.MatchString(text) {
		list = append(list, tidy(quotedPrintable(text)))
	}
	for _, t := range list {
		if strings.Contains(t, "&") || tag.MatchString(t) {
			list = append(list, tidy(untagged(t)))
		}
	}
	return list
}

// invisible are characters that web pages and mail programs put into long words.
var invisible = strings.NewReplacer(
	"\r\n", "\n", "\r", "\n", "\u00a0", " ", "\u202f", " ", "\u2028", "\n",
	"\x00", "", // the halves of UTF-16
	"\u200b", "", "\u200c", "", "\u200d", "", "\u2060", "", "\ufeff", "", "\u00ad", "",
)

func tidy(text string) string { return invisible.Replace(text) }

// encodedByte is a byte in quoted-printable (RFC 2045 section 6.7).
var encodedByte = regexp.MustCompile(`=[0-9A-Fa-f]{2}`)

// softBreak is a line break that is none.
var softBreak = regexp.MustCompile(`=[ \t]*\n`)

func quotedPrintable(text string) string {
	text = softBreak.ReplaceAllString(text, "")
	return encodedByte.ReplaceAllStringFunc(text, func(s string) string {
		b, err := hex.DecodeString(s[1:])
		if err != nil {
			return s
		}
		return string(b)
	})
}

// tag is a tag of HTML by its name: <jan@seznam.cz> is none.
var tag = regexp.MustCompile(`(?i)</?(?:a|abbr|b|blockquote|body|br|center|code|dd|div|dl|dt|em|font|h[1-6]|head|hr|html|i|img|li|meta|o:p|ol|p|pre|s|small|span|strong|style|sub|sup|table|tbody|td|th|thead|title|tr|tt|u|ul|wbr)(?:\s[^<>]*)?/?>`)

// inline are tags that a word may have in it.
var inline = regexp.MustCompile(`(?i)^</?(?:a|abbr|b|code|em|font|i|s|small|span|strong|sub|sup|tt|u|wbr)[\s/>]`)

func untagged(text string) string {
	text = tag.ReplaceAllStringFunc(text, func(t string) string {
		if inline.MatchString(t) {
			return ""
		}
		return "\n"
	})
	once := html.UnescapeString(text)
	if strings.Contains(once, "&") { // a ticket system escapes what was escaped
		return html.UnescapeString(once)
	}
	return once
}

// base64Line is a line of a body in base64, as mail programs write it.
var base64Line = regexp.MustCompile(`^[ \t>]*([A-Za-z0-9+/]{4,}={0,2})[ \t]*$`)

// base64Least is the length from which lines are taken for base64, in bytes: an id
// alone is 22.
const base64Least = 28

// base64Bodies are the texts that stand in the text in base64.
func base64Bodies(text string) []string {
	var bodies []string
	var body strings.Builder
	end := func() {
		if body.Len() >= base64Least {
			// Cut to whole groups: a pasted part may begin or end anywhere.
			encoded := strings.TrimRight(body.String(), "=")
			raw, err := base64.RawStdEncoding.DecodeString(encoded[:len(encoded)-len(encoded)%4])
			if err == nil && utf8.Valid(raw) {
				bodies = append(bodies, string(raw))
			}
		}
		body.Reset()
	}
	for line := range strings.SplitSeq(text, "\n") {
		m := base64Line.FindStringSubmatch(line)
		if m == nil {
			end()
			continue
		}
		body.WriteString(m[1])
		if strings.HasSuffix(m[1], "=") {
			end()
		}
	}
	end()
	return bodies
}
