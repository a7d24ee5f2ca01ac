package dialogue

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// Config writes a portreeve.toml: the base file with the layers over it, the
// later ones winning. The keys of a layer are dotted ("auth_failures.window").
// Hosts use it to add their sockets and the story's settings to
// testdata/portreeve.toml.
func Config(base []byte, layers ...map[string]any) ([]byte, error) {
	tree := map[string]any{}
	if err := toml.Unmarshal(base, &tree); err != nil {
		return nil, fmt.Errorf("reading the base configuration: %w; mend integration/testdata/portreeve.toml", err)
	}
	for _, layer := range layers {
		for _, key := range slices.Sorted(maps.Keys(layer)) {
			if err := put(tree, strings.Split(key, "."), layer[key]); err != nil {
				return nil, fmt.Errorf("setting %s: %w", key, err)
			}
		}
	}
	var out bytes.Buffer
	if err := toml.NewEncoder(&out).Encode(tree); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return out.Bytes(), nil
}

// put sets a value in nested tables and makes those that are missing.
func put(tree map[string]any, path []string, value any) error {
	for _, name := range path[:len(path)-1] {
		switch next := tree[name].(type) {
		case nil:
			table := map[string]any{}
			tree[name] = table
			tree = table
		case map[string]any:
			tree = next
		default:
			return fmt.Errorf("%s is a value, not a table; give the whole key", name)
		}
	}
	tree[path[len(path)-1]] = value
	return nil
}
