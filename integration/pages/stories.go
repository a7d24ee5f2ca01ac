package pages

// Story is a page whose commands are run, from its first to its last, on a host
// of its own.
type Story struct {
	Page string
	Host HostKind
}

// HostKind is what a page's reader begins with.
type HostKind string

// The hosts. Each is Debian with Postfix and Dovecot in use, customers and a log.
const (
	Bare      HostKind = "bare"      // and this source, built
	Packaged  HostKind = "packaged"  // and Portreeve's package in /root, not installed
	Installed HostKind = "installed" // and Portreeve's package installed and configured, as docs/install.md says
	Observes  HostKind = "observes"  // and Portreeve connected, with mode = "observe"
	Enforces  HostKind = "enforces"  // and Portreeve connected, with mode = "enforce"
)

// Stories are the pages that are played.
var Stories = []Story{
	{"README.md", Enforces},
	{"docs/install.md", Packaged},
	{"docs/by-hand.md", Bare},
	{"docs/setup.md", Installed},
	{"docs/replay.md", Observes},
	{"docs/helpdesk.md", Enforces},
	{"docs/helpdesk-page.md", Enforces},
	{"docs/operate.md", Enforces},
}

// Elsewhere are the commands that no host of ours can run, each with the reason,
// or with what runs it. A command that can be run belongs into a story.
var Elsewhere = map[string]string{
	"make build":   "run.sh runs it, where Go is; docs/by-hand.md installs what it has built",
	"make manuals": "as make build",
	"make test":    "it is what runs this",
	"make demo":    "it stays up for a person; what it plays are the stories of dialogues/, on the same host",
	"make bench":   "an hour; bench has tests of its own, and writes the page that shows it",
	"make bench BENCHFLAGS='-only passes,refusals'":                                                                     "as make bench",
	"go run ./bench -only passes -rounds 3 -seconds 1":                                                                  "as make bench",
	`TESTFLAGS="-run TestBytes -bench Store|Listen|Join -benchtime 3s" TESTPACKAGES=./ledger integration/run.sh trixie`: "minutes; integration/run.sh runs TestBytes, without the benchmarks",
	"journalctl -o short-iso --facility mail --since -7d | portreeve replay -":                                          "there is no journal in a container; internal/replay reads these formats",
	"go run ./bench -only refusals -profiles /tmp/prof":                                                                 "as make bench",
}
