package pages

// Story is pages whose commands are run, from the first to the last, on a host of
// their own.
type Story struct {
	Pages []string
	Host  HostKind
}

// HostKind is what a page's reader begins with.
type HostKind string

// The hosts. Each is Debian with Postfix and Dovecot in use, customers and a log.
const (
	Bare      HostKind = "bare"      // and this source, built
	Packaged  HostKind = "packaged"  // and Portreeve's package in /root, not installed
	Installed HostKind = "installed" // and Portreeve's package installed and configured, as docs/install.md says
	Enforces  HostKind = "enforces"  // and Portreeve connected, with mode = "enforce"
)

// Stories are the pages that are played. Where one page leaves the host as the next
// one wants it, they share it: a host costs five seconds.
var Stories = []Story{
	{[]string{"docs/install.md"}, Packaged},
	{[]string{"docs/setup.md"}, Installed},
	{[]string{"docs/by-hand.md", "docs/replay.md"}, Bare},
	{[]string{"README.md", "docs/operate.md", "docs/helpdesk-page.md"}, Enforces},
	{[]string{"docs/helpdesk.md"}, Enforces},
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
