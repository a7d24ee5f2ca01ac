package directory_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"portreeve/directory"
	"portreeve/directory/directorytest"
)

// fixture is a kind of database: its tables, how a world is written to them, and
// what its users have besides.
type fixture struct {
	name    string
	queries directory.Queries
	lacks   directorytest.Features
	latin1  directory.Driver            // whose tables hold no other letters
	tables  map[directory.Driver]string // DDL, by the drivers that it has tables for
	grants  []string                    // what its reader may read: table (columns)
	fill    func(r rows, w directorytest.World)
	life    func(r rows) known // rows as its users have them
}

// fixtures are all of them: own queries, and one for each schema.
var fixtures = []fixture{own, postfixadminTables, iredmailTables, ispconfigTables, mailcowTables, modoboaTables}

// known is what a directory is to know of a life.
type known struct {
	enabled, disabled, none []string          // logins
	groups                  map[string]string // by domain; "" is none
	addresses, senders      map[string]string // by login
	local, foreign          []string          // domains
	limits                  map[string][2]int // by login
}

// database is an empty one: a handle that may do everything, and the connection
// string of a user that may only read.
type database struct {
	driver directory.Driver
	admin  *sql.DB
	dsn    string
	user   string
	grant  func(table, columns string) string // the statement for it; nil: there are no users
}

// rows writes rows.
type rows struct {
	t      *testing.T
	driver directory.Driver
	db     *sql.DB
}

// exec runs statements, each of which ends with a semicolon and a newline.
func (r rows) exec(script string) {
	r.t.Helper()
	for one := range strings.SplitSeq(script, ";\n") {
		if strings.TrimSpace(one) == "" {
			continue
		}
		if _, err := r.db.Exec(one); err != nil {
			r.t.Fatalf("%v in %s", err, one)
		}
	}
}

// row is a row by its columns.
type row map[string]any

func (r rows) add(table string, list ...row) {
	r.t.Helper()
	for _, one := range list {
		columns := slices.Sorted(maps.Keys(one))
		values, marks := make([]any, len(columns)), make([]string, len(columns))
		for i, c := range columns {
			values[i], marks[i] = one[c], "?"
			if r.driver == directory.Postgres {
				marks[i] = fmt.Sprintf("$%d", i+1)
			}
		}
		query := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(columns, ", "), strings.Join(marks, ", "))
		if _, err := r.db.Exec(query, values...); err != nil {
			r.t.Fatalf("%s %v: %v", query, values, err)
		}
	}
}

// runFixture runs the suite, bare and behind a cache, and then the life.
func runFixture(t *testing.T, f fixture, d directory.Driver, fresh func(t *testing.T) database) {
	f.lacks.ULabels = f.latin1 == d
	f.lacks.Unicode = f.latin1 == d
	load := func(t *testing.T, fill func(r rows)) directory.Directory {
		db := fresh(t)
		r := rows{t, db.driver, db.admin}
		r.exec(f.tables[db.driver])
		for _, g := range f.grants {
			table, columns, _ := strings.Cut(g, " ")
			if db.grant != nil {
				r.exec(db.grant(table, columns))
			}
		}
		fill(r)
		d, err := directory.OpenSQL(db.driver, db.dsn, f.queries)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		return d
	}
	open := func(t *testing.T, w directorytest.World) directory.Directory {
		return load(t, func(r rows) { f.fill(r, w) })
	}
	t.Run("Suite", func(t *testing.T) { directorytest.Run(t, directorytest.Source{Open: open, Lacks: f.lacks}) })
	if f.name == "own" { // one is enough: a cache does not know what it is in front of
		t.Run("Cached", func(t *testing.T) {
			directorytest.Run(t, directorytest.Source{Lacks: f.lacks, Open: func(t *testing.T, w directorytest.World) directory.Directory {
				return cached(t, open(t, w), directory.CacheOptions{TTL: time60})
			}})
		})
	}
	t.Run("Life", func(t *testing.T) {
		var want known
		d := load(t, func(r rows) { want = f.life(r) })
		want.check(t, d)
	})
}

func (k known) check(t *testing.T, d directory.Directory) {
	t.Helper()
	ctx := context.Background()
	for want, logins := range map[string][]string{"enabled": k.enabled, "disabled": k.disabled, "none": k.none} {
		for _, login := range logins {
			a, found, err := d.Account(ctx, login)
			got := map[bool]string{true: "disabled", false: "none"}[found]
			if found && a.SMTP {
				got = "enabled"
			}
			if err != nil || got != want {
				t.Errorf("Account(%q) is %s, %v; want %s", login, got, err, want)
			}
			if limits := k.limits[login]; found && [2]int{a.MessagesPerHour, a.RecipientsPerHour} != limits {
				t.Errorf("Account(%q) has the limits %+v, want %v", login, a, limits)
			}
		}
	}
	for domain, want := range k.groups {
		group, found, err := d.Domains(ctx, domain)
		slices.Sort(group)
		if err != nil || found != (want != "") || strings.Join(group, " ") != want {
			t.Errorf("Domains(%q) = %q, %v, %v; want %q", domain, group, found, err, want)
		}
	}
	for login, want := range k.addresses {
		checkList(t, "Addresses", login, want, d.Addresses)
	}
	for login, want := range k.senders {
		checkList(t, "Senders", login, want, d.Senders)
	}
	for want, domains := range map[bool][]string{true: k.local, false: k.foreign} {
		for _, domain := range domains {
			if ours, err := d.Local(ctx, domain); ours != want || err != nil {
				t.Errorf("Local(%q) = %v, %v; want %v", domain, ours, err, want)
			}
		}
	}
}

func checkList(t *testing.T, name, login, want string, ask func(context.Context, string) ([]string, error)) {
	t.Helper()
	list, err := ask(context.Background(), login)
	slices.Sort(list)
	if err != nil || strings.Join(list, " ") != want {
		t.Errorf("%s(%q) = %q, %v; want %q", name, login, list, err, want)
	}
}

// flag is 1 or 0, or what the driver has for it.
func (r rows) flag(yes bool) any {
	if r.driver == directory.Postgres {
		return yes
	}
	return num(yes)
}

func num(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func yn(yes bool) string {
	return map[bool]string{true: "y", false: "n"}[yes]
}

// split is both parts of an address.
func split(address string) (local, domain string) {
	at := strings.LastIndexByte(address, '@')
	return address[:at], address[at+1:]
}
