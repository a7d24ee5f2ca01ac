package dialogue

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// patience is how long the player waits for a line. Dovecot takes 2 s for each
// wrong password and Postfix one more per error; a policy service may take up
// to 100 s before Postfix gives up, which no story waits for.
const patience = 30 * time.Second

// longestLine guards against a server that never ends its line.
const longestLine = 64 << 10

// conn is one open connection as the story sees it.
type conn struct {
	net     net.Conn
	read    *bufio.Reader
	speaks  speech
	greeted bool     // the greeting has been read
	helo    string   // the last EHLO's name, to greet again after STARTTLS
	command string   // the last line sent, for replies whose end depends on it
	unread  *reply   // a reply that a step read and left for `<`
	last    *reply   // what `<` read last, for `<-` and `<!`
	log     *session // what the client and the server said
	name    string
}

// reply is what the server said to one command.
type reply struct {
	lines  []string
	status string // the line that `<` matches
}

// speech tells where a protocol's reply ends.
type speech uint8

const (
	smtp speech = iota
	pop3
	imap
)

func speechOf(port int) speech {
	switch port {
	case 110, 995:
		return pop3
	case 143, 993:
		return imap
	default:
		return smtp
	}
}

func (c *conn) attach(n net.Conn) {
	c.net, c.read = n, bufio.NewReaderSize(n, longestLine)
}

// send sends one line.
func (c *conn) send(text string) error {
	if word, rest, _ := strings.Cut(text, " "); strings.EqualFold(word, "EHLO") {
		c.helo = rest
	}
	c.command = text
	c.log.add(c.name, "C", text)
	return c.write(text + "\r\n")
}

func (c *conn) write(data string) error {
	if err := c.net.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.net.Write([]byte(data))
	return err
}

// line reads one line.
func (c *conn) line() (string, error) {
	if err := c.net.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	raw, err := c.read.ReadSlice('\n')
	if err != nil {
		return "", fmt.Errorf("after %q: %w", raw, err)
	}
	text := strings.TrimRight(string(raw), "\r\n")
	c.log.add(c.name, "S", text)
	return text, nil
}

// reply reads up to the end of the reply to the last command.
func (c *conn) reply() (*reply, error) {
	if r := c.unread; r != nil {
		c.unread = nil
		return r, nil
	}
	greeting := !c.greeted
	c.greeted = true
	switch {
	case c.speaks == smtp:
		return c.until(isLastSMTP)
	case c.speaks == pop3 && !greeting && isListing(c.command):
		return c.listing()
	case c.speaks == imap && !greeting:
		// Untagged lines come first; the tagged one ends the reply.
		return c.until(func(l string) bool { return !strings.HasPrefix(l, "* ") })
	default:
		return c.until(func(string) bool { return true })
	}
}

func (c *conn) until(last func(string) bool) (*reply, error) {
	r := &reply{}
	for {
		l, err := c.line()
		if err != nil {
			return nil, err
		}
		r.lines = append(r.lines, l)
		if last(l) {
			r.status = l
			return r, nil
		}
	}
}

// isLastSMTP: all lines of a reply but the last have a hyphen after the code
// (RFC 5321, 4.2.1).
func isLastSMTP(l string) bool { return len(l) < 4 || l[3] != '-' }

// isListing knows the POP3 commands whose positive answer is a list.
func isListing(command string) bool {
	switch strings.ToUpper(command) {
	case "CAPA", "LIST", "UIDL":
		return true
	}
	return false
}

// listing reads a POP3 list: the status comes first, a lone dot last.
func (c *conn) listing() (*reply, error) {
	first, err := c.line()
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(first, "+OK") {
		return &reply{[]string{first}, first}, nil
	}
	r, err := c.until(func(l string) bool { return l == "." })
	if err != nil {
		return nil, err
	}
	return &reply{append([]string{first}, r.lines...), first}, nil
}

// ask sends a line and reads the reply. Unless it begins with want, it is left
// for the story's next `<` and ok is false.
func (c *conn) ask(text, want string) (ok bool, err error) {
	if err := c.send(text); err != nil {
		return false, err
	}
	r, err := c.reply()
	if err != nil {
		return false, err
	}
	if !strings.HasPrefix(r.status, want) {
		c.unread = r
		return false, nil
	}
	return true, nil
}

// handshake turns the connection into a TLS one. The certificate is the test
// host's own, so nobody vouches for it.
func (c *conn) handshake(ctx context.Context) error {
	if n := c.read.Buffered(); n > 0 {
		return fmt.Errorf("the server sent %d bytes in clear before the TLS handshake", n)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t := tls.Client(c.net, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a throwaway certificate
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("shaking hands for TLS: %w", err)
	}
	c.attach(t)
	c.log.add(c.name, "*", "TLS")
	return nil
}

// closedByServer reads until the end and tells whether the server closed the
// connection, rather than the player's patience.
func (c *conn) closedByServer() error {
	for {
		if _, err := c.line(); err == nil {
			continue
		} else if nerr := net.Error(nil); errors.As(err, &nerr) && nerr.Timeout() {
			return errors.New("the connection is still open")
		}
		return nil
	}
}

// session is the record of what was said, for failures.
type session struct{ lines []string }

func (s *session) add(conn, who, text string) {
	if conn != "" {
		who = conn + ": " + who
	}
	s.lines = append(s.lines, fmt.Sprintf("%s: %s", who, printable(text)))
}

// printable keeps control characters and broken UTF-8 of a server's line from
// the terminal; what is readable stays as it is.
func printable(s string) string {
	if clean(s) {
		return s
	}
	return strings.Trim(strconv.QuoteToGraphic(s), `"`)
}
