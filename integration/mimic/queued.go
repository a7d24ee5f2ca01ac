package mimic

import "strings"

// Queued is the domain under which Postfix queues a sender that was typed so, in
// lower case ASCII (FACTS.md 1.5; real_senders_test.go compares it with Postfix
// itself). The address is what smtpd made of the path, and trivial-rewrite reads
// it once more: bang paths and percent signs count in what has no @.
func Queued(path string) string {
	address := Internal(path)
	if address == "" {
		return ""
	}
	domain := hostname
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		domain = address[at+1:]
	} else if bang := strings.IndexByte(address, '!'); bang >= 0 && unquoted(address) {
		domain = address[:bang]
	} else if percent := strings.LastIndexByte(address, '%'); percent >= 0 && unquoted(address) {
		domain = address[percent+1:]
	}
	// One dot at the end goes, but not the second of two, nor a lone one.
	if d, ok := strings.CutSuffix(domain, "."); ok && d != "" && !strings.HasSuffix(d, ".") {
		domain = d
	}
	return ASCIILower(domain)
}

// unquoted tells whether Postfix writes the address without quotes, so that % and
// ! in it mean something (quote_822_local.c).
func unquoted(address string) bool {
	if strings.HasPrefix(address, ".") || strings.HasSuffix(address, ".") || strings.Contains(address, "..") {
		return false
	}
	return !strings.ContainsFunc(address, func(c rune) bool {
		return c <= ' ' || c == 0x7f || strings.ContainsRune(`()<>@,;:\"[]`, c)
	})
}

// ASCIILower is how Postfix's own domains compare: without case in ASCII alone.
func ASCIILower(s string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, s)
}
