package trial

import (
	"reflect"
	"testing"
)

func TestSteps(t *testing.T) {
	t.Parallel()
	got, err := Steps("# T\n```toml\nx = 1\n```\n## One\n```sh\na\nb\n```\n\n```text\nc …\n```\n## Two\n```sh\nd\n```\n")
	want := []Step{{"One", "a\nb", []string{"c …"}}, {"Two", "d", nil}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"```text\na\n```\n", "```sh\na\n```\n```text\nb\n```\n```text\nc\n```\n", "```sh\na\n"} {
		if got, err := Steps(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	const output = "one (1)\r\ntwo\nthree 3\n"
	for _, tt := range []struct {
		expected []string
		missing  string
	}{
		{nil, ""},
		{[]string{"one (1)", "three …"}, ""},
		{[]string{"…(…)", "two"}, ""},
		{[]string{"two", "one (1)"}, "one (1)"}, // out of turn
		{[]string{"two", "two"}, "two"},
		{[]string{"one"}, "one"},
		{[]string{"one .1."}, "one .1."},
	} {
		if got, missing := Missing(tt.expected, output); got != tt.missing || missing != (tt.missing != "") {
			t.Errorf("%q: %q is missing, want %q", tt.expected, got, tt.missing)
		}
	}
}
