package hostcheck

import (
	"os"
	"path/filepath"
	"time"

	"portreeve/directory"
	"portreeve/internal/admin"
	"portreeve/internal/config"
)

var directoryCases = []fires{
	{"directory", func(w *world) { w.sql(filepath.Join(w.TempDir(), "absent.db")) }, "problem: the directory cannot be asked: sql (sqlite): asking the database (account): "},
	{"directory", func(w *world) { w.secret(0o644) }, "problem: everybody on this host can read the password in it: chmod o= "},
	{"directory", func(w *world) {
		since := noon.Add(-time.Hour)
		w.Status.Directory = []admin.SourceStatus{{Name: "ldap", Since: &since, Error: "connection refused"}}
	}, "problem: the daemon gets no answer from its directory (ldap: connection refused)"},
}

// sql puts a database in place of the accounts file.
func (w *world) sql(path string) {
	w.Helper()
	d, err := directory.OpenSQL(directory.SQLite, path, directory.Schemas["postfixadmin"].Queries)
	if err != nil {
		w.Fatal(err)
	}
	c, err := directory.NewCache(d, directory.CacheOptions{Name: "sql (sqlite)"})
	if err != nil {
		w.Fatal(err)
	}
	w.Directory = directory.NewSet(c, nil)
}

// secret gives the directory a password in a file.
func (w *world) secret(mode os.FileMode) {
	w.Helper()
	path := filepath.Join(w.TempDir(), "dsn")
	w.write(path, "secret\n", mode)
	w.Config.Directory.Source = config.SourceSQL
	w.Config.Directory.SQL = config.SQL{Driver: "postgres", DSNFile: path}
}
