package directory_test

import (
	"database/sql"
	"path/filepath"
	"testing"
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

func cached(t *testing.T, d directory.Directory, o directory.CacheOptions) *directory.Cache {
	t.Helper()
	c, err := directory.NewCache(d, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
