package servers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
)

// NewMariaDB makes an empty MariaDB below dir. Its administrator is root, through
// its unix socket and without a password.
func NewMariaDB(ctx context.Context, dir string) (*Server, error) {
	s := &Server{Dir: dir}
	var err error
	if s.Port, err = freePort(); err != nil {
		return nil, err
	}
	data, tmp := filepath.Join(dir, "data"), filepath.Join(dir, "tmp")
	if err := errors.Join(give(data, "mysql"), give(tmp, "mysql")); err != nil {
		return nil, err
	}
	// In a directory of its own: one that starts deletes the temporary tables of
	// others that it finds (MariaDB 10.11).
	if err := run(exec.CommandContext(ctx, "mariadb-install-db", "--no-defaults", "--datadir="+data, "--tmpdir="+tmp, "--user=mysql",
		"--auth-root-authentication-method=normal", "--skip-test-db")); err != nil {
		return nil, fmt.Errorf("%w: install the packages of servers.txt", err)
	}
	s.command = func() *exec.Cmd {
		return exec.Command("mariadbd", "--no-defaults", "--datadir="+data, "--tmpdir="+tmp, "--user=mysql", "--socket="+s.socket(),
			"--bind-address=127.0.0.1", "--port="+strconv.Itoa(s.Port), "--pid-file="+filepath.Join(data, "pid"), "--skip-name-resolve",
			"--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--performance-schema=off")
	}
	s.ready = func(ctx context.Context) error {
		db, err := sql.Open("mysql", s.MariaDBRoot(""))
		if err != nil {
			return err
		}
		defer db.Close() //nolint:errcheck // nothing was written
		return db.PingContext(ctx)
	}
	return s, s.Start(ctx)
}

func (s *Server) socket() string { return filepath.Join(s.Dir, "data", "s") }

// MariaDBRoot is the administrator's connection string.
func (s *Server) MariaDBRoot(database string) string {
	return fmt.Sprintf("root@unix(%s)/%s", s.socket(), database)
}

// MariaDBDSN is a connection string for the server.
func (s *Server) MariaDBDSN(user, password, database string) string {
	return fmt.Sprintf("%s:%s@tcp(%s)/%s", user, password, s.Addr(), database)
}
