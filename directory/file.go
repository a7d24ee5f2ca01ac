package directory

import (
	"context"

	"portreeve/internal/tomlfile"
	"portreeve/rules"
)

// File is a Directory that was read from a file of accounts (SPEC.md section 4,
// accounts.toml). It never fails and never changes; a reload opens another one.
// Look-ups allocate nothing.
type File struct {
	accounts  map[string]*rules.Account // by canonical login
	addresses map[string][]string       // of the few accounts that have some
	senders   map[string][]string
	groups    map[string][]string // by every domain of the group
}

var _ Directory = (*File)(nil)

// OpenFile reads the file and checks all of it. The File is nil if there is any
// problem: half of the accounts would be worse than the old ones. logins is
// [login] of the configuration, so that accounts are read as logins are.
func OpenFile(path string, logins rules.Logins) (*File, []tomlfile.Problem) {
	doc, problems := tomlfile.Read(path)
	if doc == nil {
		return nil, problems
	}
	return build(doc, logins)
}

// InMemory tells that look-ups wait for nothing: nobody needs to time them.
func (f *File) InMemory() bool { return true }

// Account implements Directory.
func (f *File) Account(_ context.Context, login string) (*rules.Account, bool, error) {
	a, found := f.accounts[login]
	return a, found, nil
}

// Domains implements Directory. The first is the domain that has the aliases.
func (f *File) Domains(_ context.Context, domain string) ([]string, bool, error) {
	group, found := f.groups[domain]
	return group, found, nil
}

// Addresses implements Directory.
func (f *File) Addresses(_ context.Context, login string) ([]string, error) {
	return f.addresses[login], nil
}

// Senders implements Directory.
func (f *File) Senders(_ context.Context, login string) ([]string, error) {
	return f.senders[login], nil
}

// Local implements Directory.
func (f *File) Local(_ context.Context, domain string) (bool, error) {
	_, found := f.groups[domain]
	return found, nil
}
