package policyd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/policyd"
	"portreeve/rules"
)

var testTime = time.Date(2025, 11, 18, 10, 0, 0, 0, time.UTC)

// gate answers by the sender and keeps what it was asked.
type gate struct {
	mu    sync.Mutex
	asked []rules.Request
	block chan struct{} // if not nil, Decide waits for it
}

func (g *gate) Decide(_ context.Context, r *rules.Request) rules.Decision {
	if g.block != nil {
		<-g.block
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, *r)
	switch r.Sender {
	case "refuse@a.cz":
		return rules.Decision{Action: rules.Refuse, Reply: rules.Reply{Code: 550, Enhanced: "5.1.0", Text: "<refuse@a.cz> sender rejected"}}
	case "inject@a.cz":
		return rules.Decision{Action: rules.Refuse, Reply: rules.Reply{Code: 550, Enhanced: "5.1.0", Text: "a\n\naction=OK\r\x00"}}
	case "permit@a.cz":
		return rules.Decision{Action: rules.Permit}
	case "panic@a.cz":
		panic("a bug")
	default:
		return rules.Decision{Action: rules.Pass}
	}
}

type counter struct{ atomic.Int64 }

func (c *counter) ProtocolError(p rules.Protocol) {
	if p == rules.ProtocolPolicy {
		c.Add(1)
	}
}

// rig is one connection to a server.
type rig struct {
	net.Conn
	gate   *gate
	errors counter
	log    *bytes.Buffer
	done   chan struct{}
	cancel context.CancelFunc
}

func start(t testing.TB, g *gate) *rig {
	t.Helper()
	r := &rig{gate: g, log: new(bytes.Buffer), done: make(chan struct{})}
	s := &policyd.Server{
		Gate: g, Now: func() time.Time { return testTime }, Meter: &r.errors,
		Log: slog.New(slog.NewTextHandler(r.log, nil)),
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(t.Context())
	ours, theirs := net.Pipe()
	r.Conn = ours
	go func() {
		defer close(r.done)
		s.Handle(ctx, theirs)
		theirs.Close()
	}()
	return r
}

// send writes in the background, because a pipe has no buffer.
func (r *rig) send(parts ...string) {
	go func() {
		for _, p := range parts {
			if _, err := io.WriteString(r.Conn, p); err != nil {
				return
			}
		}
	}()
}

// end reads until the server closes.
func (r *rig) end() string {
	b, err := io.ReadAll(r.Conn)
	if err != nil {
		return "error: " + err.Error()
	}
	<-r.done
	return string(b)
}

// answer reads one answer.
func (r *rig) answer(t testing.TB) string {
	t.Helper()
	var b []byte
	for !bytes.HasSuffix(b, []byte("\n\n")) {
		one := make([]byte, 1)
		if _, err := io.ReadFull(r.Conn, one); err != nil {
			t.Fatalf("after %q: %v", b, err)
		}
		b = append(b, one...)
	}
	return string(b)
}

const head = "request=smtpd_access_policy\n"

// full is a request as Postfix 3.7 sends it.
func full(sender string) string {
	return head + `protocol_state=RCPT
protocol_name=ESMTP
helo_name=pc.test
queue_id=4XyZ1a2b3c
sender=` + sender + `
recipient=b@example.com
recipient_count=0
client_address=198.51.100.7
client_name=unknown
reverse_client_name=unknown
instance=1a2b.691c3a40.0
sasl_method=PLAIN
sasl_username=jan.novak@domena.cz
sasl_sender=
size=1234
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=TLSv1.3
encryption_cipher=TLS_AES_256_GCM_SHA384
encryption_keysize=256
etrn_domain=
stress=
client_port=50000
policy_context=
server_address=192.0.2.25
server_port=587
compatibility_level=3.6
mail_version=3.7.11

`
}

func TestTranslation(t *testing.T) {
	base := rules.Request{Protocol: rules.ProtocolPolicy, Time: testTime}
	with := func(change func(*rules.Request)) *rules.Request {
		r := base
		change(&r)
		return &r
	}
	for name, tt := range map[string]struct {
		in   string
		want *rules.Request // nil: not asked
	}{
		"as Postfix sends it": {full("jan.novak@domena.cz"), with(func(r *rules.Request) {
			r.Stage, r.Client, r.Port, r.TLS = rules.StageEnvelope, netip.MustParseAddr("198.51.100.7"), 587, true
			r.Helo, r.Login, r.Sender = "pc.test", "jan.novak@domena.cz", "jan.novak@domena.cz"
			r.Recipient, r.QueueID, r.Instance = "b@example.com", "4XyZ1a2b3c", "1a2b.691c3a40.0"
		})},
		"relay":   {head + "protocol_state=RCPT\npolicy_context=relay\n\n", with(func(r *rules.Request) { r.Stage = rules.StageRelay })},
		"context": {head + "protocol_state=RCPT\npolicy_context=Relay\n\n", with(func(r *rules.Request) { r.Stage = rules.StageEnvelope })},
		"MAIL":    {head + "protocol_state=MAIL\n\n", with(func(r *rules.Request) { r.Stage = rules.StageMail })},
		"DATA":    {head + "protocol_state=DATA\n\n", with(func(r *rules.Request) { r.Stage = rules.StageMail })},
		"CONNECT": {head + "protocol_state=CONNECT\n\n", with(func(r *rules.Request) { r.Stage = rules.StageHelo })},
		"EHLO":    {head + "protocol_state=EHLO\n\n", with(func(r *rules.Request) { r.Stage = rules.StageHelo })},
		"the end": {
			head + "protocol_state=END-OF-MESSAGE\nrecipient_count=3\ninstance=1.2\n\n",
			with(func(r *rules.Request) { r.Stage, r.Count, r.Instance = rules.StageEnd, 3, "1.2" }),
		},
		"VRFY":      {head + "protocol_state=VRFY\n\n", nil},
		"no state":  {head + "\n", nil},
		"IPv6":      {head + "protocol_state=MAIL\nclient_address=2001:DB8::1\n\n", with(func(r *rules.Request) { r.Stage, r.Client = rules.StageMail, netip.MustParseAddr("2001:db8::1") })},
		"mapped":    {head + "protocol_state=MAIL\nclient_address=::ffff:192.0.2.1\n\n", with(func(r *rules.Request) { r.Stage, r.Client = rules.StageMail, netip.MustParseAddr("192.0.2.1") })},
		"zone":      {head + "protocol_state=MAIL\nclient_address=fe80::1%eth0\n\n", with(func(r *rules.Request) { r.Stage, r.Client = rules.StageMail, netip.MustParseAddr("fe80::1") })},
		"unknown":   {head + "protocol_state=MAIL\nclient_address=unknown\nserver_port=\n\n", with(func(r *rules.Request) { r.Stage = rules.StageMail })},
		"bad port":  {head + "protocol_state=MAIL\nserver_port=65536\n\n", with(func(r *rules.Request) { r.Stage = rules.StageMail })},
		"no order":  {"protocol_state=MAIL\nsender=a=b@c.cz\n" + head + "\n", with(func(r *rules.Request) { r.Stage, r.Sender = rules.StageMail, "a=b@c.cz" })},
		"controls":  {head + "protocol_state=MAIL\nsender=\x01\t\x7f\xff@c.cz\n\n", with(func(r *rules.Request) { r.Stage, r.Sender = rules.StageMail, "\x01\t\x7f\xff@c.cz" })},
		"duplicate": {head + "protocol_state=MAIL\nsender=a@c.cz\nx=1\nsender=a@c.cz\nx=1\n\n", with(func(r *rules.Request) { r.Stage, r.Sender = rules.StageMail, "a@c.cz" })},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, &gate{})
			r.send(tt.in)
			if got := r.answer(t); got != "action=DUNNO\n\n" {
				t.Errorf("answer %q", got)
			}
			r.Close()
			<-r.done
			asked := r.gate.asked
			if tt.want == nil {
				if len(asked) != 0 {
					t.Errorf("asked %+v", asked)
				}
			} else if len(asked) != 1 || fmt.Sprintf("%+v", asked[0]) != fmt.Sprintf("%+v", *tt.want) {
				t.Errorf("asked %+v\nwant  %+v", asked, *tt.want)
			}
			if r.errors.Load() != 0 {
				t.Errorf("errors: %s", r.log)
			}
		})
	}
}

func TestActions(t *testing.T) {
	r := start(t, &gate{})
	for sender, want := range map[string]string{
		"pass@a.cz":   "action=DUNNO\n\n",
		"permit@a.cz": "action=OK\n\n",
		"refuse@a.cz": "action=550 5.1.0 <refuse@a.cz> sender rejected\n\n",
		"inject@a.cz": "action=550 5.1.0 a??action=OK??\n\n",
	} {
		r.send(full(sender))
		if got := r.answer(t); got != want {
			t.Errorf("%s: %q, want %q", sender, got, want)
		}
	}
}

func TestMalformed(t *testing.T) {
	large := head + "x=" + strings.Repeat("y", policyd.MaxRequest-len(head)-4)
	for name, tt := range map[string]struct{ in, reason string }{
		"no request":            {"protocol_state=RCPT\n\n", "no request="},
		"another request":       {"request=junk_mail_policy\n\n", "no request="},
		"nothing":               {"\n", "no request="},
		"blank lines":           {"\n\n\n", "no request="},
		"no equal sign":         {head + "sender\n\n", "a line without ="},
		"NUL":                   {head + "sender=a\x00b\n\n", "a NUL byte"},
		"CR":                    {head + "sender=a\r\n\n", "a CR byte"},
		"too long":              {large + "yy\n\n", "longer than 65536 bytes"},
		"far too long":          {large + large, "longer than 65536 bytes"},
		"contradiction":         {head + "sender=a@b.cz\nsender=c@d.cz\n\n", `contradicting values of \"sender\"`},
		"empty and not":         {head + "sasl_username=\nsasl_username=a\n\n", `contradicting values of \"sasl_username\"`},
		"not empty and empty":   {head + "sasl_username=a\nsasl_username=\n\n", `contradicting values of \"sasl_username\"`},
		"unknown contradiction": {head + "x=1\ny=2\nx=2\n\n", `contradicting values of \"x\"`},
		"another request later": {head + "request=x\n\n", `contradicting values of \"request\"`},
		"an SMTP command":       {"EHLO pc.test\n\n", "a line without ="},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, &gate{})
			// What came before is answered, what comes after is not.
			r.send(full("permit@a.cz"), tt.in, full("refuse@a.cz"))
			if got := r.answer(t); got != "action=OK\n\n" {
				t.Errorf("answer %q", got)
			}
			if got := r.end(); got != "" {
				t.Errorf("answered %q", got)
			}
			if r.errors.Load() != 1 || !strings.Contains(r.log.String(), tt.reason) {
				t.Errorf("counted %d, logged %s", r.errors.Load(), r.log)
			}
			if len(r.gate.asked) != 1 {
				t.Errorf("asked %d times", len(r.gate.asked))
			}
		})
	}
}

// TestLargest is a request of exactly 64 KiB, with more names than a hash table
// of the first size holds.
func TestLargest(t *testing.T) {
	var b strings.Builder
	b.WriteString(head + "protocol_state=MAIL\n")
	for i := 0; b.Len() < policyd.MaxRequest-100; i++ {
		fmt.Fprintf(&b, "n%d=\n", i)
	}
	b.WriteString("x=" + strings.Repeat("y", policyd.MaxRequest-b.Len()-4) + "\n\n")
	if b.Len() != policyd.MaxRequest {
		t.Fatal(b.Len())
	}
	r := start(t, &gate{})
	for range 2 {
		r.send(b.String())
		if got := r.answer(t); got != "action=DUNNO\n\n" {
			t.Errorf("answer %q", got)
		}
	}
	r.send(strings.Replace(b.String(), "n1=\n", "n2=1\n", 1))
	if got := r.end(); got != "" || r.errors.Load() != 1 {
		t.Errorf("a contradiction among thousands was answered: %q", got)
	}
}

func TestSplitAtEveryByte(t *testing.T) {
	in := full("refuse@a.cz") + full("permit@a.cz")
	want := "action=550 5.1.0 <refuse@a.cz> sender rejected\n\n" + "action=OK\n\n"
	for at := range in {
		r := start(t, &gate{})
		r.send(in[:at], in[at:])
		got := r.answer(t) + r.answer(t)
		if got != want {
			t.Fatalf("split at %d: %q", at, got)
		}
		r.Close()
		<-r.done
		if r.errors.Load() != 0 {
			t.Fatalf("split at %d: %s", at, r.log)
		}
	}
	r := start(t, &gate{})
	r.send(strings.Split(in, "")...)
	if got := r.answer(t) + r.answer(t); got != want {
		t.Errorf("byte by byte: %q", got)
	}
}

// TestPipelining sends requests without waiting: the answers keep their order,
// and come in fewer writes than there are requests.
func TestPipelining(t *testing.T) {
	r := start(t, &gate{})
	var in, want strings.Builder
	for i := range 500 {
		if i%3 == 0 {
			in.WriteString(full("refuse@a.cz"))
			want.WriteString("action=550 5.1.0 <refuse@a.cz> sender rejected\n\n")
		} else {
			in.WriteString(full("permit@a.cz"))
			want.WriteString("action=OK\n\n")
		}
	}
	r.send(in.String())
	got, writes := make([]byte, 0, want.Len()), 0
	for buf := make([]byte, 64<<10); len(got) < want.Len(); writes++ {
		n, err := r.Read(buf) // a pipe hands over one write at a time
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	if string(got) != want.String() {
		t.Error("the answers are not those, in that order")
	}
	if writes > 200 {
		t.Errorf("%d writes for 500 requests that came together", writes)
	}
}

func TestDeadlines(t *testing.T) {
	closesAfter := func(t *testing.T, r *rig, want time.Duration) {
		t.Helper()
		began := time.Now()
		_, err := r.Read(make([]byte, 1))
		if took := time.Since(began); !errors.Is(err, io.EOF) || took != want {
			t.Errorf("closed after %v (%v), want %v", took, err, want)
		}
		<-r.done
	}
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, &gate{})
			<-time.After(policyd.DefaultIdle - time.Second)
			r.send(full("permit@a.cz"))
			r.answer(t)
			closesAfter(t, r, policyd.DefaultIdle)
			if r.errors.Load() != 0 {
				t.Error("an idle connection is no error")
			}
		})
	})
	t.Run("trickle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, &gate{})
			trickled := make(chan struct{})
			go func() {
				defer close(trickled)
				for _, b := range full("permit@a.cz") {
					if _, err := io.WriteString(r.Conn, string(b)); err != nil {
						return
					}
					<-time.After(3 * time.Second)
				}
			}()
			closesAfter(t, r, policyd.DefaultBusy)
			<-trickled
			if r.errors.Load() != 1 {
				t.Error("a slow request was not counted")
			}
		})
	})
	// The deadlines of earlier requests are still in force; they must not be what
	// counts.
	t.Run("drips, one byte a second, after good requests", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, &gate{})
			for range 5 {
				r.send(full("permit@a.cz"))
				r.answer(t)
				<-time.After(7 * time.Second)
			}
			in, dripped := full("permit@a.cz"), make(chan struct{})
			go func() {
				defer close(dripped)
				for _, b := range in {
					if _, err := io.WriteString(r.Conn, string(b)); err != nil {
						return
					}
					<-time.After(time.Second)
				}
			}()
			closesAfter(t, r, policyd.DefaultBusy)
			<-dripped
			if r.errors.Load() != 1 {
				t.Error("a slow request was not counted")
			}
		})
	})
	t.Run("stops reading after good answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, &gate{})
			for range 5 {
				r.send(full("permit@a.cz"))
				r.answer(t)
				<-time.After(4 * time.Second)
			}
			r.send(full("permit@a.cz"))
			began := time.Now()
			<-r.done
			if took := time.Since(began); took != policyd.DefaultWrite {
				t.Errorf("given up after %v", took)
			}
		})
	})
	t.Run("never reads", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, &gate{})
			r.send(full("permit@a.cz"))
			began := time.Now()
			<-r.done
			if took := time.Since(began); took != policyd.DefaultWrite {
				t.Errorf("given up after %v", took)
			}
		})
	})
}

func TestDrain(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, &gate{})
			r.send(full("permit@a.cz"))
			r.answer(t)
			synctest.Wait()
			began := time.Now()
			r.cancel()
			if got := r.end(); got != "" || time.Since(began) != 0 || r.errors.Load() != 0 {
				t.Errorf("%q after %v, %s", got, time.Since(began), r.log)
			}
		})
	})
	t.Run("half a request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, &gate{})
			in := full("permit@a.cz")
			r.send(in[:100])
			synctest.Wait()
			r.cancel()
			<-time.After(5 * time.Second)
			r.send(in[100:])
			if got := r.end(); got != "action=OK\n\n" {
				t.Errorf("got %q", got)
			}
		})
	})
	t.Run("being decided", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, &gate{block: make(chan struct{})})
			r.send(full("permit@a.cz"))
			synctest.Wait()
			r.cancel()
			synctest.Wait()
			close(r.gate.block)
			if got := r.end(); got != "action=OK\n\n" {
				t.Errorf("got %q", got)
			}
		})
	})
}
