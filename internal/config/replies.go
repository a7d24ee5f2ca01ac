package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"portreeve/rules"
)

// enhancedCode is RFC 3463 section 2: class, subject and detail, without
// leading zeros. Its class is checked against the code's.
var enhancedCode = regexp.MustCompile(`^[245]\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})$`)

// maxReply is a reply line without its CRLF (RFC 5321 section 4.5.3.1.5).
const maxReply = 510

// replies checks [replies]. A malformed reply would put Postfix's milter client
// in error for a whole session (FACTS.md 1.2).
func (k *checker) replies() {
	known := make([]string, len(rules.Rules))
	for i, r := range rules.Rules {
		known[i] = string(r)
	}
	defaults := rules.DefaultReplies()
	for rule, reply := range k.c.Replies {
		if _, ok := defaults[rule]; !ok {
			k.problems = append(k.problems, k.doc.Unknown(known, "replies", string(rule)))
			continue
		}
		if k.doc.Has("replies", string(rule)) {
			key := "replies." + string(rule)
			k.codes(key, reply, defaults[rule])
			k.replyText(key, rule, reply)
		}
	}
}

// codes checks both codes of a reply. Whatever the rule, a refusal has to stay
// one: 4xx or 5xx.
func (k *checker) codes(key string, reply, usual rules.ReplyText) {
	if reply.Code < 400 || reply.Code > 599 {
		what := fmt.Sprintf("= %d is no refusal", reply.Code)
		if reply.Code >= 200 && reply.Code < 400 {
			what = fmt.Sprintf("= %d would let through what is to be refused", reply.Code)
		}
		k.add(key+".code", what, fmt.Sprintf("write a code from 400 to 599, such as %d; to let it through, name the key in observe", usual.Code))
		return
	}
	class := strconv.Itoa(reply.Code / 100)
	switch {
	case !enhancedCode.MatchString(reply.Enhanced):
		k.add(key+".enhanced", fmt.Sprintf("= %q is not an enhanced status code (RFC 3463)", reply.Enhanced), "write one such as \""+class+usual.Enhanced[1:]+"\"")
	case reply.Enhanced[:1] != class:
		remedy := fmt.Sprintf("write enhanced = %q, or another code", class+reply.Enhanced[1:])
		k.add(key+".enhanced", fmt.Sprintf("= %q does not fit code = %d: their first digits differ", reply.Enhanced, reply.Code), remedy)
	}
}

// replyText checks the text of a reply.
func (k *checker) replyText(key string, rule rules.Rule, reply rules.ReplyText) {
	key += ".text"
	text := reply.Text
	if text == "" {
		k.add(key, "is empty", "write what the client is to read, or leave the key out for the documented text")
		return
	}
	if !printableASCII(text) {
		k.add(key, fmt.Sprintf("= %q is not one line of printable ASCII", text), "write it without accents, tabs and line breaks")
	}
	for _, p := range strays(text) {
		k.add(key, fmt.Sprintf("has the unknown placeholder %q", p), "use {id}, {sender} and {ip}, and no other braces")
	}
	if rule != rules.RuleSender && !strings.Contains(text, "{id}") {
		k.add(key, "has no {id}, so nobody could look the refusal up", "write {id} where its number is to stand")
	}
	if n := longest(reply); n > maxReply {
		k.add(key, fmt.Sprintf("can become a reply of %d bytes; SMTP has room for %d", n, maxReply), fmt.Sprintf("shorten it by %d", n-maxReply))
	}
}

// strays lists the braces of a text that are no placeholder.
func strays(text string) []string {
	rest := strings.NewReplacer("{id}", "", "{sender}", "", "{ip}", "").Replace(text)
	var found []string
	for {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			return found
		}
		end := i + 1
		if j := strings.IndexByte(rest[i:], '}'); rest[i] == '{' && j > 0 {
			end = i + j + 1
		}
		found = append(found, rest[i:end])
		rest = rest[end:]
	}
}

// longest is the length of the reply with the longest values filled in.
func longest(reply rules.ReplyText) int {
	id := strings.Repeat("0", 22)
	sender := strings.Repeat("x", rules.MaxSenderBytes)
	widest := netip.MustParseAddr("1111:2222:3333:4444:5555:6666:7777:8888")
	only := rules.Replies{rules.RuleSender: reply}
	return len(only.Render(rules.RuleSender, id, sender, widest).String())
}
