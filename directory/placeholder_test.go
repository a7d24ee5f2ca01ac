package directory

import (
	"strings"
	"testing"
)

func TestPlaceholders(t *testing.T) {
	for _, tt := range []struct {
		driver Driver
		query  string
		want   string
		count  int
	}{
		{Postgres, "SELECT a FROM t WHERE b = ? OR c = ?", "SELECT a FROM t WHERE b = $1 OR c = $2", 2},
		{MySQL, "SELECT a FROM t WHERE b = ? OR c = ?", "SELECT a FROM t WHERE b = ? OR c = ?", 2},
		{Postgres, `SELECT '?', "?" FROM t WHERE a = ? -- ?`, `SELECT '?', "?" FROM t WHERE a = $1 -- ?`, 1},
		{Postgres, "a = ? -- ?\nAND b = ?", "a = $1 -- ?\nAND b = $2", 2},
		{Postgres, "a = ? /* ? /* ? */ ? */ AND b = ?", "a = $1 /* ? /* ? */ ? */ AND b = $2", 2},
		{MySQL, "a = ? /* ? /* ? */ AND b = ?", "a = ? /* ? /* ? */ AND b = ?", 2},
		{Postgres, `a = 'it''s ?' AND b = ?`, `a = 'it''s ?' AND b = $1`, 1},
		{Postgres, `a = 'C:\' AND b = ?`, `a = 'C:\' AND b = $1`, 1},
		{Postgres, `a = E'it\'s ?' AND b = ?`, `a = E'it\'s ?' AND b = $1`, 1},
		{Postgres, `name'x\' AND b = ?`, `name'x\' AND b = $1`, 1},
		{MySQL, `a = 'it\'s ?' AND b = ?`, `a = 'it\'s ?' AND b = ?`, 1},
		{MySQL, "`a?` = ? # ?", "`a?` = ? # ?", 1},
		{MySQL, "a = 5--? AND b = ?", "a = 5--? AND b = ?", 2}, // minus minus, in MySQL
		{MySQL, "a = 5 -- ? AND b = ?", "a = 5 -- ? AND b = ?", 0},
		{MySQL, "a = ? --", "a = ? --", 1},
		{Postgres, "a # ? AND b = ?", "a # $1 AND b = $2", 2},
		{SQLite, "[a?] = ? AND `b?` = ?", "[a?] = ? AND `b?` = ?", 2},
		{Postgres, "arr[1] = ? AND b ?? 'x'", "arr[1] = $1 AND b ? 'x'", 1},
		{Postgres, "a = $q$ ? ' $q$ AND b = ?", "a = $q$ ? ' $q$ AND b = $1", 1},
		{Postgres, "a = $$ ? $$ AND b = ?", "a = $$ ? $$ AND b = $1", 1},
		{Postgres, "a$b$ = ? AND c$b$ = ?", "a$b$ = $1 AND c$b$ = $2", 2},
		{Postgres, "a = $9$ ? $9$", "a = $9$ $1 $9$", 1},
		{SQLite, "", "", 0},
	} {
		text, count, err := placeholders(tt.driver, tt.query)
		if err != nil || text != tt.want || count != tt.count {
			t.Errorf("%s %s:\ngot  %s, %d, %v\nwant %s, %d", tt.driver, tt.query, text, count, err, tt.want, tt.count)
		}
	}
}

func TestUnclosed(t *testing.T) {
	for _, tt := range []struct {
		driver Driver
		query  string
	}{
		{Postgres, "a = 'x"},
		{MySQL, `a = 'x\'`},
		{Postgres, `"x`},
		{MySQL, "`x"},
		{SQLite, "[x"},
		{Postgres, "/* /* */"},
		{Postgres, "/*"},
		{Postgres, "/"},
		{MySQL, "/*/"},
		{Postgres, "$a$ x $b$"},
		{Postgres, "/**"},
	} {
		if text, n, err := placeholders(tt.driver, tt.query); err == nil && tt.query != "/" {
			t.Errorf("%s %s gives %q, %d", tt.driver, tt.query, text, n)
		}
	}
}

// FuzzPlaceholders: whatever the text, only question marks change, and as many as
// are counted.
func FuzzPlaceholders(f *testing.F) {
	for _, q := range []string{"a = ? -- ?\n", `'?' "?" E'\'?'`, "$q$?$q$ ??", "/* /* ? */ ? */ ?", "[?] `?` # ?"} {
		f.Add(0, q)
		f.Add(1, q)
		f.Add(2, q)
	}
	f.Fuzz(func(t *testing.T, which int, query string) {
		d := []Driver{Postgres, MySQL, SQLite}[uint(which)%3]
		text, n, err := placeholders(d, query)
		if err != nil {
			return
		}
		if n > strings.Count(query, "?") {
			t.Errorf("%d placeholders in %q", n, query)
		}
		if d != Postgres {
			if want := strings.Count(query, "?") - strings.Count(text, "?"); len(query)-len(text) != want {
				t.Errorf("%q became %q", query, text)
			}
			return
		}
		if again, m, err := placeholders(d, text); err == nil && n == 0 && !strings.Contains(query, "??") && (m != 0 || again != text) {
			t.Errorf("%q became %q, and that %q", query, text, again)
		}
	})
}
