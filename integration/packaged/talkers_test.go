//go:build packaged

package packaged

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// outcome is one conversation, from its connection to its end.
type outcome struct {
	kind         string
	began, ended time.Time
	failure      string // empty: everything was answered as it should be
}

// crowd talks until it is told to stop.
type crowd struct {
	running  sync.WaitGroup
	stop     atomic.Bool
	mu       sync.Mutex
	outcomes []outcome
	wrong    atomic.Int64 // passwords that were refused as wrong
	again    atomic.Int64 // policy requests that were sent again, as Postfix would
}

// pause is what a client does between two conversations.
const pause = 20 * time.Millisecond

// patience is longer than any of Postfix's that count here: 30 s for a milter, 100 s
// for a policy service.
const patience = 30 * time.Second

// begin lets so many clients of a kind talk. Each is made, so that it may have a
// connection of its own.
func (c *crowd) begin(kind string, clients int, client func() func(n int) error) {
	for range clients {
		talk := client()
		c.running.Go(func() {
			for n := 0; !c.stop.Load(); n++ {
				o := outcome{kind: kind, began: time.Now()}
				if err := talk(n); err != nil {
					o.failure = err.Error()
				}
				o.ended = time.Now()
				c.mu.Lock()
				c.outcomes = append(c.outcomes, o)
				c.mu.Unlock()
				time.Sleep(pause)
			}
		})
	}
}

// end waits until everybody has finished.
func (c *crowd) end() []outcome {
	c.stop.Store(true)
	c.running.Wait()
	return c.outcomes
}

// policyRequest is what Postfix asks at RCPT.
const policyRequest = "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=127.9.1.1\nserver_port=587\n" +
	"sasl_username=jan.novak@domena.cz\nsender=%s\nrecipient=x@far.test\ninstance=%x\n\n"

// The answers must be the rules', not merely some.
func policyQuestion(n int) (request, answer string) {
	if n%2 == 0 {
		return fmt.Sprintf(policyRequest, "jan.novak@domena.cz", n), "action=DUNNO\n"
	}
	return fmt.Sprintf(policyRequest, "jan.novak@seznam.cz", n), "action=550 5.1.0 <jan.novak@seznam.cz> sender rejected\n"
}

// always is a client that is the same each time.
func always(talk func(n int) error) func() func(n int) error {
	return func() func(n int) error { return talk }
}

// policyClient asks each time on the connection that it has, like Postfix: when that
// fails before an answer, it asks once more, on a new one.
func (c *crowd) policyClient(keep bool) func() func(n int) error {
	return func() func(n int) error { return c.policyAsker(keep) }
}

func (c *crowd) policyAsker(keep bool) func(n int) error {
	var conn net.Conn
	var r *bufio.Reader
	return func(n int) error {
		request, answer := policyQuestion(n)
		for attempt := range 2 {
			err := func() (err error) {
				if conn == nil {
					if conn, err = dial(socketDir + "/policy.sock"); err != nil {
						return err
					}
					r = bufio.NewReader(conn)
				}
				if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
					return err
				}
				if _, err := io.WriteString(conn, request); err != nil {
					return err
				}
				got, err := r.ReadString('\n')
				if err == nil {
					_, err = r.ReadString('\n')
				}
				if err == nil && got != answer {
					return wrongAnswer(got)
				}
				return err
			}()
			if err != nil || !keep {
				if conn != nil {
					_ = conn.Close() // it may have been closed already
				}
				conn = nil
			}
			if bad := wrongAnswer(""); err == nil || errors.As(err, &bad) || attempt > 0 {
				return err
			}
			c.again.Add(1)
		}
		return nil
	}
}

type wrongAnswer string

func (w wrongAnswer) Error() string { return fmt.Sprintf("answered %q", string(w)) }

func dial(path string) (net.Conn, error) {
	conn, err := net.DialTimeout("unix", path, patience)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(patience))
}

// milterSession is what Postfix tells a milter of a message of an account's, up to
// RCPT, and of one with a foreign sender.
func milterSession(int) error {
	conn, err := dial(socketDir + "/milter.sock")
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // everything has been said by then
	macros := "{auth_authen}\x00jan.novak@domena.cz\x00{daemon_port}\x00587\x00"
	for _, step := range []struct {
		frame string
		want  byte // of the answer; 0: none comes
	}{
		{"O\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff", 'O'},
		{"DC" + macros, 0},
		{"Cpc.test\x004\x9c\x40127.9.1.2\x00", 'c'},
		{"Hpc.test\x00", 'c'},
		{"DM" + macros, 0},
		{"M<jan.novak@seznam.cz>\x00", 'y'}, // a reply with a code
		{"A", 0},
		{"DM" + macros, 0},
		{"M<jan.novak@domena.cz>\x00", 'c'},
		{"DR" + macros, 0},
		{"R<x@far.test>\x00", 'c'},
		{"A", 0},
		{"Q", 0},
	} {
		size := binary.BigEndian.AppendUint32(nil, uint32(len(step.frame))) //nolint:gosec // short
		if _, err := conn.Write(append(size, step.frame...)); err != nil {
			return fmt.Errorf("milter command %q: %w", step.frame[:1], err)
		}
		if step.want == 0 {
			continue
		}
		head := make([]byte, 5)
		if _, err := io.ReadFull(conn, head); err != nil {
			return fmt.Errorf("the answer to milter command %q: %w", step.frame[:1], err)
		}
		if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head))-1); err != nil {
			return err
		}
		if head[4] != step.want {
			return fmt.Errorf("milter command %q is answered %q, want %q", step.frame[:1], head[4], step.want)
		}
	}
	return nil
}

// smtp is an SMTP session of a client.
type smtp struct{ *textproto.Conn }

func connect(from string, port int) (smtp, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	conn, err := d.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return smtp{}, err
	}
	s := smtp{textproto.NewConn(conn)}
	return s, errors.Join(conn.SetDeadline(time.Now().Add(2*patience)), s.expect("220", ""), s.expect("250", "EHLO pc.test"))
}

// expect sends a line, and wants the code in the reply.
func (s smtp) expect(code, line string) error {
	got, err := s.ask(line)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(got, code) {
		return fmt.Errorf("%q is answered %q", line, got)
	}
	return nil
}

func (s smtp) ask(line string) (string, error) {
	if line != "" {
		if err := s.PrintfLine("%s", line); err != nil {
			return "", fmt.Errorf("sending %q: %w", line, err)
		}
	}
	for {
		got, err := s.ReadLine()
		if err != nil {
			return "", fmt.Errorf("the reply to %q: %w", line, err)
		}
		if len(got) < 4 || got[3] != '-' {
			return got, nil
		}
	}
}

func authPlain(password string) string {
	return "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00jan.novak@domena.cz\x00"+password))
}

// submission is a message of a customer's on port 587, after one with a sender that is
// not his.
func submission(int) error {
	s, err := connect("127.9.1.3", 587)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // everything has been said by then
	for _, step := range [][2]string{
		{"235", authPlain("jan.novak-pass")},
		{"550 5.1.0 <jan.novak@seznam.cz> sender rejected", "MAIL FROM:<jan.novak@seznam.cz>"},
		{"250", "MAIL FROM:<jan.novak@domena.cz>"},
		{"250", "RCPT TO:<x@far.test>"},
		{"354", "DATA"},
		{"250", "From: <jan.novak@domena.cz>\r\n\r\nx\r\n."},
		{"221", "QUIT"},
	} {
		if err := s.expect(step[0], step[1]); err != nil {
			return err
		}
	}
	return nil
}

// inbound is a message of another mail server's on port 25.
func inbound(int) error {
	s, err := connect("127.9.1.4", 25)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // everything has been said by then
	for _, step := range [][2]string{
		{"250", "MAIL FROM:<x@far.test>"},
		{"250", "RCPT TO:<jan.novak@domena.cz>"},
		{"354", "DATA"},
		{"250", "From: <x@far.test>\r\n\r\nx\r\n."},
		{"221", "QUIT"},
	} {
		if err := s.expect(step[0], step[1]); err != nil {
			return err
		}
	}
	return nil
}

// guesser is somebody with wrong passwords, each of which must be counted.
func (c *crowd) guesser(int) error {
	s, err := connect(guesserAddr, 587)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // everything has been said by then
	got, err := s.ask(authPlain("wrong"))
	if err == nil && !strings.HasPrefix(got, "535 ") {
		err = fmt.Errorf("a wrong password is answered %q", got)
	}
	if err == nil {
		c.wrong.Add(1)
		err = s.expect("221", "QUIT")
	}
	return err
}

const guesserAddr = "127.9.1.5"
