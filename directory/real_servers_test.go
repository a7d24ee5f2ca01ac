//go:build real

// The suite, every schema and the bad days on real servers. integration/run.sh
// runs these in a container, as root.
package directory_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"

	"portreeve/directory"
	"portreeve/integration/servers"
)

var _ = stdlib.GetDefaultDriver // the driver "pgx" for administrators

// password is that of every user in these tests; nobody must ever see it.
const password = "tajne-Heslo:7"

// killer is a server that the tests end.
type killer interface{ Kill() error }

// host is where the servers of this run live.
var host struct {
	dir  string
	n    atomic.Int64
	mu   sync.Mutex
	list []killer
}

func TestMain(m *testing.M) {
	os.Exit(runServers(m))
}

func runServers(m *testing.M) int {
	dir, err := os.MkdirTemp("", "portreeve-directory-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // the servers' users must be able to enter it
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "real:", err)
		return 1
	}
	host.dir = dir
	status := m.Run()
	for _, s := range host.list {
		err = errors.Join(err, s.Kill())
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, "real:", err)
		return 1
	}
	return status
}

// place is a directory for a server.
func place(t *testing.T, name string) string {
	dir := filepath.Join(host.dir, fmt.Sprintf("%s%d", name, host.n.Add(1)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// mine takes note of a server that this run must end.
func mine[S killer](t *testing.T, s S, err error) S {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	host.mu.Lock()
	defer host.mu.Unlock()
	host.list = append(host.list, s)
	return s
}

// sqlServer is a database server as the tests need it, whichever it is.
type sqlServer struct {
	*servers.Server
	driver directory.Driver
	admin  func(t *testing.T, database string) *sql.DB
	dsn    func(user, password, database string) string
	create []string // a place for tables, %[1]s, and a user of that name, with the password %[2]s
	to     string   // what a GRANT is on, table %[1]s of the place %[2]s, and to whom
}

func newPostgres(t *testing.T) *sqlServer {
	s, err := servers.NewPostgres(t.Context(), place(t, "postgres"), password)
	mine(t, s, err)
	// Schemas of one database: to make a database takes half a second.
	in := func(user, password, schema string) string {
		return s.PostgresDSN(user, password, "postgres") + "&search_path=" + schema
	}
	return &sqlServer{
		Server: s, driver: directory.Postgres, dsn: in,
		admin: func(t *testing.T, schema string) *sql.DB {
			return adminDB(t, "pgx", in("postgres", password, schema))
		},
		create: []string{
			"CREATE SCHEMA %[1]s", "CREATE ROLE %[1]s LOGIN PASSWORD '%[2]s'", "GRANT USAGE ON SCHEMA %[1]s TO %[1]s",
		},
		to: "%[1]s TO %[2]s",
	}
}

func newMariaDB(t *testing.T) *sqlServer {
	s, err := servers.NewMariaDB(t.Context(), place(t, "mariadb"))
	mine(t, s, err)
	return &sqlServer{
		Server: s, driver: directory.MySQL, dsn: s.MariaDBDSN,
		admin: func(t *testing.T, database string) *sql.DB {
			return adminDB(t, "mysql", s.MariaDBRoot(database))
		},
		create: []string{"CREATE DATABASE %[1]s", "CREATE USER %[1]s@'127.0.0.1' IDENTIFIED BY '%[2]s'"},
		to:     "%[2]s.%[1]s TO %[2]s@'127.0.0.1'",
	}
}

func adminDB(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // the server may have been killed meanwhile
	return db
}

// fresh is an empty place for tables, and a user of its name who may read what is
// granted.
func (s *sqlServer) fresh(t *testing.T) database {
	t.Helper()
	name := fmt.Sprintf("mail%d", host.n.Add(1))
	server := s.admin(t, "")
	for _, one := range s.create {
		if _, err := server.ExecContext(t.Context(), fmt.Sprintf(one, name, password)); err != nil {
			t.Fatal(err)
		}
	}
	return database{s.driver, s.admin(t, name), s.dsn(name, password, name), name, func(table, columns string) string {
		return "GRANT SELECT " + columns + " ON " + fmt.Sprintf(s.to, table, name)
	}}
}

// each runs a test on PostgreSQL and on MariaDB, each with a server of its own.
func each(t *testing.T, test func(t *testing.T, s *sqlServer)) {
	for name, start := range map[string]func(*testing.T) *sqlServer{"PostgreSQL": newPostgres, "MariaDB": newMariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}
