package tomlfile

import (
	"fmt"
	"strings"
)

// Unknown reports a key that is none of the known ones and suggests the one
// that was probably meant.
func (d *Document) Unknown(known []string, at ...string) Problem {
	return d.unknown(at, known, nil)
}

// unknown also knows in which other tables the key would be right.
func (d *Document) unknown(at Path, known, homes []string) Problem {
	var remedy string
	near := Nearest(at[len(at)-1], known)
	switch {
	case near != "":
		remedy = fmt.Sprintf("did you mean %s?", near)
	case len(homes) > 0:
		remedy = fmt.Sprintf("it belongs in [%s]", strings.Join(homes, "] or ["))
	default:
		remedy = "remove it; the keys here are " + strings.Join(known, ", ")
	}
	return d.Problem("unknown key "+at.String(), remedy, at...)
}

// Nearest is the known word that a mistyped one probably stands for, or
// nothing: one slip in a short word, two in a longer one.
func Nearest(word string, known []string) string {
	best, nearest := "", 3
	if len(word) < 5 {
		nearest = 2
	}
	folded := strings.ToLower(strings.ReplaceAll(word, "-", "_"))
	for _, k := range known {
		if len(k) > len(word)+2 || len(word) > len(k)+2 {
			continue
		}
		if n := distance(folded, k); n < nearest {
			best, nearest = k, n
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
