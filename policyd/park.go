package policyd

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"portreeve/internal/listen"
	"portreeve/rules"
)

// left is what the poller has left to the connection's goroutine, besides requests that
// have been read and answers that have not been written.
type left struct {
	rest   Rest // of the decision about the request at the front,
	length int  // which has so many bytes
	err    error
}

// park lets the poller wait for requests, and answer them, until there is something for
// the connection's goroutine.
func (c *conn) park() error {
	c.sleep()
	c.Leave()
	if err := c.line.Wait(c.ctx.Done(), or(c.Idle, DefaultIdle)); err != nil {
		return err
	}
	l := c.left
	c.left = left{}
	if l.rest != nil {
		decision := l.rest.Decide()
		c.add(&decision, l.length)
	}
	return l.err
}

// ready is called when something can be read. It answers whole requests that need not
// wait.
func (c *conn) ready(fd int, now time.Time, last bool) (stay, all bool) {
	room := c.Take()
	n, err := listen.TryRead(fd, room)
	switch {
	case err == syscall.EAGAIN:
		c.Leave()
		return true, true
	case err != nil:
		c.left.err = os.NewSyscallError("read", err)
		return false, true
	case n == 0:
		c.left.err = io.EOF
		return false, true
	}
	c.end += n
	if stay = c.answerPromptly(fd, now); stay {
		c.Leave()
	}
	return stay, n < len(room) && !last
}

// answerPromptly answers what has been read, if it is whole and need not wait.
func (c *conn) answerPromptly(fd int, now time.Time) bool {
	for c.pending() {
		// What is malformed, or not whole, its goroutine finds out again.
		n, err := c.whole()
		if err != nil || n == 0 || !c.promptly(n, now) {
			return false
		}
	}
	done, err := c.tryFlush(func(b []byte) (int, error) { return listen.TryWrite(fd, b) })
	c.left.err = err
	return done
}

// promptly answers the request at the front, which ends within n bytes and came at that
// time, if it need not wait.
func (c *conn) promptly(n int, now time.Time) bool {
	n, asks, err := c.understand(n, now)
	if err != nil {
		return false
	}
	if asks {
		if c.left.rest = c.Prompt.Begin(c.deciding, &c.request, &c.decision); c.left.rest != nil {
			c.left.length = n
			return false
		}
	} else {
		c.decision = rules.Decision{Action: rules.Pass}
	}
	c.add(&c.decision, n)
	return true
}

// tryFlush writes what can be written of the answers without waiting.
func (c *conn) tryFlush(write func([]byte) (int, error)) (done bool, err error) {
	n, err := write(c.out)
	if err != nil {
		c.out = c.out[:0]
		return false, fmt.Errorf("answer: %w", os.NewSyscallError("write", err))
	}
	c.out = append(c.out[:0], c.out[n:]...)
	return len(c.out) == 0, nil
}
