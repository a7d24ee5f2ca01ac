package directorytest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"portreeve/directory"
	"portreeve/rules"
)

// Source is an implementation under test.
type Source struct {
	// Open loads the world in the implementation's own form and ends with the
	// test what it started.
	Open func(t *testing.T, w World) directory.Directory
	// Lacks is what that form has no place for. The world is without it.
	Lacks Features
}

// Features are what some sources know and others do not.
type Features struct {
	Forward       bool
	Limits        bool
	Addresses     bool
	Senders       bool
	AliasAccounts bool // accounts whose domain is an alias of another
	Unicode       bool // logins beyond Latin letters
	ULabels       bool // domains in their own letters
}

// suite is a run of the tests on one source.
type suite struct {
	Source
	world World
}

// Run checks an implementation.
func Run(t *testing.T, src Source) {
	s := suite{src, Small().Without(src.Lacks)}
	for _, tt := range []struct {
		name string
		test func(s suite, t *testing.T, d directory.Directory)
	}{
		{"Accounts", suite.accounts},
		{"UnknownAccounts", suite.unknownAccounts},
		{"Groups", suite.groups},
		{"UnknownDomains", suite.unknownDomains},
		{"Local", suite.local},
		{"Addresses", suite.addresses},
		{"Senders", suite.senders},
		{"UnknownLists", suite.unknownLists},
		{"HostileNames", suite.hostileNames},
		{"CancelledIsNotAbsent", suite.cancelledIsNotAbsent},
		{"Concurrent", suite.concurrent},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(s, t, s.Open(t, s.world)) })
	}
	t.Run("Empty", func(t *testing.T) { s.unknownAccounts(t, s.Open(t, World{})) })
	if !src.Lacks.ULabels {
		t.Run("ULabels", func(t *testing.T) {
			d := s.Open(t, s.world.inOwnLetters(t))
			s.accounts(t, d)
			s.groups(t, d)
			s.local(t, d)
			s.addresses(t, d)
		})
	}
}

// accounts: each account comes back as it was put in.
func (s suite) accounts(t *testing.T, d directory.Directory) {
	for _, want := range s.world.Accounts {
		checkAccount(t, d, want)
	}
}

func checkAccount(t *testing.T, d directory.Directory, want Account) {
	t.Helper()
	got, found, err := d.Account(context.Background(), want.Login)
	if err != nil || !found || got == nil {
		t.Errorf("Account(%q) = %v, %v, %v; it exists", want.Login, got, found, err)
		return
	}
	if a := (rules.Account{
		Login: want.Login, SMTP: !want.Disabled, Forward: want.Forward,
		MessagesPerHour: want.MessagesPerHour, RecipientsPerHour: want.RecipientsPerHour,
	}); *got != a {
		t.Errorf("Account(%q) = %+v, want %+v", want.Login, *got, a)
	}
}

// unknown are logins that no world has: of a hosted domain and of another, a
// further address, an external sender, an account of the other domain in its
// alias group (a group shares domains, not accounts), parts of names, and names
// that differ in an accent from one that exists.
var unknown = []string{
	"nobody@domena.cz", "jan.novak@example.com", "prodej@domena.cz", "majitel@seznam.cz",
	"jan.novak@domena.eu", "jan.novak", "@domena.cz", "domena.cz", "",
	"jan.novák@domena.cz", "jmeno@domena.cz", "jan.novak@xn--dmena-jua.cz",
}

func (s suite) unknownAccounts(t *testing.T, d directory.Directory) {
	for _, login := range unknown {
		if got, found, err := d.Account(context.Background(), login); found || err != nil {
			t.Errorf("Account(%q) = %v, %v, %v; want that there is none", login, got, found, err)
		}
	}
}

// groups: whichever domain of a group is asked for, the answer is all of it.
func (s suite) groups(t *testing.T, d directory.Directory) {
	for _, domain := range s.world.Domains {
		want := append([]string{domain.Name}, domain.Aliases...)
		for _, name := range want {
			got, found, err := d.Domains(context.Background(), name)
			if err != nil || !found || !sameSet(got, want) {
				t.Errorf("Domains(%q) = %q, %v, %v; want %q", name, got, found, err, want)
			}
		}
	}
}

// strangers are domains that are not hosted: of an external sender, below and
// above a hosted one, one with an accent more (dömena.cz), and no domain at all.
var strangers = []string{"seznam.cz", "example.com", "sub.domena.cz", "cz", "omena.cz", "xn--dmena-jua.cz", "domena.cz.", ""}

func (s suite) unknownDomains(t *testing.T, d directory.Directory) {
	for _, domain := range strangers {
		if got, found, err := d.Domains(context.Background(), domain); found || err != nil {
			t.Errorf("Domains(%q) = %q, %v, %v; want that there is none", domain, got, found, err)
		}
	}
}

func (s suite) local(t *testing.T, d directory.Directory) {
	for _, domain := range s.world.Domains {
		for _, name := range append([]string{domain.Name}, domain.Aliases...) {
			if ours, err := d.Local(context.Background(), name); !ours || err != nil {
				t.Errorf("Local(%q) = %v, %v; want true", name, ours, err)
			}
		}
	}
	for _, domain := range strangers {
		if ours, err := d.Local(context.Background(), domain); ours || err != nil {
			t.Errorf("Local(%q) = %v, %v; want false", domain, ours, err)
		}
	}
}

// addresses: they come back canonical, however the source spells them. The login
// itself may be among them.
func (s suite) addresses(t *testing.T, d directory.Directory) {
	var want []string
	if !s.Lacks.Addresses {
		want = []string{"prodej@domena.cz", "nákup@xn--domna-dsa.cz"}
	}
	got, err := d.Addresses(context.Background(), "jan.novak@domena.cz")
	if err != nil || !sameSet(others(got, "jan.novak@domena.cz"), want) {
		t.Errorf("Addresses = %q, %v; want %q", got, err, want)
	}
}

func (s suite) senders(t *testing.T, d directory.Directory) {
	var want []string
	if !s.Lacks.Senders {
		want = []string{"majitel@seznam.cz", "@example.com"}
	}
	got, err := d.Senders(context.Background(), "info@firma.cz")
	if err != nil || !sameSet(got, want) {
		t.Errorf("Senders = %q, %v; want %q", got, err, want)
	}
}

// unknownLists: an account without any, and no account, have empty lists.
func (s suite) unknownLists(t *testing.T, d directory.Directory) {
	for _, login := range append([]string{"mta@firma.cz"}, unknown...) {
		if got, err := d.Addresses(context.Background(), login); len(others(got, login)) > 0 || err != nil {
			t.Errorf("Addresses(%q) = %q, %v; want none", login, got, err)
		}
		if got, err := d.Senders(context.Background(), login); len(got) > 0 || err != nil {
			t.Errorf("Senders(%q) = %q, %v; want none", login, got, err)
		}
	}
}

// hostile are logins as attackers send them. Sources have languages of their
// own; none of these may be understood in one.
var hostile = []string{
	"' OR '1'='1", "x' UNION SELECT 1 --@domena.cz", `"; DROP TABLE accounts; --`,
	"%@domena.cz", "_an.novak@domena.cz", "*", "*@domena.cz", ")(uid=*", `jan.novak@domena.cz\`,
	"jan.novak@domena.cz\x00", "jan.novak@domena.cz ", "\xff\xfe@domena.cz", "${login}", "?",
}

func (s suite) hostileNames(t *testing.T, d directory.Directory) {
	ctx := context.Background()
	for _, name := range hostile {
		if got, found, err := d.Account(ctx, name); found || err != nil {
			t.Errorf("Account(%q) = %v, %v, %v; want that there is none", name, got, found, err)
		}
		if got, found, err := d.Domains(ctx, name); found || err != nil {
			t.Errorf("Domains(%q) = %q, %v, %v; want that there is none", name, got, found, err)
		}
		if ours, err := d.Local(ctx, name); ours || err != nil {
			t.Errorf("Local(%q) = %v, %v; want false", name, ours, err)
		}
	}
	s.accounts(t, d) // and nothing has changed
}

// cancelledIsNotAbsent: who does not wait for the answer gets an error or the
// answer, never "there is none".
func (s suite) cancelledIsNotAbsent(t *testing.T, d directory.Directory) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, found, err := d.Account(ctx, "jan.novak@domena.cz"); !found && err == nil {
		t.Error("Account: a cancelled look-up says that there is none")
	}
	if _, found, err := d.Domains(ctx, "domena.cz"); !found && err == nil {
		t.Error("Domains: a cancelled look-up says that there is none")
	}
	if got, err := d.Addresses(ctx, "jan.novak@domena.cz"); len(got) == 0 && err == nil && !s.Lacks.Addresses {
		t.Error("Addresses: a cancelled look-up says that there are none")
	}
	if got, err := d.Senders(ctx, "info@firma.cz"); len(got) == 0 && err == nil && !s.Lacks.Senders {
		t.Error("Senders: a cancelled look-up says that there are none")
	}
	if ours, err := d.Local(ctx, "domena.cz"); !ours && err == nil {
		t.Error("Local: a cancelled look-up says no")
	}
}

// concurrent: many callers at once get the answers of one (run with -race).
func (s suite) concurrent(t *testing.T, d directory.Directory) {
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				s.accounts(t, d)
				s.unknownAccounts(t, d)
				s.groups(t, d)
				s.addresses(t, d)
				s.senders(t, d)
			}
		})
	}
	wg.Wait()
}

func others(list []string, login string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(a string) bool { return a == login })
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}
