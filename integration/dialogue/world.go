package dialogue

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"
)

// Host starts mail hosts for stories: real Postfix and Dovecot, or the
// in-process stand-in. Start fails the test if it cannot; what it starts ends
// with the test (t.Cleanup).
type Host interface {
	Start(t testing.TB, s Settings) World
}

// World is one running mail host with Portreeve behind it.
type World interface {
	// Dial opens a TCP connection from the client address to the host's port
	// (25, 587, 465, 110, 995, 143, 993). An unknown port is an error.
	Dial(ctx context.Context, from netip.Addr, port int) (net.Conn, error)
	// Verb runs `portreeve ARGS...` against the host's daemon. An exit status
	// is no error; a program that could not be run is.
	Verb(ctx context.Context, args ...string) (Output, error)
	// Wait lets d pass: the in-process world moves its clock, the real one
	// sleeps that long.
	Wait(ctx context.Context, d time.Duration) error
	// Accounts replaces accounts.toml. The daemon is not told.
	Accounts(ctx context.Context, content string) error
	// Restart ends the daemon and starts it again; with kill it is not asked
	// first (SIGKILL, where the world has a process).
	Restart(ctx context.Context, kill bool) error
	// Log returns what the daemon has logged since the story began.
	Log() string
}

// Breakable is a World whose directory of accounts can be made to fail and to
// answer again. The directory of accounts.toml, which the real worlds have, never
// fails while the daemon runs.
type Breakable interface {
	Directory(answers bool)
}

// Output is what a verb left behind.
type Output struct {
	Stdout, Stderr string
	Exit           int
}

// What Settings.Only may be.
const (
	OnlyReal    = "real"     // the story needs the real programs
	OnlyStandIn = "stand-in" // the story needs a Breakable world
)

// Settings is what a story asks of its host.
type Settings struct {
	Portreeve map[string]any // dotted key -> TOML value, over the base portreeve.toml
	Recipe    string         // "milter" (the default) or another recipe of contrib/postfix
	Only      string         // OnlyReal, OnlyStandIn; empty: any host
}
