package ledger

import (
	"hash/crc32"

	"portreeve/internal/store"
)

// chunk is a row of the file's packed counters: some hundred of them, of clients or of
// logins, one behind the other. A row each would cost more than the counter, at the start
// and while SQLite checks the file.
type chunk struct {
	login    int    // 1 for those of logins
	counters []byte // of each the key and what is packed, with their lengths
}

const (
	// chunkBytes is when a chunk is full, chunkPlaces how many places of a table are
	// looked at for it: the lock is held for so long.
	chunkBytes  = 128 << 10
	chunkPlaces = 2000
)

// add appends a counter, or what may be kept of it; it tells whether there is room for more.
func (c *chunk) add(key, body []byte) (more bool) {
	if body = keepable(c.login == 1, body); len(body) > 0 {
		c.counters = appendText(appendText(c.counters, key), body)
	}
	return len(c.counters) < chunkBytes
}

// each walks through the counters; false where they are none, or use says so.
func (c *chunk) each(use func(key, body []byte) bool) bool {
	r := reader{rest: c.counters}
	for len(r.rest) > 0 {
		key, body := r.text(), r.text()
		if r.bad || !use(key, body) {
			return false
		}
	}
	return true
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum is what the chunk is known by again: SQLite has none of its own, and a file may
// come back from a disk as it never was.
func (c *chunk) sum() uint32 {
	return crc32.Update(crc32.Checksum([]byte{byte(c.login)}, castagnoli), castagnoli, c.counters)
}

// insertPacked says which row it is: a snapshot that was given up (the daemon was told to
// stop) may still have a piece in the queue, which comes before the first of the next one
// and would else take its place.
const insertPacked = "insert or replace into packed(rowid, login, sum, counters) values(?, ?, ?, ?)"

func (c *chunk) write(tx store.Tx, row int64) error {
	_, err := tx.Exec(insertPacked, row, c.login, int64(c.sum()), c.counters)
	return err
}
