package explain

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clients choose logins and addresses. In a command or a line to copy they must
// stay one word, whatever they contain; what a terminal would obey, or could not
// type, makes no command at all.

// plain tells whether text can be copied: printable, and not what JSON made of
// bytes that were no text.
func plain(s string) bool {
	if s == "" || !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// bare are the bytes that mean nothing to a shell wherever they stand in a word.
func bare(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("@%+:,./_-", r)
}

// shellWord quotes an argument for a POSIX shell.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !bare(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shell writes a command whose last words, from the client or not, are its
// arguments; "" if one of them cannot be copied.
func shell(command []string, arguments ...string) string {
	words := make([]string, 0, len(command)+len(arguments)+1)
	for _, w := range command {
		words = append(words, shellWord(w))
	}
	for _, a := range arguments {
		if !plain(a) {
			return ""
		}
		if strings.HasPrefix(a, "-") && len(words) == len(command) {
			words = append(words, "--") // it is no option
		}
	}
	for _, a := range arguments {
		words = append(words, shellWord(a))
	}
	return strings.Join(words, " ")
}

// tomlString is a basic string of TOML 1.0; the text is plain.
func tomlString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// tomlStrings is an array of them.
func tomlStrings(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = tomlString(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
