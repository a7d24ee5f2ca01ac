// Package store keeps one SQLite file (modernc.org/sqlite, no cgo) for the
// ledger and the journal: one writer that commits in groups, and readers of
// their own.
//
// A write is answered after its commit, so a killed process loses nothing that
// was answered (the WAL is in the page cache). Once a second a commit is also
// synced, so a power failure costs at most the last second (SPEC.md section 8).
package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the database/sql driver
)

const (
	// queueLength bounds the writes that wait for the writer; beyond it callers wait.
	queueLength = 4096
	// groupSize bounds one commit, and so how long its callers wait for the others.
	groupSize = 1024
	// yields bounds how often the writer lets others run before a commit, and so how
	// long a write can wait while they do something else.
	yields = 8
	// syncEvery is the longest time that an answered write is not on disk.
	syncEvery = time.Second
	// lookEvery is how often the writer looks whether it must sync.
	lookEvery = syncEvery / 4
)

// ErrClosed is returned for writes after Close.
var ErrClosed = errors.New("the store is closed: the daemon is stopping")

// Tx is what a write may do. It is valid only inside the function that got it.
type Tx interface {
	// Exec runs one statement; its text is the key of a prepared statement.
	Exec(query string, args ...any) (sql.Result, error)
}

// DB is an open store.
type DB struct {
	path   string
	lock   *os.File
	file   *os.File // see readAhead
	writer *sql.DB
	reader *sql.DB
	copier *sql.DB // copies the log into the file
	queue  chan write
	quit   chan struct{}
	ended  chan struct{}
	once   sync.Once

	progress
	copying  sync.Mutex
	uncopied atomic.Pointer[fault] // why the log cannot be copied
	held     atomic.Bool           // the latest copy ended where a reader needs the file as it is
	restart  chan struct{}         // asks the writer to begin the log anew
	copied   chan struct{}         // nobody copies any more

	closed error // what closing returned
	fault  atomic.Pointer[fault]
	damage atomic.Pointer[fault]     // found by a reader; only a new start mends it
	busy   atomic.Pointer[time.Time] // since when the writer is at one step; nil between two

	// Measure, if set before the first write, is told how long each write took to
	// be committed.
	Measure func(time.Duration)

	// Damaged is where a file was moved that could not be used, or empty.
	Damaged string
}

type fault struct {
	err   error
	since time.Time
}

type write struct {
	do   func(Tx) error
	done chan error
}

// Open opens or makes the file and locks it against a second daemon. A file
// that is no usable database is moved aside (see DB.Damaged), for mail must go
// on; nothing is ever deleted.
func Open(path string, schema []string, now time.Time) (*DB, error) {
	return OpenAndRead(path, schema, now, func(*DB) error { return nil })
}

// OpenAndRead is Open for somebody who must read much at first: read runs while the
// file's pages are checked, which takes as long. Where they are damaged it runs once
// more, on the empty file. It must not write.
func OpenAndRead(path string, schema []string, now time.Time, read func(*DB) error) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("making the store's directory: %w: make it, or change store.path", err)
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	db := &DB{
		path: path, lock: lock,
		queue: make(chan write, queueLength), quit: make(chan struct{}), ended: make(chan struct{}),
		restart: make(chan struct{}), copied: make(chan struct{}),
	}
	err = db.open(schema, read)
	if damaged(err) {
		if db.Damaged, err = moveAside(path, now); err == nil {
			err = db.open(schema, read)
		}
	}
	var conn *sql.Conn
	if err == nil {
		conn, err = db.writer.Conn(context.Background())
	}
	var unread unreadError
	switch {
	case errors.As(err, &unread):
		err = unread.error
	case errors.Is(err, errNewer):
		err = fmt.Errorf("opening the store %s: %w: install that version, or change store.path", path, err)
	case err != nil:
		err = fmt.Errorf("opening the store %s: %w: check that the directory can be written, or change store.path", path, err)
	default:
		go db.write(conn)
		go db.copyLog()
		return db, nil
	}
	return nil, errors.Join(err, db.closeFiles(), lock.Close())
}

// lockFile keeps a second daemon off the file: two writers' memories would
// disagree about who is blocked.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("opening the store's lock file: %w: check the directory's owner, or change store.path", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = fmt.Errorf("another portreeve uses this store (%s is locked): stop it first, or give this one another store.path", path)
	case err != nil:
		err = fmt.Errorf("locking the store (%s): %w: change store.path to a local file system", path, err)
	default:
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}

var (
	errDamaged = errors.New("the file is not a database of ours")
	errNewer   = errors.New("it was written by a newer portreeve")
)

func damaged(err error) bool {
	if errors.Is(err, errDamaged) {
		return true
	}
	var coded interface{ Code() int }
	// SQLITE_CORRUPT and SQLITE_NOTADB, without their extended bits.
	return errors.As(err, &coded) && (coded.Code()&0xff == 11 || coded.Code()&0xff == 26)
}

// moveAside gives the damaged file a name that no other has, and returns it.
func moveAside(path string, now time.Time) (string, error) {
	name := fmt.Sprintf("%s"+damagedSuffix+"%s", path, now.UTC().Format("20060102T150405Z"))
	to := name
	for n := 2; ; n++ {
		if _, err := os.Lstat(to); errors.Is(err, os.ErrNotExist) {
			break
		} else if err != nil {
			return "", fmt.Errorf("moving the damaged store aside: %w", err)
		}
		to = fmt.Sprintf("%s-%d", name, n)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, to+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("moving the damaged store aside: %w", err)
		}
	}
	return to, nil
}

var magic = []byte("SQLite format 3\x00")

// checkHead looks at the file's first bytes itself: SQLite takes an empty file
// for a new database without a word (FACTS.md 5.4). A file that is not there is
// made here, because SQLite's own would be readable by everybody.
func checkHead(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		if f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o640); err != nil {
			return err
		}
		return f.Close()
	}
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, len(magic))
	switch _, err := io.ReadFull(f, head); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), err == nil && !bytes.Equal(head, magic):
		return errDamaged
	default:
		return err
	}
}

// unreadError is one of the reader's own.
type unreadError struct{ error }

func (db *DB) open(schema []string, read func(*DB) error) (err error) {
	if err := checkHead(db.path); err != nil {
		return err
	}
	if db.file, err = os.Open(db.path); err != nil {
		return err
	}
	dsn := func(query string) string {
		return "file:" + (&url.URL{Path: db.path}).EscapedPath() + "?_pragma=busy_timeout(5000)&_pragma=synchronous(normal)" + query
	}
	if db.writer, err = sql.Open("sqlite", dsn("&_pragma=journal_mode(wal)&_pragma=wal_autocheckpoint(0)&_pragma=journal_size_limit("+strconv.Itoa(longestLog)+")")); err != nil {
		return errors.Join(err, db.closeFiles())
	}
	db.writer.SetMaxOpenConns(1)
	if db.reader, err = sql.Open("sqlite", dsn("&_pragma=query_only(1)")); err != nil {
		return errors.Join(err, db.closeFiles())
	}
	db.reader.SetMaxOpenConns(4)
	if db.copier, err = sql.Open("sqlite", dsn("")); err != nil {
		return errors.Join(err, db.closeFiles())
	}
	db.copier.SetMaxOpenConns(1)
	if err = db.migrate(schema); err == nil {
		if db.isLogLong() { // else the first commit would do it, and all would wait for that
			_, _ = db.copyOnce() // copyLog tries again
		}
		err = db.checkWhile(read)
	}
	if err != nil {
		return errors.Join(err, db.closeFiles())
	}
	return nil
}

// checkWhile checks the pages while read runs. What a damaged file lets it read is
// of no interest.
func (db *DB) checkWhile(read func(*DB) error) error {
	checked := make(chan error, 1)
	go func() { checked <- db.checkPages() }()
	stop := db.readAhead()
	defer stop()
	err := read(db)
	if bad := <-checked; bad != nil {
		return bad
	}
	if err != nil && !damaged(err) {
		return unreadError{err}
	}
	return err
}

// readAhead reads the file from its beginning to its end while its pages are checked, so
// that they come from memory: the check asks for one after the other in the tables' order,
// which takes a disk three to eight times as long (measured: 530 MB in 7 to 19 s, and in
// 2.3 s beside this).
func (db *DB) readAhead() (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		piece := make([]byte, 1<<20)
		for {
			select {
			case <-quit:
				return
			default:
			}
			if _, err := db.file.Read(piece); err != nil {
				return // the end, or what the check will find
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// checkPages walks every table: a damaged page would otherwise show only when
// a write or a look-up meets it. 400 MB take 0.5 s from the page cache (measured).
func (db *DB) checkPages() error {
	var result string
	if err := db.writer.QueryRow("pragma quick_check(1)").Scan(&result); err != nil {
		return err
	}
	if result != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, result)
	}
	return nil
}

// migrate brings the schema up to date: schema[i] leads from version i to i+1.
func (db *DB) migrate(schema []string) error {
	var version int
	if err := db.writer.QueryRow("pragma user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(schema) {
		return fmt.Errorf("%w (schema %d, this one knows %d)", errNewer, version, len(schema))
	}
	for v := version; v < len(schema); v++ {
		tx, err := db.writer.Begin()
		if err != nil {
			return err
		}
		if _, err = tx.Exec(schema[v]); err == nil {
			_, err = tx.Exec(fmt.Sprintf("pragma user_version = %d", v+1))
		}
		if err != nil {
			return errors.Join(fmt.Errorf("bringing the schema to version %d: %w", v+1, err), tx.Rollback())
		}
		if err = tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// Reader runs queries; it never waits for the writer (WAL).
func (db *DB) Reader() *sql.DB { return db.reader }

// Path is the file's name.
func (db *DB) Path() string { return db.path }

// Write runs do inside the next group and returns after the group's commit. do
// may run more than once, and must not wait for anything. When ctx ends first,
// the write may still happen.
func (db *DB) Write(ctx context.Context, do func(Tx) error) error {
	if db.Measure != nil {
		defer func(began time.Time) { db.Measure(time.Since(began)) }(time.Now())
	}
	w := write{do: do, done: make(chan error, 1)}
	select {
	case db.queue <- w:
	case <-db.quit:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("waiting for the store: %w", ctx.Err())
	}
	select {
	case err := <-w.done:
		return err
	case <-db.ended:
		// The writer may have answered just before it ended.
		select {
		case err := <-w.done:
			return err
		default:
			return ErrClosed
		}
	case <-ctx.Done():
		return fmt.Errorf("waiting for the store: %w", ctx.Err())
	}
}

// Later queues a write that nobody waits for. It is dropped, and false is
// returned, when the queue is full or the store closed: only bookkeeping may be
// written this way.
func (db *DB) Later(do func(Tx) error) bool {
	select {
	case <-db.quit:
		return false
	default:
	}
	select {
	case db.queue <- write{do: do}:
		return true
	default:
		return false
	}
}

// Healthy returns nil, or why the store cannot be written or read.
func (db *DB) Healthy() error {
	if d := db.damage.Load(); d != nil {
		return fmt.Errorf("the store was found damaged at %s: %w: restart the daemon, which moves the file aside", d.since.UTC().Format(time.RFC3339), d.err)
	}
	if f := db.fault.Load(); f != nil {
		return fmt.Errorf("the store has not been writable since %s: %w", f.since.UTC().Format(time.RFC3339), f.err)
	}
	if f := db.uncopied.Load(); f != nil {
		return fmt.Errorf("the store's log has not been copied into its file since %s, and grows: %w: see whether its disk is full or fails", f.since.UTC().Format(time.RFC3339), f.err)
	}
	return db.slow()
}

// Read is told how a query on Reader ended, and gives its error a remedy. A
// damaged page that only a query meets raises the same alarm as a failed write.
func (db *DB) Read(err error) error {
	if !damaged(err) {
		return err
	}
	db.damage.CompareAndSwap(nil, &fault{err: err, since: time.Now()})
	return fmt.Errorf("%w: the store is damaged; restart the daemon, which moves the file aside", err)
}

// Close writes what is queued, syncs it and releases the file. It may be called
// again.
func (db *DB) Close() error {
	db.once.Do(func() {
		close(db.quit)
		<-db.ended
		<-db.copied
		db.closed = errors.Join(db.closeFiles(), db.lock.Close())
	})
	return db.closed
}

func (db *DB) closeFiles() error {
	var errs []error
	for _, d := range []*sql.DB{db.copier, db.reader, db.writer} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	if db.file != nil { // the last one: closing it takes SQLite's locks off the file, too
		errs = append(errs, db.file.Close())
		db.file = nil
	}
	return errors.Join(errs...)
}
