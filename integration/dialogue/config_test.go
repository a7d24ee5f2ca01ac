package dialogue

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestConfig(t *testing.T) {
	base, err := os.ReadFile("../testdata/portreeve.toml")
	if err != nil {
		t.Fatal(err)
	}
	out, err := Config(base,
		map[string]any{"listen.policy": "unix:/run/p", "mode": "observe"},
		map[string]any{"mode": "enforce", "replies.sender": map[string]any{"code": int64(551)}, "networks.shared": []any{}},
	)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := toml.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	for key, want := range map[string]any{
		"mode": "enforce", "listen.policy": "unix:/run/p", "replies.sender.code": int64(551),
		"networks.shared": []any{}, "networks.trusted": []any{"127.0.0.1/32"}, "directory.file": "accounts.toml",
	} {
		var v any = got
		for name := range strings.SplitSeq(key, ".") {
			v = v.(map[string]any)[name]
		}
		if !reflect.DeepEqual(v, want) {
			t.Errorf("%s = %v, want %v", key, v, want)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	if _, err := Config([]byte("x ="), nil); err == nil {
		t.Error("a base that is not TOML is accepted")
	}
	_, err := Config([]byte("mode = \"x\""), map[string]any{"mode.deep": 1})
	if err == nil || !strings.Contains(err.Error(), "mode is a value, not a table") {
		t.Errorf("got %v", err)
	}
}
