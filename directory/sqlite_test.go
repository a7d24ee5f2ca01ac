package directory_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/directory"
)

const time60 = time.Minute

// freshSQLite is an empty database in a file.
func freshSQLite(t *testing.T) database {
	path := filepath.Join(t.TempDir(), "mail.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(0)&_pragma=journal_mode(memory)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return database{driver: directory.SQLite, admin: db, dsn: path}
}

func TestSQLite(t *testing.T) {
	for _, f := range fixtures {
		if f.tables[directory.SQLite] == "" {
			continue // its software does not run on SQLite
		}
		t.Run(f.name, func(t *testing.T) { runFixture(t, f, directory.SQLite, freshSQLite) })
	}
}

// A file that is put in the place of another is read soon, by a daemon that never
// pauses.
func TestSQLiteReplaced(t *testing.T) {
	write := func(path, login string) {
		db, err := sql.Open("sqlite", "file:"+path)
		if err != nil {
			t.Fatal(err)
		}
		r := rows{t, directory.SQLite, db}
		r.exec(own.tables[directory.SQLite])
		r.add("accounts", row{"login": login, "smtp": 1})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "mail.db")
	write(path, "jan@domena.cz")
	write(path+".new", "eva@domena.cz")
	synctest.Test(t, func(t *testing.T) {
		d, err := directory.OpenSQL(directory.SQLite, path, own.queries)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}()
		want(t, d, "jan@domena.cz", "enabled")
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); look(d, "eva@domena.cz") != "enabled"; time.Sleep(100 * time.Millisecond) {
			if time.Since(began) > 5*time.Second {
				t.Fatal("after five seconds the old file is still read")
			}
		}
		want(t, d, "jan@domena.cz", "none")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		want(t, d, "eva@domena.cz", "failed")
	})
}

func cached(t *testing.T, d directory.Directory, o directory.CacheOptions) *directory.Cache {
	t.Helper()
	c, err := directory.NewCache(d, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
