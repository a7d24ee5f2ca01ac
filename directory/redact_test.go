package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

const secret = "tajne /Heslo:@7%"

func TestHide(t *testing.T) {
	s := newSecrets("postgres://u:tajne%20%2FHeslo@h/d", secret)
	for _, text := range []string{
		"cannot connect to postgres://u:tajne%20%2FHeslo@h/d", "password " + secret + " is wrong", "in user:tajne+%2FHeslo%3A%407%25@host",
		"in tajne%20%2FHeslo:@7%25", "two\nlines\r\nof " + secret,
	} {
		err := s.hide(fmt.Errorf("%s: %w", text, context.DeadlineExceeded))
		if strings.Contains(err.Error(), "Heslo") || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%q shows %q", text, err)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v is not what it was", err)
		}
		if again := s.hide(err); again != err { //nolint:errorlint // the very same
			t.Errorf("hidden twice: %v", again)
		}
	}
	if s.hide(nil) != nil {
		t.Error("nil is an error")
	}
	err := s.hide(&mysql.MySQLError{Number: otherCollation, Message: "x"})
	if !unstorable(err) {
		t.Errorf("%v is no MySQL error any more", err)
	}
}

// A connection string that cannot be read is not quoted, nor is any part of it.
func TestCheckDSN(t *testing.T) {
	for _, tt := range []struct {
		driver Driver
		good   []string
		bad    []string
	}{
		{
			Postgres,
			[]string{
				"postgres://u:p@h/d", "host=/run/postgresql user=u password='p w' dbname=d", "postgresql://u@h:5433/d?sslmode=verify-full",
				"postgres://u:7%2FHeslo%40@h/d", "postgres://u:a@b@h/d", "postgres://u:7#Heslo@h/d", "postgres://u:7?Heslo@h/d", "postgres:///d?host=/run/postgresql&user=u&password=a@b/c", "host=h user=u dbname=a@b",
			},
			[]string{
				"postgres://u:" + secret + "@h/d", "postgres://u:Heslo@h:Heslo/d", "host=h password='Heslo", "postgres://u:Heslo@h/d?sslmode=Heslo",
				"postgres://u:7/Heslo@h/d", "postgres://u:a@7/Heslo@h/d", // the password would be a database
				"host=h user=u password=7 Heslo dbname=d",
			},
		},
		{
			MySQL,
			[]string{"u:p@tcp(127.0.0.1:3306)/d", "u:p@unix(/run/mysqld/mysqld.sock)/d", "u:p@w/rd@tcp(h)/d?tls=true"},
			[]string{"u:Heslo@tcp(127.0.0.1:3306)", "u:Heslo@tcp(h/d", "u:Heslo@h/d?timeout=Heslo", "mysql://u:Heslo@h/d"},
		},
		{
			SQLite,
			[]string{"/var/lib/mail.db", "file:/var/lib/mail.db?cache=shared", "/a b%c/mail.db"},
			[]string{"", ":memory:", "file::memory:", "file:", "file:/a?x=%zz"},
		},
		{Driver("oracle"), nil, []string{"x"}},
	} {
		for _, dsn := range tt.good {
			if m := CheckDSN(tt.driver, dsn); m != nil {
				t.Errorf("%s %s: %v", tt.driver, dsn, m)
			}
		}
		for _, dsn := range tt.bad {
			m := CheckDSN(tt.driver, dsn)
			if m == nil {
				t.Errorf("%s %s is taken", tt.driver, dsn)
				continue
			}
			if strings.Contains(m.Error(), "Heslo") {
				t.Errorf("it shows the password: %v", m)
			}
			if _, err := OpenSQL(tt.driver, dsn, Queries{}); err == nil || strings.Contains(err.Error(), "Heslo") {
				t.Errorf("OpenSQL: %v", err)
			}
		}
	}
}
