package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"portreeve/internal/manual"
)

// exits is what the exit statuses of a verb mean; empty: it does not end so.
type exits struct{ done, finding, failure string }

// Common endings.
const (
	wrongCall = "the call is wrong"
	noDaemon  = "the call is wrong, or the daemon cannot be reached or did not answer"
	noneIsToo = "done, also when there is nothing to list"
)

// Files that verbs read or write, with what they are.
const (
	fileSettings = defaultConfig + " the configuration; --config names another"
	fileAccounts = "/etc/portreeve/accounts.toml the accounts, unless a database or an LDAP server knows them"
	fileAdmin    = "/run/portreeve/admin.sock where the daemon answers the verbs (listen.admin); root and the group portreeve may ask"
	fileStore    = "/var/lib/portreeve/portreeve.db failures, grants, quotas and the journal (store.path)"
	fileSockets  = "/var/spool/postfix/portreeve/ the sockets that Postfix asks at (listen.policy, listen.milter)"
	filePostfix  = "/etc/postfix/main.cf and master.cf; copies of before are in portreeve-setup beside them"
	fileDovecot  = "/etc/dovecot/conf.d/99-portreeve.conf what makes Dovecot ask; copies of before are in /etc/dovecot/portreeve-setup"
)

// help is what the help and the manual page of a verb say below its texts.
type help struct {
	exits
	files []string
	also  string // other verbs
}

// asks is the help of a verb that asks the daemon.
func asks(done, finding, also string) help {
	return help{exits{done, finding, noDaemon}, []string{fileSettings, fileAdmin}, also}
}

// helps is by the verb, as it is called; TestEveryVerbHasItsHelp holds the list.
var helps = map[string]help{
	"": {
		exits{"done", "a finding or a refusal", "a wrong call or an operational error"},
		[]string{fileSettings, fileAccounts, fileAdmin, fileSockets, fileStore},
		"",
	},
	"serve": {
		exits{"stopped by SIGTERM or SIGINT", "", "the daemon could not start, or had to stop; standard error says why"},
		[]string{fileSettings, fileAccounts, fileSockets, fileAdmin, fileStore},
		"check status reload",
	},
	"check": {
		exits{"there are no problems; there may be advice", "there are problems, and they are listed", wrongCall},
		[]string{fileSettings, fileAccounts, fileAdmin, filePostfix, fileDovecot},
		"setup test",
	},
	"setup": {
		exits{"", "", "always: say postfix or dovecot"},
		[]string{fileSettings, filePostfix, fileDovecot},
		"check",
	},
	"setup postfix": {
		exits{"done, or nothing to do", "--apply or --undo was refused, and nothing was changed", "the call is wrong, or a file or a program could not be read, written or run"},
		[]string{fileSettings, filePostfix},
		"setup-dovecot check",
	},
	"setup dovecot": {
		exits{"done, or nothing to do", "--apply or --undo was refused, and nothing was changed", "the call is wrong, or a file or a program could not be read, written or run"},
		[]string{fileSettings, fileDovecot},
		"setup-postfix check",
	},
	"test": {
		exits{"the client would go on", "it would be refused", "the call is wrong, the daemon cannot be reached, or the message cannot be read"},
		[]string{fileSettings, fileAdmin, fileAccounts},
		"explain check",
	},
	"explain":   asks("everything that was asked for was found", "an id is unknown, or there is none in the text", "decisions test"),
	"decisions": asks(noneIsToo, "", "explain failures"),
	"failures":  asks(noneIsToo, "", "blocks decisions"),
	"blocks":    asks(noneIsToo, "", "unblock failures"),
	"unblock":   asks("done, also for an address that was not blocked", "", "blocks failures"),
	"usage":     asks("done", "", "reset"),
	"reset":     asks("done", "", "usage"),
	"replay": {
		exits{"the logs were read, whatever they hold", "", "the call is wrong, the configuration cannot be used, or no file could be read"},
		[]string{fileSettings, fileAccounts, "/var/log/mail.log* Debian's mail logs"},
		"test decisions",
	},
	"status":  asks("the daemon has answered; what it says may still need somebody", "", "check"),
	"reload":  asks("the new configuration is in force", "a file has problems; nothing was changed", "check serve"),
	"version": {exits{"done", "", wrongCall}, []string{}, "status"},
}

// describe gives each command what its help and its manual page have in common.
func describe(c *cobra.Command) {
	_, verb, _ := strings.Cut(c.CommandPath(), " ")
	h := helps[verb]
	var exit, also []string
	for i, text := range []string{h.done, h.finding, h.failure} {
		if text != "" {
			exit = append(exit, string(rune('0'+i))+" "+text)
		}
	}
	for v := range strings.FieldsSeq(h.also) {
		also = append(also, "portreeve-"+v+"(8)")
	}
	c.Annotations = map[string]string{
		manual.Exit: strings.Join(exit, "\n"), manual.Files: strings.Join(h.files, "\n"), manual.Also: strings.Join(also, "\n"),
	}
	for _, v := range c.Commands() {
		describe(v)
	}
}

// exitTemplate stands below cobra's own usage text.
const exitTemplate = `{{with .Annotations.exit}}
Exit status:
{{indented .}}
{{end}}`

// indented is a list with two blanks in front of each line.
func indented(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }

// manuals renders every page. settings is the path of docs/configuration.md.
func manuals(root *cobra.Command, settings string, s manual.Stamp) ([]manual.Page, error) {
	markdown, err := os.ReadFile(settings)
	if err != nil {
		return nil, fmt.Errorf("reading what the files' pages are made of: %w: run this in the root of the source", err)
	}
	files, err := manual.Configuration(string(markdown), s)
	return append(manual.Verbs(root, s), files...), err
}
