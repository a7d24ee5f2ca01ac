package servers

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// NewPostgres makes an empty PostgreSQL cluster below dir, whose administrator
// "postgres" has the password. Other users must be able to enter dir.
func NewPostgres(ctx context.Context, dir, password string) (*Server, error) {
	initdb, err := find("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir}
	if s.Port, err = freePort(); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if err := give(data, "postgres"); err != nil {
		return nil, err
	}
	// Both programs are told the password once; it is a test's.
	script := fmt.Sprintf("%s -D %s -U postgres --auth=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync --pwfile=<(echo %s)", initdb, data, password)
	cmd, err := as(exec.CommandContext(ctx, "bash", "-c", script), "postgres")
	if err != nil {
		return nil, err
	}
	cmd.Dir = data
	if err := run(cmd); err != nil {
		return nil, err
	}
	s.command = func() *exec.Cmd {
		cmd := exec.Command(filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-p", strconv.Itoa(s.Port),
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+data, "-c", "fsync=off", "-c", "max_connections=60")
		cmd, _ = as(cmd, "postgres") // the user was there a moment ago
		cmd.Dir = data
		return cmd
	}
	s.ready = func(ctx context.Context) error {
		c, err := pgx.Connect(ctx, s.PostgresDSN("postgres", password, "postgres"))
		if err != nil {
			return err
		}
		return c.Close(ctx)
	}
	return s, s.Start(ctx)
}

// PostgresDSN is a connection string for the server.
func (s *Server) PostgresDSN(user, password, database string) string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", user, password, s.Addr(), database)
}
