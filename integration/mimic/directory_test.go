package mimic

import (
	"testing"

	"portreeve/directory"
	"portreeve/rules"
)

const accountsTOML = "../testdata/accounts.toml"

// questions are one of each kind, and whether it got the answer of accounts.toml.
var questions = map[string]func(t *testing.T, d directory.Directory) (right bool, err error){
	"Account": func(t *testing.T, d directory.Directory) (bool, error) {
		a, found, err := d.Account(t.Context(), "mta@firma.cz")
		return found && a != nil && a.Forward, err
	},
	"Domains": func(t *testing.T, d directory.Directory) (bool, error) {
		group, found, err := d.Domains(t.Context(), "domena.eu")
		return found && len(group) == 2, err
	},
	"Addresses": func(t *testing.T, d directory.Directory) (bool, error) {
		list, err := d.Addresses(t.Context(), "jan.novak@domena.cz")
		return len(list) == 1, err
	},
	"Senders": func(t *testing.T, d directory.Directory) (bool, error) {
		list, err := d.Senders(t.Context(), "info@firma.cz")
		return len(list) == 1, err
	},
	"Local": func(t *testing.T, d directory.Directory) (bool, error) {
		return d.Local(t.Context(), "b.cz")
	},
}

// A directory that fails has no answers at all: what looked like one would be taken
// for "there is none".
func TestDirectory(t *testing.T) {
	file, problems := directory.OpenFile(accountsTOML, rules.Logins{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	w := &World{}
	d := w.breakable(file)
	for _, answers := range []bool{true, false, true} {
		w.Directory(answers)
		for name, ask := range questions {
			if right, err := ask(t, d); right != answers || (err == nil) != answers {
				t.Errorf("%s, when the directory answers: %v: right %v, %v", name, answers, right, err)
			}
		}
	}
}
