package listen

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Poller waits for the peers of many connections in one goroutine, and serves there
// what can be served without waiting. A goroutine that waits for its own connection
// costs each request two switches and a read that finds nothing; so it sleeps, and is
// woken for what must wait for something else.
//
// The set of connections (epoll(7)) is itself a file that is readable while one of them
// is, so Go's own poller wakes the goroutine, and no thread is held. When much has come at
// once, others help.
type Poller struct {
	set   int
	file  *os.File
	start time.Time
	now   func() time.Time
	help  chan struct{}
	quit  chan struct{} // closed by Close
	done  sync.WaitGroup

	mu    sync.Mutex
	lines map[int]*Line // by file descriptor

	spareMu sync.Mutex
	spare   int // a descriptor, see attach; -1 if there is none
}

const (
	// mostHelpers bounds the goroutines that help: there is one for each further processor.
	mostHelpers = 3
	// A goroutine takes an eighth of the connections from the set at a time, within these
	// bounds: what it has taken waits while it is kept from running, for the others cannot
	// help with that.
	atOnce     = 4
	mostAtOnce = 32
	// watchFor is what the set tells of: each arrival once, and the end. A read that does not
	// fill its buffer has had all that arrived before, so none is made that finds nothing; the
	// end, which may have come with the last bytes, has a flag of its own.
	watchFor = syscall.EPOLLIN | syscall.EPOLLRDHUP | edgeTriggered
	// edgeTriggered is syscall.EPOLLET, which is a negative number there.
	edgeTriggered = 1 << 31
	ended         = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
)

// NewPoller starts a poller. Close ends it. now is the clock that Ready is told of, which
// should be that of whoever serves the connections.
func NewPoller(now func() time.Time) (*Poller, error) {
	set, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll instance: %w: raise the limit on open files", err)
	}
	if err := syscall.SetNonblock(set, true); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the epoll instance: %w: start the daemon again", err), syscall.Close(set))
	}
	p := &Poller{
		set: set, file: os.NewFile(uintptr(set), "epoll"), start: time.Now(), now: now, help: make(chan struct{}),
		quit: make(chan struct{}), lines: make(map[int]*Line),
	}
	raw, err := p.file.SyscallConn()
	if err == nil {
		p.spare, err = dup(set)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the epoll instance: %w: start the daemon again", err), p.file.Close())
	}
	p.done.Go(func() {
		defer close(p.quit)
		_ = raw.Read(func(uintptr) bool { p.serve(); return false }) // until Close
	})
	for range min(runtime.GOMAXPROCS(0)-1, mostHelpers) {
		p.done.Go(func() {
			for p.called() {
				p.serve()
			}
		})
	}
	return p, nil
}

// Close ends the poller. There must be no line any more.
func (p *Poller) Close() error {
	// Nobody may wait at a set that is closed: its number may be another file's at once.
	err := p.file.SetReadDeadline(longAgo)
	if err == nil {
		p.done.Wait()
	}
	p.spareMu.Lock()
	defer p.spareMu.Unlock()
	_ = syscall.Close(p.spare) // where there is one
	p.spare = -1
	return errors.Join(err, p.file.Close())
}

// called waits until help is needed; false at the end.
func (p *Poller) called() bool {
	select {
	case <-p.help:
		return true
	case <-p.quit:
		return false
	}
}

// moment is one time, of two clocks. To look at them costs as much as to read a request,
// so those that are served in a row have one.
type moment struct {
	since time.Duration // the poller's start
	now   time.Time
}

// serve serves the lines of which something has come, until there are none.
func (p *Poller) serve() {
	var (
		events [mostAtOnce]syscall.EpollEvent
		lines  [mostAtOnce]*Line
		most   = atOnce
	)
	for {
		n := tryWait(p.set, events[:most])
		if n == 0 {
			return
		}
		if n > 1 { // and perhaps more
			select {
			case p.help <- struct{}{}:
			default:
			}
		}
		at := moment{since: time.Since(p.start), now: p.now()}
		p.mu.Lock()
		for i := range n {
			lines[i] = p.lines[int(events[i].Fd)]
		}
		most = min(max(len(p.lines)/8, atOnce), mostAtOnce)
		p.mu.Unlock()
		for i := range n {
			if lines[i] != nil { // its connection may have ended meanwhile
				lines[i].serve(at, events[i].Events&ended != 0)
				lines[i] = nil
			}
		}
		runtime.Gosched() // those that have been woken
	}
}
