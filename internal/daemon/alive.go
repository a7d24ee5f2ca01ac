package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"portreeve/internal/listen"
	"portreeve/rules"
)

// A sign of life is no timer's: it is given when the daemon has just decided, and
// answered on its own sockets. Whoever watches (systemd's WatchdogSec=) restarts a
// daemon that runs and does not work.

// sign is one thing that a daemon that works can do.
type sign struct {
	name string
	ask  func(ctx context.Context) error
}

// witness gives signs of life.
type witness struct {
	every time.Duration
	signs []sign
	alive func()
	log   *slog.Logger
	mute  bool // logged
}

// watch gives one at once and then in every interval in which all that was asked has
// been answered. One question at a time: what hangs is not asked again.
func (w *witness) watch(ctx context.Context) {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look asks once, and returns when everything is answered or ctx ends.
func (w *witness) look(ctx context.Context) {
	answered := make(chan error, 1)
	go func() { answered <- w.ask(ctx) }()
	late := time.NewTimer(w.every)
	defer late.Stop()
	for {
		select {
		case err := <-answered:
			switch {
			case ctx.Err() != nil:
			case err != nil:
				w.complain(err)
			default:
				w.mute = false
				w.alive()
			}
			return
		case <-late.C:
			w.complain(fmt.Errorf("no answer within %v", w.every))
		case <-ctx.Done():
			return
		}
	}
}

func (w *witness) ask(ctx context.Context) error {
	for _, s := range w.signs {
		if err := s.ask(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (w *witness) complain(err error) {
	if !w.mute {
		w.log.Error("no sign of life is given, the service manager will restart the daemon", "error", err)
	}
	w.mute = true
}

// signs are what this daemon can be asked: a decision, and an answer on each socket
// of Postfix's.
func (d *Daemon) signs(sockets []socket) []sign {
	list := []sign{{"decision", d.decides}}
	for _, s := range sockets {
		if talk, ok := signOf[s.name]; ok {
			list = append(list, sign{"listen." + s.name, func(ctx context.Context) error { return answers(ctx, s, talk, d.AliveEvery) }})
		}
	}
	return list
}

// nobody is a client that cannot exist (RFC 5737).
var nobody = netip.MustParseAddr("192.0.2.0")

// decides asks for what a stranger would be told: the rules, the ledger and, where it
// is shared, what is known of other hosts. The directory is not asked, since its
// servers may be away while the daemon does what it should; nothing is recorded.
func (d *Daemon) decides(ctx context.Context) error {
	d.gate.Try(ctx, &rules.Request{
		Protocol: rules.ProtocolCommand, Stage: rules.StageMail, Time: d.Now(), Client: nobody, Port: 587, Sender: "nobody@invalid",
	})
	return nil
}

// talk is a question that changes nothing, and how its answer begins.
type talk struct{ question, answer string }

var signOf = map[string]talk{
	// At VRFY there is nothing to decide.
	"policy": {"request=smtpd_access_policy\nprotocol_state=VRFY\n\n", "action=DUNNO\n\n"},
	// SMFIC_OPTNEG: version 6, every action, no protocol flags.
	"milter": {"\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x01\xff\x00\x00\x00\x00", "\x00\x00\x00"},
}

// answers asks at a socket. One without a free place, and a process without a free
// descriptor, serve those whom they have: that is no reason to end them.
func answers(ctx context.Context, s socket, t talk, within time.Duration) error {
	if s.full.Load() {
		return nil
	}
	err := ask(ctx, s.address, t, within)
	if err == nil || s.full.Load() || noDescriptors(err) {
		return nil
	}
	return err
}

func ask(ctx context.Context, at listen.Address, t talk, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	dialer := net.Dialer{LocalAddr: loopback(at)}
	c, err := dialer.DialContext(ctx, at.Network, at.Addr)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything has been said by then
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(c, t.question); err != nil {
		return err
	}
	got := make([]byte, len(t.answer))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != t.answer {
		return fmt.Errorf("answered %q", got)
	}
	return nil
}

// loopback is where a question comes from: a listener at one of the host's own addresses
// need not let that address in (listen.allow).
func loopback(at listen.Address) net.Addr {
	to, err := netip.ParseAddrPort(at.Addr)
	switch {
	case at.Network != "tcp" || err != nil || to.Addr().Zone() != "":
		return nil
	case to.Addr().Unmap().Is4():
		return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	}
	return &net.TCPAddr{IP: net.IPv6loopback}
}

// noDescriptors tells whether an error is, or comes of, the want of descriptors: the
// accepting end may have run out of them as well.
func noDescriptors(err error) bool {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return true
	}
	f, err := os.Open(os.DevNull)
	if err == nil {
		err = f.Close()
	}
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
