//go:build !race

package daemon

// enough is the memory that a daemon gets in which clients claim far more.
const enough = 256 << 20
