package explain

import (
	"context"
	"time"

	"portreeve/directory"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

// Host is what the daemon knows beyond the entry. The zero value of a part means
// that nobody can say; the explanation then does without it.
type Host struct {
	Now       time.Time
	Zone      *time.Location // of times in sentences; nil: that of this process
	Lang      Lang           // of what is read to the customer; empty: English
	Name      string         // this host's
	Peers     []string       // names of hosts that may have made an id
	Config    string         // path of portreeve.toml; empty: the default
	Accounts  string         // path of accounts.toml; empty: the directory is no file
	Source    Source         // then, what it is
	Keep      time.Duration  // how long the journal keeps an entry; 0: for ever
	Policy    *rules.Policy  // in force
	Directory directory.Directory
	Blocks    []ledger.Block // in force
}

// Neighbours is what the daemon has found around one entry.
type Neighbours struct {
	Entries  []journal.Entry // of the same client or login, nearest first
	Failures []rules.Failure // remembered ones
	More     bool            // there are more entries
}

// Reach is how far around an entry its neighbours are looked for.
const Reach = time.Hour

const defaultConfig = "/etc/portreeve/portreeve.toml"

func (h *Host) config() string { return firstOf(h.Config, defaultConfig) }

// stamp is a time as administrators read it.
func (h *Host) stamp(t time.Time) string { return h.local(t).Format("2006-01-02 15:04:05 MST") }

func (h *Host) local(t time.Time) time.Time {
	if h.Zone == nil {
		return t.Local()
	}
	return t.In(h.Zone)
}

// account asks the directory of today. known is false when it cannot say.
func (h *Host) account(ctx context.Context, login string) (account *rules.Account, found, known bool) {
	if h.Directory == nil {
		return nil, false, false
	}
	account, found, err := h.Directory.Account(ctx, login)
	return account, found && err == nil, err == nil
}

// exists tells whether there is certainly such an account.
func (h *Host) exists(ctx context.Context, login string) bool {
	_, found, _ := h.account(ctx, login)
	return found
}

// group is the alias group of a domain of this server; nil for any other.
func (h *Host) group(ctx context.Context, domain string) []string {
	if h.Directory == nil || domain == "" {
		return nil
	}
	group, found, err := h.Directory.Domains(ctx, domain)
	if err != nil || !found {
		return nil
	}
	return group
}

// lists are what the account has besides its own address.
func (h *Host) lists(ctx context.Context, login string) (addresses, senders []string, ok bool) {
	if h.Directory == nil {
		return nil, nil, false
	}
	addresses, err := h.Directory.Addresses(ctx, login)
	if err != nil {
		return nil, nil, false
	}
	senders, err = h.Directory.Senders(ctx, login)
	return addresses, senders, err == nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
