package paste

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"portreeve/rules"
)

// shownAddress is the address in such a reply, and what mail programs make of it:
// they wrap lines anywhere, make links of addresses, or take the angle brackets
// for a tag and leave them out.
const shownAddress = `(?:` +
	`<([^<>\n]*(?:\n[ \t]*[^<>\n]+)?)>` + // <jan@seznam.cz>, on two lines perhaps
	`|<([^<>\n]*)[ \t]*<mailto:[^<>\n]*>>` + // <jan@seznam.cz<mailto:jan@seznam.cz>>
	`|\[([^\[\]\n]*@[^\[\]\n]*)\]\(mailto:[^()\n]*\)` + // [jan@seznam.cz](mailto:jan@seznam.cz)
	`|([^\s<>"'()\[\]&;«»‹›„“”‚‘’]+@[^\s<>"'()\[\]&;«»‹›„“”‚‘’]+)["')\]»›“”‘’]*` + // jan@seznam.cz
	`)`

// gap is what may stand between two words of a reply: white space, and the marks
// of a quoted text that was wrapped.
const gap = `[\s>|]+`

// documented is the sender rule's own text (SPEC.md section 2).
var documented = replyPattern(rules.DefaultReplies()[rules.RuleSender].Text)

// senderReplies are the replies that carry an address and no id: the documented
// one, which somebody may have had before it was changed, and that of [replies].
func senderReplies(text string) []*regexp.Regexp {
	list := []*regexp.Regexp{documented}
	if text != "" && text != rules.DefaultReplies()[rules.RuleSender].Text {
		if own := replyPattern(text); own != nil {
			list = append(list, own)
		}
	}
	return list
}

// leastWords are the letters that a reply must have besides its address, so that
// not every address in a text is taken for one.
const leastWords = 5

// replyPattern finds a text of [replies]; nil for one that shows no address, or
// that can be found by its id.
func replyPattern(text string) *regexp.Regexp {
	before, after, found := strings.Cut(text, "{sender}")
	if !found || strings.Contains(text, "{id}") {
		return nil
	}
	if strings.HasSuffix(before, "<") && strings.HasPrefix(after, ">") {
		before, after = before[:len(before)-1], after[1:]
	}
	if len(strings.Join(strings.FieldsFunc(before+after, func(r rune) bool { return r == ' ' || r == '<' || r == '>' }), "")) < leastWords {
		return nil
	}
	return regexp.MustCompile(literally(before) + shownAddress + literally(after))
}

// literally is a part of a reply in any case, with gaps for its spaces.
func literally(part string) string {
	pieces := strings.Split(part, " ")
	for i, p := range pieces {
		for _, placeholder := range []string{"{ip}", "{sender}"} {
			pieces[i] = strings.ReplaceAll(pieces[i], placeholder, "\x00")
		}
		p = regexp.QuoteMeta(pieces[i])
		pieces[i] = strings.ReplaceAll(p, "\x00", `\S+`)
	}
	return "(?i:" + strings.Join(pieces, gap) + ")"
}

func (f *Found) senders(text string, reply *regexp.Regexp, zone *time.Location) {
	for _, m := range reply.FindAllStringSubmatchIndex(text, maxReplies) {
		sender := ""
		for group := 2; group < len(m); group += 2 {
			if m[group] >= 0 {
				sender = text[m[group]:m[group+1]]
			}
		}
		if strings.Contains(sender, "=\n") || tag.MatchString("<"+sender+">") {
			continue // quoted-printable, or HTML; another reading has it whole
		}
		sender = wrapped.ReplaceAllString(strings.TrimPrefix(sender, "mailto:"), "")
		if len(sender) > rules.MaxSenderBytes {
			continue
		}
		if !slices.Contains(f.Senders, sender) {
			f.Senders = append(f.Senders, sender)
		}
		f.times(text, m[0], m[1], zone)
	}
}

// wrapped is a line's end inside an address.
var wrapped = regexp.MustCompile(`[\r\n]+[ \t]*`)
