package directory

import (
	"fmt"
	"slices"
	"strings"

	"portreeve/internal/tomlfile"
)

// Schema is a database that other software keeps, by the name of that software.
// docs/directory.md says which version each was read from, and what maps to what.
type Schema struct {
	Drivers []Driver // that its software supports
	Queries Queries
}

// Schemas are those of whole directories, by the value of directory.sql.schema.
var Schemas = map[string]Schema{
	"postfixadmin": {[]Driver{Postgres, MySQL, SQLite}, postfixadmin},
	"iredmail":     {[]Driver{Postgres, MySQL}, iredmail},
	"ispconfig":    {[]Driver{MySQL}, ispconfig},
	"mailcow":      {[]Driver{MySQL}, mailcow},
	"modoboa":      {[]Driver{Postgres, MySQL, SQLite}, modoboa},
}

// SenderSchemas are those of directory.senders.schema.
var SenderSchemas = map[string]Schema{
	"roundcube": {[]Driver{Postgres, MySQL, SQLite}, roundcube},
}

// Or are the queries with those of the schema in place of the empty ones.
func (q Queries) Or(schema Queries) Queries {
	for _, one := range []struct{ own, other *string }{
		{&q.Account, &schema.Account},
		{&q.Domains, &schema.Domains},
		{&q.Addresses, &schema.Addresses},
		{&q.Senders, &schema.Senders},
		{&q.LocalDomain, &schema.LocalDomain},
	} {
		if *one.own == "" {
			*one.own = *one.other
		}
	}
	return q
}

// CheckSchema tells whether the software of a schema uses the driver.
func CheckSchema(schemas map[string]Schema, name string, d Driver) *tomlfile.Mistake {
	s, known := schemas[name]
	if !known || slices.Contains(s.Drivers, d) {
		return nil
	}
	var drivers []string
	for _, one := range s.Drivers {
		drivers = append(drivers, fmt.Sprintf("%q", one))
	}
	return &tomlfile.Mistake{
		What:   fmt.Sprintf("is not a schema of %s databases", d),
		Remedy: "set driver = " + strings.Join(drivers, " or ") + ", or write the queries yourself",
	}
}

// roundcube: the identities that users of the webmail have stored. Whoever logs
// in there with another name than here has none.
var roundcube = Queries{Senders: `
	SELECT u.username AS login, i.email FROM users u JOIN identities i ON i.user_id = u.user_id
	WHERE u.username = ? AND i.del = 0`}
