package directorytest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"portreeve/directory"
	"portreeve/rules"
)

// Run checks an implementation. open loads the world in the implementation's
// own form and ends with the test what it started.
func Run(t *testing.T, open func(t *testing.T, w World) directory.Directory) {
	for _, tt := range []struct {
		name string
		test func(t *testing.T, d directory.Directory)
	}{
		{"Accounts", accounts},
		{"UnknownAccounts", unknownAccounts},
		{"Groups", groups},
		{"UnknownDomains", unknownDomains},
		{"Local", local},
		{"Addresses", addresses},
		{"Senders", senders},
		{"UnknownLists", unknownLists},
		{"HostileNames", hostileNames},
		{"CancelledIsNotAbsent", cancelledIsNotAbsent},
		{"Concurrent", concurrent},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t, Small())) })
	}
	t.Run("Empty", func(t *testing.T) { unknownAccounts(t, open(t, World{})) })
}

// accounts: each account comes back as it was put in.
func accounts(t *testing.T, d directory.Directory) {
	for _, want := range Small().Accounts {
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
// alias group (a group shares domains, not accounts), and parts of names.
var unknown = []string{
	"nobody@domena.cz", "jan.novak@example.com", "prodej@domena.cz", "majitel@seznam.cz",
	"jan.novak@domena.eu", "jan.novak", "@domena.cz", "domena.cz", "",
}

func unknownAccounts(t *testing.T, d directory.Directory) {
	for _, login := range unknown {
		if got, found, err := d.Account(context.Background(), login); found || err != nil {
			t.Errorf("Account(%q) = %v, %v, %v; want that there is none", login, got, found, err)
		}
	}
}

// groups: whichever domain of a group is asked for, the answer is all of it.
func groups(t *testing.T, d directory.Directory) {
	for _, domain := range Small().Domains {
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
// above a hosted one, and no domain at all.
var strangers = []string{"seznam.cz", "example.com", "sub.domena.cz", "cz", "omena.cz", "domena.cz.", ""}

func unknownDomains(t *testing.T, d directory.Directory) {
	for _, domain := range strangers {
		if got, found, err := d.Domains(context.Background(), domain); found || err != nil {
			t.Errorf("Domains(%q) = %q, %v, %v; want that there is none", domain, got, found, err)
		}
	}
}

func local(t *testing.T, d directory.Directory) {
	for _, domain := range Small().Domains {
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

// addresses: they come back canonical, however the source spells them.
func addresses(t *testing.T, d directory.Directory) {
	want := []string{"prodej@domena.cz", "nákup@xn--domna-dsa.cz"}
	got, err := d.Addresses(context.Background(), "jan.novak@domena.cz")
	if err != nil || !sameSet(got, want) {
		t.Errorf("Addresses = %q, %v; want %q", got, err, want)
	}
}

func senders(t *testing.T, d directory.Directory) {
	want := []string{"majitel@seznam.cz", "@example.com"}
	got, err := d.Senders(context.Background(), "info@firma.cz")
	if err != nil || !sameSet(got, want) {
		t.Errorf("Senders = %q, %v; want %q", got, err, want)
	}
}

// unknownLists: an account without any, and no account, have empty lists.
func unknownLists(t *testing.T, d directory.Directory) {
	for _, login := range append([]string{"petr@domena.eu"}, unknown...) {
		if got, err := d.Addresses(context.Background(), login); len(got) > 0 || err != nil {
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

func hostileNames(t *testing.T, d directory.Directory) {
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
	accounts(t, d) // and nothing has changed
}

// cancelledIsNotAbsent: who does not wait for the answer gets an error or the
// answer, never "there is none".
func cancelledIsNotAbsent(t *testing.T, d directory.Directory) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, found, err := d.Account(ctx, "jan.novak@domena.cz"); !found && err == nil {
		t.Error("Account: a cancelled look-up says that there is none")
	}
	if _, found, err := d.Domains(ctx, "domena.cz"); !found && err == nil {
		t.Error("Domains: a cancelled look-up says that there is none")
	}
	if got, err := d.Addresses(ctx, "jan.novak@domena.cz"); len(got) == 0 && err == nil {
		t.Error("Addresses: a cancelled look-up says that there are none")
	}
	if got, err := d.Senders(ctx, "info@firma.cz"); len(got) == 0 && err == nil {
		t.Error("Senders: a cancelled look-up says that there are none")
	}
	if ours, err := d.Local(ctx, "domena.cz"); !ours && err == nil {
		t.Error("Local: a cancelled look-up says no")
	}
}

// concurrent: many callers at once get the answers of one (run with -race).
func concurrent(t *testing.T, d directory.Directory) {
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				accounts(t, d)
				unknownAccounts(t, d)
				groups(t, d)
				addresses(t, d)
				senders(t, d)
			}
		})
	}
	wg.Wait()
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}
