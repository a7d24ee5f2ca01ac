package directory

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"portreeve/internal/tomlfile"
)

const (
	// connections is how many a source has at most. A look-up by key takes about
	// a millisecond, and most are answered from memory.
	connections = 10
	// idleFor is how long a connection without work is kept.
	idleFor = 5 * time.Minute
	// serveFor bounds the life of a connection, so that a server that has moved is
	// found where it is now.
	serveFor = 30 * time.Minute
	// reopenEvery is how long a SQLite file stays open: another file may have been
	// put in its place, and what is open is still the old one.
	reopenEvery = time.Second
)

// dsnForms is how each driver's connection string is written.
var dsnForms = map[Driver]string{
	Postgres: "postgres://USER:PASSWORD@HOST/DATABASE or host=HOST user=USER password=PASSWORD dbname=DATABASE",
	MySQL:    "USER:PASSWORD@tcp(HOST:3306)/DATABASE or USER:PASSWORD@unix(/run/mysqld/mysqld.sock)/DATABASE",
	SQLite:   "/path/to/the/database or file:/path/to/the/database",
}

// CheckDSN tells what is wrong with a connection string, without any of it: a
// driver's own words would quote it.
func CheckDSN(d Driver, dsn string) *tomlfile.Mistake {
	if _, _, err := open(d, dsn); err != nil {
		return &tomlfile.Mistake{What: "holds no connection string for " + string(d), Remedy: "write " + dsnForms[d] + " to it, and nothing else"}
	}
	return nil
}

// errDSN says that a connection string cannot be read, and not why.
var errDSN = errors.New("the connection string cannot be read: correct dsn_file")

// open makes a pool of connections; none is opened yet.
func open(d Driver, dsn string) (*sql.DB, secrets, error) {
	var (
		connector driver.Connector
		password  string
		err       error
	)
	switch d {
	case Postgres:
		connector, password, err = postgresConnector(dsn)
	case MySQL:
		connector, password, err = mysqlConnector(dsn)
	case SQLite:
		return openSQLite(dsn)
	default:
		err = fmt.Errorf("unknown driver %q", d)
	}
	if err != nil {
		return nil, nil, errDSN
	}
	db := sql.OpenDB(connector)
	limit(db)
	return db, newSecrets(dsn, password), nil
}

func limit(db *sql.DB) {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(idleFor)
	db.SetConnMaxLifetime(serveFor)
}

func postgresConnector(dsn string) (driver.Connector, string, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, "", err
	}
	if strings.Contains(dsn, "://") && strings.Contains(c.Database, "@") {
		// A password with a slash: of postgres://u:7/secret@h/d the database would be
		// secret@h/d, and errors show that.
		return nil, "", errDSN
	}
	if n := hosts(c); n > 1 {
		// A host that does not answer must leave time for the next one.
		share := sourceDeadline / time.Duration(n)
		if c.ConnectTimeout == 0 || c.ConnectTimeout > share {
			c.ConnectTimeout = share
		}
	}
	return stdlib.GetConnector(*c), c.Password, nil
}

// hosts counts those of a connection string. Each stands there again for every way
// to reach it, with TLS and without.
func hosts(c *pgx.ConnConfig) int {
	seen := map[string]bool{net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))): true}
	for _, f := range c.Fallbacks {
		seen[net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))] = true
	}
	return len(seen)
}

// openSQLite opens a file for reading, and never makes one: an empty database
// would say of everybody that there is no such account.
func openSQLite(dsn string) (*sql.DB, secrets, error) {
	name, query, _ := strings.Cut(strings.TrimPrefix(dsn, "file:"), "?")
	values, err := url.ParseQuery(query)
	if err != nil || name == "" || strings.Contains(name, ":memory:") {
		return nil, nil, errDSN
	}
	if !strings.HasPrefix(dsn, "file:") {
		name = (&url.URL{Path: name}).EscapedPath()
	}
	values.Set("mode", "ro")
	values.Add("_pragma", "busy_timeout(1000)")
	values.Add("_pragma", "query_only(1)")
	db, err := sql.Open("sqlite", "file:"+name+"?"+values.Encode())
	if err != nil {
		return nil, nil, errDSN
	}
	limit(db)
	db.SetConnMaxLifetime(reopenEvery)
	return db, nil, nil // a path is no secret
}

func mysqlConnector(dsn string) (driver.Connector, string, error) {
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, "", err
	}
	c.Logger = &mysql.NopLogger{} // what it says there comes back as an error as well
	// Values come from clients: they go apart from the query. The driver's own quoting
	// can be got out of where the connection's charset is gbk, sjis or big5.
	c.InterpolateParams = false
	c.MultiStatements, c.AllowAllFiles = false, false
	if c.Timeout == 0 {
		c.Timeout = deadline
	}
	inner, err := mysql.NewConnector(c)
	if err != nil {
		return nil, "", err
	}
	return mysqlLimited{inner}, c.Passwd, nil
}

// mysqlLimited tells the server of our deadline. It goes on with a query whose
// client has gone, and slow ones would pile up there.
type mysqlLimited struct{ driver.Connector }

// Connect implements driver.Connector.
func (m mysqlLimited) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := m.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		return conn, nil
	}
	for _, set := range []string{
		fmt.Sprintf("SET SESSION max_statement_time = %d", deadline/time.Second),      // MariaDB
		fmt.Sprintf("SET SESSION max_execution_time = %d", deadline/time.Millisecond), // MySQL
	} {
		if _, err = execer.ExecContext(ctx, set, nil); err == nil {
			return conn, nil
		}
		if isMySQL(err, unknownVariable) {
			continue
		}
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Error numbers of MySQL and MariaDB, and states of PostgreSQL's.
const (
	unknownVariable   = 1193 // ER_UNKNOWN_SYSTEM_VARIABLE
	otherCollation    = 1267 // ER_CANT_AGGREGATE_2COLLATIONS
	otherCollations   = 1270 // ER_CANT_AGGREGATE_3COLLATIONS
	otherCollationsN  = 1271 // ER_CANT_AGGREGATE_NCOLLATIONS
	untranslatable    = "22P05"
	noSuchCharacter   = "22021"
	cannotBeConverted = 3988 // ER_IMPOSSIBLE_STRING_CONVERSION
)

func isMySQL(err error, numbers ...uint16) bool {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok {
		return false
	}
	for _, n := range numbers {
		if e.Number == n {
			return true
		}
	}
	return false
}

// unstorable tells whether a query failed because its value has letters that the
// table cannot hold (PostfixAdmin's latin1 columns): then no row has it.
func unstorable(err error) bool {
	if isMySQL(err, otherCollation, otherCollations, otherCollationsN, cannotBeConverted) {
		return true
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == untranslatable || e.Code == noSuchCharacter)
}
