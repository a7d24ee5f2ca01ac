package gate

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"portreeve/internal/metrics"
	"portreeve/policyd"
	"portreeve/rules"
)

// measured is a gate as the daemon has it: with its metrics, and a log that
// costs what it costs.
func measured(b *testing.B) *fixture {
	f := open(b)
	f.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	f.Meter = metrics.New(metrics.Sources{
		Blocked: func() int { return 0 }, StoreUp: func() bool { return true }, DirectoryUp: func() bool { return true },
	})
	return f
}

func (f *fixture) envelope(sender string) *rules.Request {
	return &rules.Request{
		Stage: rules.StageEnvelope, Protocol: rules.ProtocolPolicy, Time: noon, Port: 587, TLS: true, Helo: "pc.example",
		Client: netip.MustParseAddr("192.0.2.7"), Login: "jan@domena.cz", Sender: sender, Recipient: "b@example.com",
	}
}

// BenchmarkDecide is one decision with its facts, its effects and its record.
func BenchmarkDecide(b *testing.B) {
	b.Run("pass", func(b *testing.B) {
		f := measured(b)
		r := f.envelope("jan@domena.eu")
		b.ReportAllocs()
		for b.Loop() {
			if d := f.Decide(b.Context(), r); d.Action != rules.Pass {
				b.Fatalf("%+v", d)
			}
		}
	})
	b.Run("begin", func(b *testing.B) {
		f := measured(b)
		r := f.envelope("jan@domena.eu")
		b.ReportAllocs()
		var d rules.Decision
		for b.Loop() {
			if rest := f.Begin(b.Context(), r, &d); rest != nil || d.Action != rules.Pass {
				b.Fatalf("%+v, %+v", d, rest)
			}
		}
	})
	b.Run("blocked", func(b *testing.B) {
		f := measured(b)
		for i := range 11 {
			f.fail("192.0.2.7", "jan@domena.cz", time.Duration(i)*time.Millisecond)
		}
		r := f.envelope("jan@domena.cz")
		r.Time = noon.Add(time.Second)
		b.ReportAllocs()
		for b.Loop() {
			if d := f.Decide(b.Context(), r); d.Rule != rules.RuleThrottled {
				b.Fatalf("%+v", d)
			}
		}
	})
	// Each has an entry of its own. One caller waits for one commit each; many share them.
	b.Run("refuse", func(b *testing.B) {
		f := measured(b)
		b.SetParallelism(50)
		b.ReportAllocs()
		serial := make(chan int, 1)
		serial <- 0
		b.RunParallel(func(pb *testing.PB) {
			own := <-serial
			serial <- own + 1
			for i := 0; pb.Next(); i++ {
				r := f.envelope(fmt.Sprintf("x%d.%d@seznam.cz", own, i))
				if d := f.Decide(context.Background(), r); d.Rule != rules.RuleSender {
					b.Errorf("%+v", d)
				}
			}
		})
	})
}

// echoes is a peer that sends one request again and again.
type echoes struct {
	net.Conn
	request []byte
	left    int
	answers int
}

func (r *echoes) Read(p []byte) (int, error) {
	if r.left--; r.left < 0 {
		return 0, io.EOF
	}
	return copy(p, r.request), nil
}

func (r *echoes) Write(p []byte) (int, error) {
	r.answers += bytes.Count(p, []byte("action=DUNNO\n\n"))
	return len(p), nil
}
func (*echoes) SetReadDeadline(time.Time) error  { return nil }
func (*echoes) SetWriteDeadline(time.Time) error { return nil }
func (*echoes) SetDeadline(time.Time) error      { return nil }
func (*echoes) Close() error                     { return nil }

// BenchmarkWhole is the whole path but the socket: policy request, gate, answer.
func BenchmarkWhole(b *testing.B) {
	f := measured(b)
	request := "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=192.0.2.7\n" +
		"client_name=dsl-7.provider.example\nclient_port=51234\nserver_port=587\nhelo_name=pc.example\nsender=jan@domena.eu\n" +
		"recipient=somebody@elsewhere.example\nrecipient_count=0\nqueue_id=\ninstance=1a2b.691c3a40.0.0\nsize=2048\n" +
		"sasl_method=PLAIN\nsasl_username=jan@domena.cz\nsasl_sender=\nencryption_protocol=TLSv1.3\n" + "\n"
	peer := &echoes{request: []byte(request), left: b.N}
	server := &policyd.Server{Gate: f.Gate, Now: func() time.Time { return noon }}
	b.ReportAllocs()
	b.ResetTimer()
	server.Handle(b.Context(), peer)
	if peer.answers != b.N {
		b.Errorf("%d of %d passed", peer.answers, b.N)
	}
}
