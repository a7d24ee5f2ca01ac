package milter_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"portreeve/internal/listen"
	"portreeve/milter"
	"portreeve/rules"
)

// mirror refuses every recipient with all that it was told of the session, so
// that mixed-up facts show.
type mirror struct{}

func (mirror) Tell(context.Context, rules.Event) error { return nil }

func (mirror) Decide(_ context.Context, r *rules.Request) rules.Decision {
	if r.Stage != rules.StageRcpt {
		return rules.Decision{}
	}
	text := fmt.Sprintf("%v %d %s %s %s", r.Client, r.Port, r.Login, r.Sender, r.Recipient)
	return rules.Decision{Action: rules.Refuse, Reply: rules.Reply{Code: 450, Enhanced: "4.7.1", Text: text}}
}

func TestConcurrentLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "milter.sock")
	ln, err := listen.Open(listen.Address{Network: "unix", Addr: path}, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := &listen.Server{Name: rules.ProtocolMilter, Handle: (&milter.Server{Gate: mirror{}}).Handle}
	done := make(chan error)
	go func() { done <- s.Serve(ctx, ln) }()
	var clients sync.WaitGroup
	for i := range 40 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients.Go(func() { talk(t, c, i) })
	}
	clients.Wait()
	cancel() // with forty idle connections open
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func talk(t *testing.T, c net.Conn, i int) {
	r := &rig{Conn: c, t: t}
	ip := fmt.Sprintf("192.0.2.%d", i)
	r.send(negotiate, macros('C', "{client_addr}", ip, "{daemon_port}", "465")+frame('C', str("h"), "U"), helo)
	for j := range 25 {
		login, sender, rcpt := fmt.Sprintf("l%d.%d", i, j), fmt.Sprintf("s%d.%d", i, j), fmt.Sprintf("r%d.%d", i, j)
		r.send(macros('M', "{auth_authen}", login) + frame('M', str("<"+sender+">")))
		want := fmt.Sprintf("y450 4.7.1 %s 465 %s %s %s\x00", ip, login, sender, rcpt)
		r.want(r.send(frame('R', str("<"+rcpt+">"))), want)
		r.want(r.send(subject, endOfHeader, endOfMsg, abort), continues)
	}
}

// FuzzConversation sends anything as the bytes of a connection, after whole
// prefixes of a good one. No message may be decided after its header without
// its MAIL having been, and never more often.
func FuzzConversation(f *testing.F) {
	good := []string{negotiate, connect, helo, mail, rcpt, subject, hop, endOfHeader, endOfMsg, abort, quit}
	for i := range good {
		f.Add(uint8(i), strings.Join(good[i:], ""), uint8(3))
		f.Add(uint8(i), good[(i+5)%len(good)]+mail+endOfMsg, uint8(0))
	}
	f.Add(uint8(3), "\x00\x00\x00\x00", uint8(1))
	f.Add(uint8(4), frame('L', str("a\x00b"), str("c"))+endOfHeader, uint8(1))
	f.Fuzz(func(t *testing.T, prefix uint8, in string, piece uint8) {
		g := new(gate)
		c := &script{in: strings.Join(good[:int(prefix)%len(good)], "") + in, piece: int(piece) + 1}
		said := libraryLog.String()
		(&milter.Server{Gate: g}).Handle(t.Context(), c)
		mails, stage := 0, ""
		for _, asked := range g.take() {
			stage, _, _ = strings.Cut(asked, " ")
			switch {
			case stage == "mail":
				mails++
			case stage == "rcpt" && mails == 0:
				t.Errorf("%s without MAIL", asked)
			case stage == "headers":
				if mails == 0 {
					t.Errorf("%s without MAIL", asked)
				}
				mails = 0
			}
		}
		if more := libraryLog.String(); more != said {
			t.Errorf("the library printed %q", more[len(said):])
		}
		// Whatever was answered is one of the three answers.
		for out := c.out.String(); out != ""; {
			n := int(binary.BigEndian.Uint32([]byte(out)))
			if !strings.ContainsRune("Ocy", rune(out[4])) {
				t.Errorf("answered %q", out[:4+n])
			}
			out = out[4+n:]
		}
	})
}
