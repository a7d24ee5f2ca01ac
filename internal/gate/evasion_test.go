package gate

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portreeve/rules"
)

// atAuth is Dovecot's question: before a password is checked, and again after one
// that was right.
func (f *fixture) atAuth(client, login string, after time.Duration) rules.Decision {
	return f.Decide(context.Background(), &rules.Request{
		Stage: rules.StageAuth, Protocol: rules.ProtocolAuthPolicy, Time: noon.Add(after),
		Client: netip.MustParseAddr(client), Service: "smtp", Login: login,
	})
}

// Somebody who has a whole /64 is one client, however many addresses he uses; his
// neighbour is not.
func TestRotationWithinAPrefix(t *testing.T) {
	f := open(t)
	for i := range 11 {
		f.fail(fmt.Sprintf("2001:db8:1:1:%x::%x", i*4097, i), "jan@domena.cz", time.Duration(i)*time.Second)
	}
	one := f.atAuth("2001:db8:1:1:ffff::1", "jan@domena.cz", time.Minute)
	other := f.mail("2001:db8:1:1::2", "jan@domena.cz", "jan@domena.cz", time.Minute)
	if one.Rule != rules.RuleThrottled || other.Rule != rules.RuleThrottled || one.ID != other.ID {
		t.Errorf("within the prefix: %+v, %+v", one, other)
	}
	if want := "550 5.1.0 " + other.ID + " Connection refused from 2001:db8:1:1::2. Too many authorization failures from this IP, try again later."; other.Reply.String() != want {
		t.Errorf("told %q", other.Reply)
	}
	if d := f.mail("2001:db8:1:2::2", "jan@domena.cz", "jan@domena.cz", time.Minute); d.Action != rules.Pass {
		t.Errorf("the next prefix: %+v", d)
	}
}

// The bound on guessing at once through the auth policy: what Dovecot had before
// the eleventh failure was reported. Of those, too, nobody gets in.
func TestGuessingAtOnceIsBounded(t *testing.T) {
	const client, login, all = "192.0.2.7", "jan@domena.cz", 40
	for _, handed := range []int{11, 12, 25, all} {
		f := open(t)
		for i := range handed {
			if d := f.atAuth(client, login, 0); d.Action != rules.Pass {
				t.Fatalf("attempt %d of %d: %+v", i, handed, d)
			}
		}
		for range 11 {
			f.fail(client, login, 0)
		}
		for range all - handed {
			if d := f.atAuth(client, login, 0); d.Rule != rules.RuleThrottled {
				t.Fatalf("with %d handed over another slipped: %+v", handed, d)
			}
		}
		// The right password among those that are left: Dovecot asks once more.
		for range handed - 11 {
			if d := f.atAuth(client, login, time.Second); d.Rule != rules.RuleThrottled {
				t.Fatalf("a right password after the block: %+v", d)
			}
		}
		if d := f.mail(client, login, login, time.Second); d.Rule != rules.RuleThrottled {
			t.Fatalf("MAIL of one that got in before: %+v", d)
		}
	}
}

// The same with forty that race: no question that was asked after the eleventh
// report was remembered is answered with a pass.
func TestGuessingRaces(t *testing.T) {
	const client, login = "192.0.2.7", "jan@domena.cz"
	for range 5 {
		f := open(t)
		var remembered, slipped, refused atomic.Int64
		var everybody sync.WaitGroup
		for range 40 {
			everybody.Go(func() {
				late := remembered.Load() > 10
				d := f.atAuth(client, login, 0)
				switch {
				case d.Rule == rules.RuleThrottled:
					refused.Add(1)
					return
				case late:
					slipped.Add(1)
				}
				f.fail(client, login, 0)
				remembered.Add(1)
			})
		}
		everybody.Wait()
		if slipped.Load() > 0 || remembered.Load() < 11 || remembered.Load()+refused.Load() != 40 {
			t.Errorf("%d were checked, %d refused, %d of them slipped", remembered.Load(), refused.Load(), slipped.Load())
		}
		if d := f.atAuth(client, login, 0); d.Rule != rules.RuleThrottled {
			t.Errorf("afterwards: %+v", d)
		}
	}
}

// An account of one's own washes nothing: neither a right login nor mail that is
// sent, nor a POP login, nor refusals that do not count.
func TestWashingAnAddress(t *testing.T) {
	f := open(t)
	const client = "192.0.2.7"
	f.policy.Guessing = rules.Guessing{Limit: 100, Window: time.Hour, Delay: time.Second}
	for i := range 10 {
		after := time.Duration(i) * time.Minute
		f.fail(client, "petr@domena.cz", after)
		for _, service := range []string{"smtp", "pop3"} {
			if err := f.Tell(context.Background(), rules.Event{
				Kind: rules.LoginSucceeded, Protocol: rules.ProtocolAuthPolicy, Time: noon.Add(after),
				Client: netip.MustParseAddr(client), Service: service, Login: "jan@domena.cz",
			}); err != nil {
				t.Fatal(err)
			}
		}
		if d := f.mail(client, "jan@domena.cz", "jan@domena.cz", after); d.Action != rules.Pass {
			t.Fatalf("after %d failures: %+v", i+1, d)
		}
		for range 5 {
			f.atAuth(client, "eva@domena.cz", after)
		}
	}
	f.fail(client, "petr@domena.cz", 10*time.Minute)
	if d := f.mail(client, "jan@domena.cz", "jan@domena.cz", 11*time.Minute); d.Rule != rules.RuleThrottled {
		t.Errorf("the eleventh failure: %+v", d)
	}
	if d := f.mail(client, "", "jan@domena.cz", 11*time.Minute); d.Rule != rules.RuleThrottled {
		t.Errorf("its POP grant: %+v", d)
	}
}

// A report that arrives twice: without a name for the event it is two failures,
// with one it is one, and so it is with the same password where that counts once.
func TestReportTwice(t *testing.T) {
	for name, tt := range map[string]struct {
		id   uint64
		once bool
		want int
	}{
		"auth policy":             {want: 2},
		"mail log":                {id: 77, want: 1},
		"the same wrong password": {once: true, want: 1},
	} {
		f := open(t)
		f.policy.Throttle.Once = tt.once
		e := rules.Event{
			Kind: rules.LoginFailed, Protocol: rules.ProtocolAuthPolicy, Time: noon, Client: netip.MustParseAddr("192.0.2.7"),
			Service: "smtp", Login: "jan@domena.cz", Password: "021e", ID: tt.id,
		}
		for range 2 {
			if err := f.Tell(context.Background(), e); err != nil {
				t.Fatal(err)
			}
		}
		if got := f.Ledger.Tally(netip.MustParsePrefix("192.0.2.7/32"), noon, Window(f.policy)).Count; got != tt.want {
			t.Errorf("%s: %d failures, want %d", name, got, tt.want)
		}
	}
}

// Who fetches the mail of many accounts authorises nobody, and neither does a
// disabled account.
func TestCollectorGrantsNothing(t *testing.T) {
	f := open(t)
	pop := func(client, login string) {
		t.Helper()
		if err := f.Tell(context.Background(), rules.Event{
			Kind: rules.LoginSucceeded, Protocol: rules.ProtocolAuthPolicy, Time: noon,
			Client: netip.MustParseAddr(client), Service: "pop3", Login: login,
		}); err != nil {
			t.Fatal(err)
		}
	}
	pop("192.0.2.9", "eva@domena.cz")
	if d := f.mail("192.0.2.9", "", "eva@domena.cz", time.Minute); d.Rule != rules.RuleAccessDisabled {
		t.Errorf("a disabled account's POP login: %+v", d)
	}
	pop("192.0.2.7", "jan@domena.cz")
	for i := range 4 {
		pop("192.0.2.7", fmt.Sprintf("u%d@domena.cz", i))
	}
	if d := f.mail("192.0.2.7", "", "jan@domena.cz", time.Minute); d.Action != rules.Pass {
		t.Errorf("five accounts: %+v", d)
	}
	for i := range 200 { // and many more cost no more
		pop("192.0.2.7", fmt.Sprintf("v%d@domena.cz", i))
	}
	pop("192.0.2.7", "jan@domena.cz")
	if d := f.mail("192.0.2.7", "", "jan@domena.cz", time.Minute); d.Rule != rules.RuleAuthFailed {
		t.Errorf("many accounts: %+v", d)
	}
	if n := len(f.Ledger.Grants(netip.MustParseAddr("192.0.2.7"), noon, time.Hour)); n > 64 {
		t.Errorf("%d grants are kept", n)
	}
}
