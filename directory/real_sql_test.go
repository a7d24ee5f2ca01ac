//go:build real

package directory_test

import "testing"

// Every kind of database that a server's driver can have.
func TestReal(t *testing.T) {
	each(t, func(t *testing.T, s *sqlServer) {
		for _, f := range fixtures {
			if f.tables[s.driver] == "" {
				continue // its software does not run on this server
			}
			t.Run(f.name, func(t *testing.T) { runFixture(t, f, s.driver, s.fresh) })
		}
	})
}

func TestRealRoundcube(t *testing.T) {
	each(t, func(t *testing.T, s *sqlServer) { roundcubeOn(t, s.fresh) })
}
