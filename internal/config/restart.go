package config

import (
	"reflect"
	"slices"
)

// RestartNeeded lists the keys that differ and take effect at the next start
// only: sockets, mail logs and the store are opened once.
func RestartNeeded(old, now *Config) []string {
	keys := differing("listen", reflect.ValueOf(old.Listen), reflect.ValueOf(now.Listen))
	keys = append(keys, differing("maillog", reflect.ValueOf(old.Maillog), reflect.ValueOf(now.Maillog))...)
	keys = append(keys, differing("store", reflect.ValueOf(old.Store), reflect.ValueOf(now.Store))...)
	for _, file := range []struct {
		key       string
		different bool
	}{
		{"store.valkey.password_file", old.Store.Valkey.Password != now.Store.Valkey.Password},
		{"store.valkey.sentinel_password_file", old.Store.Valkey.SentinelPassword != now.Store.Valkey.SentinelPassword},
		{"store.valkey.ca_file", old.Store.Valkey.CA != now.Store.Valkey.CA},
	} {
		if file.different && !slices.Contains(keys, file.key) {
			keys = append(keys, file.key) // another content is another setting
		}
	}
	return keys
}

// differing compares two tables key by key.
func differing(table string, a, b reflect.Value) []string {
	var keys []string
	for i := range a.NumField() {
		name := a.Type().Field(i).Tag.Get("toml")
		if name == "-" {
			continue
		}
		key := table + "." + name
		// A listen.Address is a struct, too, but one value of one key.
		if _, one := a.Field(i).Interface().(interface{ String() string }); !one && a.Field(i).Kind() == reflect.Struct {
			keys = append(keys, differing(key, a.Field(i), b.Field(i))...)
			continue
		}
		// An empty list and none at all are the same.
		bothEmpty := a.Field(i).Kind() == reflect.Slice && a.Field(i).Len()+b.Field(i).Len() == 0
		if !bothEmpty && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			keys = append(keys, key)
		}
	}
	return keys
}
