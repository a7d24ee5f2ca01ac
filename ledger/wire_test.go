package ledger

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"portreeve/ledger/valkey"
	"portreeve/rules"
)

func TestWire(t *testing.T) {
	now := time.Now()
	for _, f := range []rules.Failure{
		{Time: now, Client: netip.MustParseAddr("192.0.2.7"), Login: "jan@domena.cz", Shown: "Jan@Domena.cz", Protocol: "smtp", Password: "02a1", Counted: true, ID: 1<<48 - 1},
		{Time: now, Client: netip.MustParseAddr("2001:db8::7"), Login: "jan@domena.cz", Shown: "jan@domena.cz", Protocol: "submission", ID: 7},
		{Time: now, Login: "", Shown: "", Counted: true, ID: 7}, // nobody, from nowhere
		{Time: now, Client: netip.MustParseAddr("192.0.2.7"), Login: "t… (5 characters)", Shown: "t… (5 characters)", Vague: true, ID: 9},
	} {
		w := toWire(f, 0xbeef, now)
		got, err := fromWire(w)
		if err != nil || got != f {
			t.Errorf("got  %+v, %v\nwant %+v", got, err, f)
		}
		if host, id := splitID(w.ID); host != 0xbeef || id != f.ID {
			t.Errorf("the id is %x of host %x", id, host)
		}
	}
}

// What has no @ may be a password. It leaves the host in no form.
func TestWireHidesPasswords(t *testing.T) {
	f := rules.Failure{Time: time.Now(), Login: "tajneheslo", Shown: rules.ShownLogin("tajneheslo"), Password: "02a1", Counted: true, ID: 1}
	w := toWire(f, 1, f.Time)
	if bytes.Contains(w.Detail, []byte("ajne")) {
		t.Errorf("it is in %q", w.Detail)
	}
	other := f
	other.Login = "tvojeheslo" // which is shown alike
	if sameKey(f) != sameKey(other) {
		t.Error("the key of the same password is made from what must not be kept")
	}
}

// same_password = "once" needs to know the same password of the same login.
func TestSameKey(t *testing.T) {
	f := rules.Failure{Shown: "jan@domena.cz", Password: "02a1"}
	same, login, password, none := f, f, f, f
	same.Shown, login.Shown, password.Password, none.Password = "JAN@domena.cz", "eva@domena.cz", "02a2", ""
	if sameKey(f) != sameKey(same) || sameKey(f) == sameKey(login) || sameKey(f) == sameKey(password) || sameKey(none) != 0 || sameKey(f) == 0 {
		t.Errorf("keys: %x %x %x %x %x", sameKey(f), sameKey(same), sameKey(login), sameKey(password), sameKey(none))
	}
}

func FuzzParseDetail(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{4, 192, 0, 2, 7, 0, 0, 0})
	f.Add(appendDetail(nil, rules.Failure{Client: netip.MustParseAddr("2001:db8::7"), Shown: "jan@domena.cz", Protocol: "smtp", Password: "02a1"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseDetail(b)
		if err != nil {
			return
		}
		again, err := parseDetail(appendDetail(nil, got))
		if err != nil || again != got {
			t.Errorf("%+v is written and read as %+v, %v", got, again, err)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	body, err := pack([]byte(`{"id":"x"}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add("2")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if body, err := unpack(text); err == nil && len(body) > maxEntry {
			t.Errorf("%d bytes", len(body))
		}
	})
}

func TestPack(t *testing.T) {
	body := []byte(`{"id":"0l0uCFiq487h2OCKYWP2C0","facts":{"failures":[` + strings.Repeat(`{"login":"jan@domena.cz","service":"smtp"},`, 10) + `]}}`)
	text, err := pack(body)
	if err != nil || len(text) > len(body)/3 {
		t.Fatalf("%d bytes of %d, %v", len(text), len(body), err)
	}
	if got, err := unpack(text); err != nil || !bytes.Equal(got, body) {
		t.Errorf("read as %q, %v", got, err)
	}
	for _, bad := range []string{"", "2" + text[1:], text[:len(text)/2]} {
		if _, err := unpack(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
	bomb, err := pack(make([]byte, 10*maxEntry))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unpack(bomb); err == nil && len(got) > maxEntry {
		t.Errorf("an entry of %d bytes is read", len(got))
	}
}

// What other hosts had used fades over the hour in which the store is away.
func TestOthersFade(t *testing.T) {
	o, noon := newOthers(), time.Now()
	limits := rules.Limits{Messages: 10, Recipients: 0}
	if got := o.within("jan@domena.cz", limits, noon); got != limits {
		t.Errorf("of an account that nobody asked about: %+v", got)
	}
	o.known.Add("jan@domena.cz", othersUsed{messages: 8, recipients: 80, at: noon})
	for after, want := range map[time.Duration]int{0: 2, 30 * time.Minute: 6, 59 * time.Minute: 10, time.Hour: 10, -time.Minute: 10} {
		if got := o.within("jan@domena.cz", limits, noon.Add(after)); got.Messages != want || got.Recipients != 0 {
			t.Errorf("after %s: %+v, want %d messages", after, got, want)
		}
	}
	o.known.Add("jan@domena.cz", othersUsed{messages: 20, at: noon})
	if got := o.within("jan@domena.cz", limits, noon); got.Messages != 1 {
		t.Errorf("nothing is left, which must not read as no limit: %+v", got)
	}
	o.forget("jan@domena.cz")
	if got := o.within("jan@domena.cz", limits, noon); got != limits {
		t.Errorf("after a reset: %+v", got)
	}
}

func TestTallyOf(t *testing.T) {
	k := valkey.Counter{Count: 4, Block: "x", Since: time.Now()}
	if got := tallyOf(k, 4); got.Block != "" || !got.Since.IsZero() {
		t.Errorf("at the limit: %+v", got)
	}
	if got := tallyOf(k, 3); got.Block != "x" || got.Since.IsZero() {
		t.Errorf("above it: %+v", got)
	}
}
