package valkey

import (
	"fmt"
	"hash/fnv"
)

const (
	// prefix begins every key; its number is the layout's version.
	prefix = "pr1:"
	// buckets share the names among the servers of a Cluster. All keys of a name, and
	// the feed that tells of their changes, are in its bucket, so that one script can
	// change them together. A bucket is what a Cluster can move, so there is no use in
	// more servers than buckets.
	buckets = 64
)

// bucketOf is where the name's keys are.
func bucketOf(name string) int {
	h := fnv.New32a()
	h.Write([]byte(name)) //nolint:errcheck // never fails
	return int(h.Sum32() % buckets)
}

// The kinds of keys. Those of a bucket come first.
const (
	kindFeed     = "feed"
	kindBlocks   = "blocks"
	kindMark     = "mark"
	kindHosts    = "hosts"
	kindClock    = "clock" // never written
	kindFailures = "f"
	kindGrants   = "g"
	kindVisits   = "v"
	kindUsed     = "u"
	kindOpen     = "o"
	kindDone     = "d"
	kindEntry    = "j"
)

// bucketKey is a key of the bucket itself. The braces are Redis's hash tag.
func bucketKey(bucket int, kind string) string {
	return fmt.Sprintf("%s{%02x}:%s", prefix, bucket, kind)
}

// key is a key of the name.
func key(kind, name string) string {
	return fmt.Sprintf("%s{%02x}:%s:%s", prefix, bucketOf(name), kind, name)
}
