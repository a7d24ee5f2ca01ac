package directory

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// dataError is an answer that makes no sense. The source works, so it says
// nothing about the other answers.
type dataError struct{ text string }

func (e *dataError) Error() string { return e.text }

func dataErrorf(format string, args ...any) error {
	return &dataError{fmt.Sprintf(format, args...)}
}

// The words for yes and no that sources are known to use: SQL's own, ISPConfig's
// y and n, LDAP's TRUE and FALSE, accountStatus: active.
var words = map[string]bool{
	"1": true, "t": true, "true": true, "y": true, "yes": true, "on": true, "active": true, "enabled": true,
	"": false, "0": false, "f": false, "false": false, "n": false, "no": false, "off": false, "inactive": false, "disabled": false,
}

// truth reads a flag. NULL is no: nobody may be let in by a value that is not
// there.
func truth(name string, v any) (bool, error) {
	switch v := v.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	case int64:
		if v == 0 || v == 1 {
			return v == 1, nil
		}
	case []byte:
		if len(v) == 1 && v[0] <= 1 { // MySQL's BIT(1)
			return v[0] == 1, nil
		}
		return truth(name, string(v))
	case string:
		if yes, ok := words[strings.ToLower(strings.TrimSpace(v))]; ok {
			return yes, nil
		}
	}
	return false, dataErrorf("%s is %s, which is neither yes nor no: let it give 0 or 1", name, shown(v))
}

// number reads a limit; NULL is 0, which is the default of [quota].
func number(name string, v any) (int, error) {
	n := math.NaN()
	switch v := v.(type) {
	case nil:
		return 0, nil
	case int64:
		n = float64(v)
	case float64:
		n = v
	case float32:
		n = float64(v)
	case []byte:
		return number(name, string(v))
	case string:
		if f, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil {
			n = f
		}
	}
	if n != math.Trunc(n) || n < 0 || math.IsInf(n, 0) { // what is not a number is not its own whole part either
		return 0, dataErrorf("%s is %s, which is no number from 0: let it give one, or NULL for the default", name, shown(v))
	}
	return int(min(n, math.MaxInt32)), nil
}

// text reads a name; ok is false for NULL and for what is none.
func text(v any) (s string, ok bool) {
	switch v := v.(type) {
	case string:
		s = v
	case []byte:
		s = string(v)
	default:
		return "", false
	}
	return s, utf8.ValidString(s)
}

// shown is a value as an error may show it. Longer ones stay out of logs: a
// query may have named the column of the passwords.
func shown(v any) string {
	const most = 10
	s := fmt.Sprint(v)
	if b, ok := v.([]byte); ok {
		s = string(b)
	}
	if len(s) > most {
		return fmt.Sprintf("a text of %d bytes", len(s))
	}
	return strconv.Quote(s)
}
