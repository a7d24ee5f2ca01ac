//go:build race

package daemon

// enough leaves room for what the race detector keeps of every access.
const enough = 3 << 30
