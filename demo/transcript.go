package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// patience is the longest that one session may take.
const patience = time.Minute

// explainer runs `portreeve explain` on a refusal; the zero one does not.
type explainer struct {
	program string
	options []string
}

// transcript plays the scenes against the host and writes what was said.
func transcript(ctx context.Context, w io.Writer, addr netip.Addr, program string, options ...string) error {
	if err := answering(ctx, addr); err != nil {
		return err
	}
	x := explainer{program, options}
	for n, s := range scenes {
		fmt.Fprintf(w, "\n%d. %s\n   (from %s to port %d)\n\n", n+1, s.title, s.from, s.port)
		var said bytes.Buffer
		for left := max(s.repeat, 1); left > 0; left-- {
			said.Reset()
			by := x
			if left > 1 {
				by = explainer{} // not shown
			}
			if err := s.play(ctx, &said, addr, by); err != nil {
				return fmt.Errorf("scene %q: %w", s.title, err)
			}
		}
		if _, err := said.WriteTo(w); err != nil {
			return err
		}
	}
	return nil
}

// answering waits until the host, which has only just been started, greets.
func answering(ctx context.Context, addr netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := scene{from: "127.0.0.1", port: 587}.play(ctx, io.Discard, addr, explainer{})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the host does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// play plays one session and writes it down.
func (s scene) play(ctx context.Context, w io.Writer, addr netip.Addr, x explainer) (err error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(s.from)}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(addr.String(), strconv.Itoa(s.port)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	read := bufio.NewReader(conn)
	if _, err := reply(read); err != nil {
		return err
	}
	for _, line := range append([]string{"EHLO pc.example"}, s.lines...) {
		for text := range strings.SplitSeq(line, "\r\n") {
			fmt.Fprintln(w, "   C:", text+readable(text))
		}
		if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
			return err
		}
		text, err := reply(read)
		if err != nil {
			return err
		}
		fmt.Fprintln(w, "   S:", text)
		if x.program != "" && refused(text) {
			if err := x.explain(ctx, w, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// readable tells what a line of AUTH PLAIN says, for those who do not read base64.
func readable(line string) string {
	response, ok := strings.CutPrefix(line, "AUTH PLAIN ")
	if !ok {
		return ""
	}
	said, err := base64.StdEncoding.DecodeString(response)
	if err != nil {
		return ""
	}
	return "   (" + strings.Join(strings.Split(string(said), "\x00")[1:], ", ") + ")"
}

// reply reads a reply and returns its last line.
func reply(r *bufio.Reader) (string, error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("reading a reply: %w", err)
		}
		if line = strings.TrimRight(line, "\r\n"); len(line) < 4 || line[3] != '-' {
			return line, nil
		}
	}
}

// refused tells Portreeve's refusals from a wrong password, which is Dovecot's
// own and has no id.
func refused(reply string) bool {
	no := strings.HasPrefix(reply, "4") || strings.HasPrefix(reply, "5")
	return no && !strings.HasSuffix(reply, "authentication failed: (reason unavailable)")
}

// explain writes what `portreeve explain` says to the text that the client got.
func (x explainer) explain(ctx context.Context, w io.Writer, text string) error {
	cmd := exec.CommandContext(ctx, x.program, append([]string{"explain", text}, x.options...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("portreeve explain %q: %w: %s", text, err, out)
	}
	fmt.Fprintf(w, "\n      $ portreeve explain '%s'\n", text)
	for line := range strings.Lines(string(out)) {
		fmt.Fprint(w, "      "+line)
	}
	fmt.Fprintln(w)
	return nil
}
