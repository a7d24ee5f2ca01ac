package milter_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	library "github.com/emersion/go-milter"

	"portreeve/rules"
)

// wantAsked compares what the gate was asked since the last time.
func (r *rig) wantAsked(want ...string) {
	r.t.Helper()
	got := r.gate.take()
	if !slices.Equal(got, want) {
		r.t.Errorf("asked\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestNegotiation(t *testing.T) {
	r := start(t)
	answer := r.send(negotiate)
	defer r.end()
	words := []uint32{}
	for at := 1; at < 13; at += 4 {
		words = append(words, binary.BigEndian.Uint32([]byte(answer[at:])))
	}
	// Version 2, SMFIF_SETSYMLIST, no body, unknown commands or DATA, and silence to
	// header fields.
	if answer[0] != 'O' || !slices.Equal(words, []uint32{2, 0x100, 0x10 | 0x100 | 0x200 | 0x80}) {
		t.Errorf("answer %q", answer)
	}
	lists := make(map[uint32]string)
	for rest := answer[13:]; rest != ""; {
		stage := binary.BigEndian.Uint32([]byte(rest))
		names, after, _ := strings.Cut(rest[4:], "\x00")
		lists[stage], rest = names, after
	}
	want := map[uint32]string{ // SMFIM_CONNECT, _HELO, _ENVFROM, _ENVRCPT, _EOM, _EOH
		0: "{daemon_port} {client_addr}", 1: "{tls_version}",
		2: "{auth_authen} {tls_version} {client_addr} {daemon_port} i", 3: "i", 5: "i", 6: "i",
	}
	if fmt.Sprint(lists) != fmt.Sprint(want) {
		t.Errorf("macro lists %v", lists)
	}
}

// An MTA that cannot go without an answer to header fields gets one, and one that says
// so what it offered gets none.
func TestSilenceToHeaderFields(t *testing.T) {
	for _, c := range []struct {
		negotiate string
		answers   int // to a message with three fields
	}{{negotiate, 3}, {negotiateOld, 6}} {
		r := start(t)
		r.send(c.negotiate, connect, helo)
		go func() {
			_, _ = io.WriteString(r.Conn, mail+rcpt+subject+hop+subject+endOfHeader+abort+mail)
		}()
		last := ""
		for range c.answers {
			last = r.read()
		}
		r.want(last, "y550 5.1.0 relay rejected\x00")
		r.want(r.read(), continues) // to the next MAIL
		r.end()
	}
}

func TestMessage(t *testing.T) {
	r := start(t)
	defer r.end()
	r.want(r.send(negotiate, connect, helo), continues)
	r.want(r.send(mail, rcpt, frame('R', str("<c@c.cz>")), subject, frame('L', str("Received"), str("by w with HTTP; now")),
		frame('L', str("X-Empty"), str("")), endOfHeader, endOfMsg), continues)
	const client = " client=198.51.100.7:587 helo=pc.test login=jan@a.cz tls=true sender=jan@a.cz"
	r.wantAsked(
		"helo client=198.51.100.7:587 helo=pc.test login= tls=false",
		"mail"+client+" id=",
		"rcpt"+client+" id=4XyZ recipient=b@b.cz taken=true",
		"rcpt"+client+" id=4XyZ recipient=c@c.cz taken=true",
		"headers"+client+" id=4XyZ recipients=[b@b.cz c@c.cz] trail=o",
	)
}

// TestManyMessages is one SMTP session with several messages: the client stays
// known, everything else is each message's own.
func TestManyMessages(t *testing.T) {
	r := start(t)
	defer r.end()
	r.send(negotiate, connect, helo)
	r.gate.take()
	for i := range 200 {
		sender := fmt.Sprintf("u%d@a.cz", i)
		login := ""
		frames := []string{frame('M', str("<"+sender+">")), rcpt, hop, endOfHeader}
		if i%2 == 0 {
			login = sender
			frames[0] = macros('M', "{auth_authen}", login) + frames[0]
		}
		r.want(r.send(frames...), "y550 5.1.0 relay rejected\x00")
		if i%3 == 0 {
			r.send(abort)
		} else {
			r.want(r.send(endOfMsg), "y550 5.1.0 relay rejected\x00")
		}
		client := " client=198.51.100.7:587 helo=pc.test login=" + login + " tls=false sender=" + sender
		r.wantAsked(
			"mail"+client+" id=", "rcpt"+client+" id=4XyZ recipient=b@b.cz taken=true",
			"headers"+client+" id=4XyZ recipients=[b@b.cz] trail=h",
		)
	}
}

func TestRefusals(t *testing.T) {
	t.Run("HELO", func(t *testing.T) {
		r := start(t)
		defer r.end()
		r.want(r.send(negotiate, connect, frame('H', str("refuse.test"))), "y550 5.1.0 <> 100%% rejected\x00")
	})
	t.Run("MAIL", func(t *testing.T) {
		r := start(t)
		defer r.end()
		const refusal = "y550 5.1.0 <refuse@a.cz> 100%% rejected\x00"
		r.want(r.send(negotiateOld, connect, helo, frame('M', str("<refuse@a.cz>"))), refusal)
		// Postfix stops here. Whoever does not, gets nowhere.
		asked := len(r.gate.take())
		for _, f := range []string{rcpt, subject, endOfHeader, endOfMsg} {
			r.want(r.send(f), refusal)
		}
		if more := r.gate.take(); asked != 2 || len(more) != 0 {
			t.Errorf("asked %d times, then %v", asked, more)
		}
		r.want(r.send(mail, rcpt, endOfHeader, endOfMsg), continues)
	})
	t.Run("RCPT keeps the sender", func(t *testing.T) {
		r := start(t)
		defer r.end()
		r.send(negotiate, connect, helo, mail)
		r.want(r.send(frame('R', str("<refuse@b.cz>"))), "y550 5.1.0 <refuse@b.cz> rejected\x00")
		r.gate.take()
		r.want(r.send(frame('R', str("<c@c.cz>")), endOfHeader, endOfMsg), continues)
		const client = " client=198.51.100.7:587 helo=pc.test login=jan@a.cz tls=true sender=jan@a.cz id="
		r.wantAsked("rcpt"+client+" recipient=c@c.cz taken=true", "headers"+client+" recipients=[c@c.cz] trail=")
	})
	t.Run("panic", func(t *testing.T) {
		r := start(t)
		r.send(negotiate, connect, helo)
		if _, err := r.Write([]byte(frame('M', str("<panic@a.cz>")))); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Error("answered after a panic")
		}
		<-r.done
		if !strings.Contains(r.log.String(), "a decision panicked") || strings.Contains(r.log.String(), "bug\nin") {
			t.Errorf("log %q", r.log.String())
		}
	})
}

// TestSenderAsTyped: the library strips every angle bracket at both ends.
func TestSenderAsTyped(t *testing.T) {
	r := start(t)
	defer r.end()
	r.send(negotiate, connect, helo)
	for typed, want := range map[string]string{
		"<>": "", "": "", "<a@a.cz>": "a@a.cz", "a@a.cz": "a@a.cz", "<<a@a.cz>>": "<a@a.cz>", "<a@a.cz": "<a@a.cz",
		"a@a.cz>": "a@a.cz>", "<": "<", "<@x:a@a.cz>": "@x:a@a.cz", `<"a b"@a.cz>`: `"a b"@a.cz`, "<ü@a.cz>": "ü@a.cz",
	} {
		r.send(frame('M', str(typed), str("SIZE=1"), str("AUTH=<>")))
		asked := r.gate.take()
		if got := asked[len(asked)-1]; !strings.HasSuffix(got, " sender="+want+" id=") {
			t.Errorf("%q: %s", typed, got)
		}
	}
}

func TestClientAddress(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"macro":         {connect, "198.51.100.7:587"},
		"frame":         {frame('C', str("h"), "4", "\x00\x19", str("192.0.2.1")), "192.0.2.1:0"},
		"frame, IPv6":   {frame('C', str("h"), "6", "\x00\x19", str("IPv6:2001:db8::1")), "2001:db8::1:0"},
		"mapped":        {frame('C', str("h"), "6", "\x00\x19", str("IPv6:::ffff:192.0.2.1")), "192.0.2.1:0"},
		"unknown":       {macros('C', "{client_addr}", "unknown", "{daemon_port}", "25") + frame('C', str("unknown"), "U"), "invalid IP:25"},
		"macro wins":    {macros('C', "{client_addr}", "2001:db8::2", "{daemon_port}", "x") + frame('C', str("h"), "4", "\x00\x19", str("192.0.2.1")), "2001:db8::2:0"},
		"unix":          {frame('C', str("localhost"), "L", "\x00\x00", str("/run/a.sock")), "invalid IP:0"},
		"no address":    {frame('C', str("h"), "4", "\x00\x19", str("300.1.1.1")), "invalid IP:0"},
		"other's macro": {macros('H', "{client_addr}", "192.0.2.9") + frame('C', str("h"), "U"), "invalid IP:0"},
	} {
		r := start(t)
		r.send(negotiate, tt.in, helo)
		r.wantAsked("helo client=" + tt.want + " helo=pc.test login= tls=false")
		r.end()
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestMacrosBelongToTheirCommand: a login must not be inherited from another
// command's macros, nor from the MAIL before.
func TestMacrosBelongToTheirCommand(t *testing.T) {
	login := []string{"{auth_authen}", "other@a.cz"}
	for name, frames := range map[string][]string{
		"the MAIL before":  {macros('M', login...), frame('M', str("<x@a.cz>")), frame('M', str("<jan@a.cz>"))},
		"another command":  {macros('H', login...), frame('M', str("<jan@a.cz>"))},
		"macros of RCPT":   {macros('R', login...), frame('M', str("<jan@a.cz>"))},
		"replaced":         {macros('M', login...), macros('T', "x", "y"), frame('M', str("<jan@a.cz>"))},
		"before an ABORT":  {macros('M', login...), abort, frame('M', str("<jan@a.cz>"))},
		"without any name": {macros('M'), frame('M', str("<jan@a.cz>"))},
	} {
		r := start(t)
		r.send(negotiate, connect, helo)
		r.send(frames...)
		asked := r.gate.take()
		if got := asked[len(asked)-1]; !strings.Contains(got, " login= ") {
			t.Errorf("%s: %s", name, got)
		}
		r.end()
	}
}

// TestAbortAnywhere stops one message after each of its frames; the next one
// must know nothing of it.
func TestAbortAnywhere(t *testing.T) {
	first := []string{
		macros('M', "{auth_authen}", "other@a.cz", "{tls_version}", "x", "i", "OLD") + frame('M', str("<other@a.cz>")),
		frame('R', str("<refuse@b.cz>")),
		frame('R', str("<other@b.cz>")), hop, frame('L', str("Resent-From"), str("o@a.cz")), endOfHeader, endOfMsg,
	}
	for stop := range len(first) + 1 {
		for _, reset := range []string{abort, helo, abort + abort} {
			if reset == helo && (stop < len(first)) && stop > 3 {
				continue // no HELO inside a header
			}
			r := start(t)
			r.send(negotiate, connect, helo)
			r.send(first[:stop]...)
			r.send(reset)
			r.gate.take()
			r.want(r.send(frame('M', str("<jan@a.cz>")), frame('R', str("<b@b.cz>")), subject, endOfHeader, endOfMsg), continues)
			const client = " client=198.51.100.7:587 helo=pc.test login= tls=false sender=jan@a.cz id="
			r.wantAsked("mail"+client, "rcpt"+client+" recipient=b@b.cz taken=true", "headers"+client+" recipients=[b@b.cz] trail=")
			r.send(quit)
			<-r.done
			if r.errors.Load() != 0 {
				t.Errorf("stopped after %d: %s", stop, r.log.String())
			}
			r.end()
		}
	}
}

// dialer hands the library's client one end of a rig's pipe.
type dialer struct{ net.Conn }

func (d dialer) Dial(string, string) (net.Conn, error) { return d.Conn, nil }

// TestLibraryClient speaks with the library's own client, which was written
// from the protocol and not from this server.
func TestLibraryClient(t *testing.T) {
	r := start(t)
	client, err := library.NewClientWithOptions("", "", library.ClientOptions{Dialer: dialer{r.Conn}}).Session()
	if err != nil {
		t.Fatal(err)
	}
	want := func(a *library.Action, err error, code library.ActionCode) {
		t.Helper()
		if err != nil || a.Code != code {
			t.Fatalf("%+v, %v; want %c", a, err, code)
		}
	}
	act := func(a *library.Action, err error) {
		t.Helper()
		want(a, err, library.ActContinue)
	}
	if err := client.Macros(library.CodeConn, "{client_addr}", "198.51.100.7", "{daemon_port}", "25"); err != nil {
		t.Fatal(err)
	}
	act(client.Conn("pc.test", library.FamilyInet, 50000, "198.51.100.7"))
	act(client.Helo("pc.test"))
	for range 3 {
		act(client.Mail("jan@a.cz", []string{"SIZE=1"}))
		act(client.Rcpt("b@b.cz", nil))
		act(client.HeaderField("Subject", "hello"))
		act(client.HeaderEnd())
		acts, a, err := client.End()
		if len(acts) != 0 {
			t.Errorf("changes the message: %v", acts)
		}
		act(a, err)
		if err := client.Abort(); err != nil {
			t.Fatal(err)
		}
	}
	a, err := client.Mail("refuse@a.cz", nil)
	want(a, err, library.ActReplyCode)
	if a.SMTPCode != 550 || a.SMTPText != "5.1.0 <refuse@a.cz> 100%% rejected" {
		t.Errorf("%+v", a)
	}
	if n := len(r.gate.take()); n != 1+3*3+1 {
		t.Errorf("asked %d times", n)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	<-r.done
	if r.errors.Load() != 0 {
		t.Error(r.log.String())
	}
}

// The gate hears once how each message that had a recipient ended: Postfix's
// ABORT after the message changes nothing (FACTS.md 1.2).
func TestEndsAreTold(t *testing.T) {
	message := mail + rcpt + rcpt + subject + endOfHeader
	for name, tt := range map[string]struct {
		sent string
		want []rules.EventKind
	}{
		"accepted":                  {message + endOfMsg + abort + abort, []rules.EventKind{rules.MessageAccepted}},
		"refused after its header":  {mail + rcpt + hop + endOfHeader + abort, []rules.EventKind{rules.MessageDropped}},
		"ABORT":                     {mail + rcpt + abort, []rules.EventKind{rules.MessageDropped}},
		"another MAIL, then a drop": {mail + rcpt + mail + rcpt, []rules.EventKind{rules.MessageDropped, rules.MessageDropped}},
		"connection lost":           {message, []rules.EventKind{rules.MessageDropped}},
		"QUIT":                      {message + quit, []rules.EventKind{rules.MessageDropped}},
		"two messages":              {message + endOfMsg + abort + message + endOfMsg, []rules.EventKind{rules.MessageAccepted, rules.MessageAccepted}},
		"no recipient":              {mail + abort, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			r.send(negotiate, connect, helo)
			r.send(tt.sent)
			r.Close()
			<-r.done
			var got []rules.EventKind
			transactions := map[string]bool{}
			for _, e := range r.gate.told {
				got = append(got, e.Kind)
				transactions[e.Transaction] = true
			}
			if !slices.Equal(got, tt.want) || len(transactions) != len(tt.want) {
				t.Errorf("told %v for %v transactions, want %v", got, len(transactions), tt.want)
			}
		})
	}
}
