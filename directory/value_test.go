package directory

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestTruth(t *testing.T) {
	for _, yes := range []any{true, int64(1), "1", "t", "TRUE", "y", "Yes", "on", "active", "enabled", " y ", []byte("1"), []byte("y"), []byte{1}} {
		if got, err := truth("smtp", yes); !got || err != nil {
			t.Errorf("truth(%#v) = %v, %v", yes, got, err)
		}
	}
	for _, no := range []any{nil, false, int64(0), "", "0", "f", "False", "n", "NO", "off", "inactive", "disabled", []byte("0"), []byte{0}, []byte(nil), []byte("n")} {
		if got, err := truth("smtp", no); got || err != nil {
			t.Errorf("truth(%#v) = %v, %v", no, got, err)
		}
	}
	for _, what := range []any{int64(2), int64(-1), 1.0, "maybe", "10", []byte("ano"), []byte{2}, struct{}{}, []any{true}} {
		got, err := truth("smtp", what)
		if got || err == nil || !isData(err) || !strings.HasPrefix(err.Error(), "smtp is ") {
			t.Errorf("truth(%#v) = %v, %v; want an error", what, got, err)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[any]int{
		nil: 0, int64(0): 0, int64(200): 200, "200": 200, " 7 ": 7, "100.00": 100, 5.0: 5,
		int64(math.MaxInt64): math.MaxInt32, float32(60): 60, // MySQL's FLOAT
		"18446744073709551615": math.MaxInt32,
	} {
		if got, err := number("messages_per_hour", v); got != want || err != nil {
			t.Errorf("number(%#v) = %d, %v; want %d", v, got, err, want)
		}
	}
	if got, err := number("n", []byte("12")); got != 12 || err != nil {
		t.Errorf("number of bytes = %d, %v", got, err)
	}
	for _, what := range []any{int64(-1), "-1", "", "many", 1.5, "1.5", float32(1.5), math.NaN(), math.Inf(1), "Inf", "NaN", true} {
		if got, err := number("messages_per_hour", what); got != 0 || err == nil || !isData(err) {
			t.Errorf("number(%#v) = %d, %v; want an error", what, got, err)
		}
	}
}

// A query that names the wrong column must not put passwords into a log.
func TestValuesStayOutOfErrors(t *testing.T) {
	const hash = "{SHA512-CRYPT}$6$abc"
	for _, v := range []any{hash, []byte(hash)} {
		_, err := truth("smtp", v)
		_, err2 := number("messages_per_hour", v)
		if text := errors.Join(err, err2).Error(); strings.Contains(text, "CRYPT") || strings.Contains(text, "$6$") {
			t.Errorf("the error shows %q", text)
		}
	}
}

func TestSpellings(t *testing.T) {
	for name, want := range map[string]string{
		"domena.cz": "domena.cz", "xn--domna-dsa.cz": "xn--domna-dsa.cz doména.cz", "jan@xn--domna-dsa.cz": "jan@xn--domna-dsa.cz jan@doména.cz",
	} {
		if got := strings.Join(spellings(name), " "); got != want {
			t.Errorf("spellings(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestNoIsNo(t *testing.T) {
	for v, want := range map[any]bool{nil: true, int64(0): true, 0.0: true, "": true, "no": true, false: true, int64(1): false, int64(7): false, "domena.cz": false, 1.0: false, true: false} {
		if got := isNo(v); got != want {
			t.Errorf("isNo(%#v) = %v", v, got)
		}
	}
}
