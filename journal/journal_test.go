package journal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/rules"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// fixture is a journal in a file that can be reopened.
type fixture struct {
	*journal.Journal
	t    testing.TB
	path string
	db   *store.DB
	ids  *journal.IDs
}

func open(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t, path: filepath.Join(t.TempDir(), "portreeve.db"), ids: journal.NewIDs("mx1")}
	f.open()
	t.Cleanup(func() {
		if err := f.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	var err error
	if f.db, err = store.Open(f.path, store.Schema, noon); err != nil {
		f.t.Fatal(err)
	}
	f.Journal = journal.New(f.db)
}

func (f *fixture) reopen() {
	f.t.Helper()
	if err := f.db.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.open()
}

// refusal is an entry with every field set.
func (f *fixture) refusal(after time.Duration, change func(*journal.Entry)) journal.Entry {
	at := noon.Add(after)
	e := journal.Entry{
		ID: f.ids.Next(at).String(), Time: at, Host: "mx1", Rule: "sender", Reason: "sender-domain-not-of-account",
		Protocol: "milter", Stage: "mail", Reply: "550 5.1.0 <jan@seznam.cz> sender rejected",
		Client: "192.0.2.7", Port: 587, TLS: true, Helo: "pc.example.cz", Login: "jan.novak@domena.cz", Sender: "jan@seznam.cz",
		Recipients: []string{"eva@example.com"}, QueueID: "4Xyz", Facts: json.RawMessage(`{"as":"jan.novak@domena.cz"}`),
		Count: 1, Last: at,
	}
	if change != nil {
		change(&e)
	}
	return e
}

func (f *fixture) write(entries ...journal.Entry) {
	f.t.Helper()
	for _, e := range entries {
		if err := f.Write(context.Background(), e); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fixture) get(id string) journal.Entry {
	f.t.Helper()
	e, err := f.Get(context.Background(), id)
	if err != nil {
		f.t.Fatalf("%s: %v", id, err)
	}
	return e
}

func (f *fixture) find(q journal.Query) []string {
	f.t.Helper()
	entries, err := f.Find(context.Background(), q)
	if err != nil {
		f.t.Fatal(err)
	}
	return idsOf(entries)
}

func idsOf(entries []journal.Entry) []string {
	list := []string{}
	for _, e := range entries {
		list = append(list, e.ID)
	}
	return list
}

// settle returns when everything that was queued before is written.
func (f *fixture) settle() {
	f.t.Helper()
	if err := f.db.Write(context.Background(), func(store.Tx) error { return nil }); err != nil {
		f.t.Fatal(err)
	}
}

func TestWrittenEntryComesBackWhole(t *testing.T) {
	f := open(t)
	want := f.refusal(0, nil)
	f.write(want)
	if got := f.get(want.ID); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	f.reopen()
	if got := f.get(want.ID); !reflect.DeepEqual(got, want) {
		t.Errorf("after reopening: got  %+v\nwant %+v", got, want)
	}
}

func TestWritingTwiceChangesNothing(t *testing.T) {
	f := open(t)
	e := f.refusal(0, nil)
	f.write(e)
	changed := e
	changed.Reason, changed.Count = "other", 7
	f.write(changed)
	if got := f.get(e.ID); !reflect.DeepEqual(got, e) {
		t.Errorf("got %+v", got)
	}
}

func TestUnknownAndMalformedIDs(t *testing.T) {
	f := open(t)
	if _, err := f.Get(context.Background(), f.ids.Next(noon).String()); !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("an id that was never written: %v", err)
	}
	if _, err := f.Get(context.Background(), "22 letters?"); err == nil || errors.Is(err, journal.ErrUnknown) {
		t.Errorf("no id at all: %v", err)
	}
	if err := f.Write(context.Background(), f.refusal(0, func(e *journal.Entry) { e.ID = "x" })); err == nil {
		t.Error("an entry without an id was recorded")
	}
	f.Again("x", journal.Repeats{Times: 1, Last: noon, Observed: false}) // nothing to count: nothing happens
}

func TestWriteAfterCloseSaysSo(t *testing.T) {
	f := open(t)
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(context.Background(), f.refusal(0, nil)); !errors.Is(err, store.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestAgainCounts(t *testing.T) {
	f := open(t)
	e := f.refusal(0, func(e *journal.Entry) { e.Observed = true })
	f.write(e)
	f.Again(e.ID, journal.Repeats{Times: 3, Last: noon.Add(time.Minute), Observed: true})
	f.Again(e.ID, journal.Repeats{Times: 2, Last: noon.Add(30 * time.Second), Observed: true}) // late: the last one stays the last
	f.settle()
	got := f.get(e.ID)
	if got.Count != 6 || !got.Last.Equal(noon.Add(time.Minute)) || !got.Time.Equal(noon) || !got.Observed {
		t.Errorf("count %d, last %s, time %s, observed %t", got.Count, got.Last, got.Time, got.Observed)
	}
	// One that was enforced makes it a real refusal, for ever.
	f.Again(e.ID, journal.Repeats{Times: 1, Last: noon, Observed: false})
	f.Again(e.ID, journal.Repeats{Times: 1, Last: noon, Observed: true})
	f.settle()
	if got := f.get(e.ID); got.Observed || got.Count != 8 {
		t.Errorf("count %d, observed %t", got.Count, got.Observed)
	}
	f.Again(f.ids.Next(noon).String(), journal.Repeats{Times: 1, Last: noon, Observed: false}) // of an entry that was never stored
	f.settle()
	if n := len(f.find(journal.Query{})); n != 1 {
		t.Errorf("%d entries", n)
	}
}

func TestFind(t *testing.T) {
	f := open(t)
	a := f.refusal(0, nil)
	b := f.refusal(time.Second, func(e *journal.Entry) { e.Login, e.Client = "Eva@Domena.CZ", "192.0.2.8" })
	c := f.refusal(2*time.Second, func(e *journal.Entry) { e.Rule, e.Sender, e.Client = "throttled", "X@y.cz", "2001:db8::1" })
	d := f.refusal(3*time.Second, func(e *journal.Entry) { e.Client, e.Login = "unknown", "" })
	f.write(b, d, a, c) // not in the order of time
	for name, test := range map[string]struct {
		q    journal.Query
		want []journal.Entry
	}{
		"all, newest first":  {journal.Query{}, []journal.Entry{d, c, b, a}},
		"limit":              {journal.Query{Limit: 2}, []journal.Entry{d, c}},
		"login":              {journal.Query{Login: "eva@domena.cz"}, []journal.Entry{b}},
		"login, other case":  {journal.Query{Login: "JAN.novak@domena.cz"}, []journal.Entry{c, a}},
		"no part of a login": {journal.Query{Login: "domena.cz"}, nil},
		"no pattern":         {journal.Query{Login: "%"}, nil},
		"sender":             {journal.Query{Sender: "x@y.cz"}, []journal.Entry{c}},
		"rule":               {journal.Query{Rule: "sender"}, []journal.Entry{d, b, a}},
		"client":             {journal.Query{Client: netip.MustParsePrefix("192.0.2.8/32")}, []journal.Entry{b}},
		"network":            {journal.Query{Client: netip.MustParsePrefix("192.0.2.0/24")}, []journal.Entry{b, a}},
		"network and limit":  {journal.Query{Client: netip.MustParsePrefix("192.0.2.0/24"), Limit: 1}, []journal.Entry{b}},
		"IPv6":               {journal.Query{Client: netip.MustParsePrefix("2001:db8::/64")}, []journal.Entry{c}},
		"since":              {journal.Query{Since: noon.Add(2 * time.Second)}, []journal.Entry{d, c}},
		"until":              {journal.Query{Until: noon.Add(2 * time.Second)}, []journal.Entry{b, a}},
		"between":            {journal.Query{Since: noon.Add(1), Until: noon.Add(3 * time.Second)}, []journal.Entry{c, b}},
		"everything at once": {journal.Query{Since: noon, Rule: "sender", Login: a.Login, Sender: a.Sender, Client: netip.MustParsePrefix("192.0.2.7/32")}, []journal.Entry{a}},
		"nothing":            {journal.Query{Rule: "quota"}, nil},
	} {
		if got, want := f.find(test.q), idsOf(test.want); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestFindHasABound(t *testing.T) {
	f := open(t)
	for i := range 1005 {
		f.write(f.refusal(time.Duration(i)*time.Second, nil))
	}
	if n := len(f.find(journal.Query{})); n != 1000 {
		t.Errorf("%d entries without a limit", n)
	}
	if n := len(f.find(journal.Query{Limit: 2000})); n != 1005 {
		t.Errorf("%d entries with a higher limit", n)
	}
}

// Clients write what they like into these fields.
func TestHostileText(t *testing.T) {
	f := open(t)
	for i, text := range []string{
		"'; drop table decisions; --", "a\x00b@domena.cz", "\r\n550 5.1.0 forged", "\x1b[2J", "\xff\xfe", "𝕵an@domena.cz",
		"%s%n{id}", strings.Repeat("ž", 10000), `"quoted"@domena.cz`, "<script>alert(1)</script>", "\u202egpj.exe",
	} {
		e := f.refusal(time.Duration(i)*time.Second, func(e *journal.Entry) {
			e.Sender, e.Helo, e.Recipients = text, text, []string{text, text}
			e.Login = text
		})
		f.write(e)
		got := f.get(e.ID)
		// JSON replaces what is no UTF-8; everything else stays as it was.
		want := strings.ToValidUTF8(text, "\ufffd")
		if text == "\xff\xfe" {
			want = "\ufffd\ufffd"
		}
		if got.Sender != want || got.Helo != want || got.Login != want || got.Recipients[1] != want {
			t.Errorf("%q came back as %q", text, got.Sender)
		}
		for name, q := range map[string]journal.Query{"login": {Login: text}, "sender": {Sender: text}} {
			if ids := f.find(q); !slices.Equal(ids, []string{e.ID}) {
				t.Errorf("%q is not found by its %s: %v", text, name, ids)
			}
		}
	}
}

// shown makes the refusal that the rules would have made of this sender.
func (f *fixture) shown(after time.Duration, envelope, refused string) journal.Entry {
	return f.refusal(after, func(e *journal.Entry) {
		e.Sender = envelope
		e.Reply = rules.DefaultReplies().Render(rules.RuleSender, e.ID, refused, netip.MustParseAddr("192.0.2.7")).String()
	})
}

func TestFindShownSender(t *testing.T) {
	f := open(t)
	long := strings.Repeat("ž", 200) + "@seznam.cz"
	plain1 := f.shown(0, "jan@seznam.cz", "jan@seznam.cz")
	plain2 := f.shown(time.Second, "jan@seznam.cz", "jan@seznam.cz")
	header := f.shown(2*time.Second, "jan.novak@domena.cz", "boss@bank.cz") // rule 6: the address in the From field
	broken := f.shown(3*time.Second, "a\xffb\r@x.cz", "a\xffb\r@x.cz")
	cut := f.shown(4*time.Second, long, long)
	null := f.shown(5*time.Second, "", "")
	other := f.refusal(6*time.Second, func(e *journal.Entry) { e.Rule = "relay" })
	f.write(plain1, plain2, header, broken, cut, null, other)
	for name, test := range map[string]struct {
		shown string
		since time.Time
		limit int
		want  []journal.Entry
	}{
		"newest first":       {"jan@seznam.cz", noon, 10, []journal.Entry{plain2, plain1}},
		"limit":              {"jan@seznam.cz", noon, 1, []journal.Entry{plain2}},
		"since":              {"jan@seznam.cz", noon.Add(time.Second), 10, []journal.Entry{plain2}},
		"header's":           {"boss@bank.cz", noon, 10, []journal.Entry{header}},
		"not the envelope's": {"jan.novak@domena.cz", noon, 10, nil},
		"made printable":     {"a?b?@x.cz", noon, 10, []journal.Entry{broken}},
		"cut":                {rules.PrintableSender(long), noon, 10, []journal.Entry{cut}},
		"null":               {"", noon, 10, []journal.Entry{null}},
		"no part of it":      {"seznam.cz", noon, 10, nil},
		"none":               {"nobody@seznam.cz", noon, 10, nil},
		"read out":           {"BOSS@Bank.cz", noon, 10, []journal.Entry{header}},
		"a program cut it":   {"boss@ba…", noon, 10, []journal.Entry{header}},
		"cut with dots":      {"jan@...", noon, 10, []journal.Entry{plain2, plain1}},
		"nothing but dots":   {"…", noon, 10, nil},
	} {
		entries, err := f.FindShownSender(context.Background(), journal.Shown{Sender: test.shown, Since: test.since, Limit: test.limit})
		if got, want := idsOf(entries), idsOf(test.want); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v: %v", name, got, want, err)
		}
	}
}

// What was let through was shown to nobody.
func TestFindShownSenderObserved(t *testing.T) {
	f := open(t)
	refused := f.shown(0, "jan@seznam.cz", "jan@seznam.cz")
	observed := f.shown(time.Second, "jan@seznam.cz", "jan@seznam.cz")
	observed.Observed = true
	f.write(refused, observed)
	for want, asked := range map[string]bool{refused.ID: false, observed.ID: true} {
		got, err := f.FindShownSender(context.Background(), journal.Shown{Sender: "jan@seznam.cz", Observed: asked, Since: noon, Limit: 10})
		if err != nil || !slices.Equal(idsOf(got), []string{want}) {
			t.Errorf("observed %t: got %v, want %s: %v", asked, idsOf(got), want, err)
		}
	}
}

// A reply of one's own may show the address without brackets.
func TestFindShownSenderInAnotherReply(t *testing.T) {
	f := open(t)
	e := f.refusal(0, func(e *journal.Entry) { e.Rule, e.Reply = "sender", "550 5.1.0 you are not jan@seznam.cz" })
	f.write(e)
	for shown, want := range map[string]int{"jan@seznam.cz": 1, "an@seznam.cz": 0, "jan@seznam": 0} {
		got, err := f.FindShownSender(context.Background(), journal.Shown{Sender: shown, Since: noon, Limit: 10})
		if err != nil || len(got) != want {
			t.Errorf("%s: got %v: %v", shown, idsOf(got), err)
		}
	}
}

// The one that is asked for may lie under thousands of others.
func TestFindShownSenderBelowManyOthers(t *testing.T) {
	f := open(t)
	sought := f.shown(0, "jan@seznam.cz", "jan@seznam.cz")
	f.write(sought)
	for i := range 1200 {
		address := fmt.Sprintf("spam%d@seznam.cz", i)
		f.write(f.shown(time.Duration(i+1)*time.Second, address, address))
	}
	entries, err := f.FindShownSender(context.Background(), journal.Shown{Sender: "jan@seznam.cz", Since: noon, Limit: 10})
	if err != nil || len(entries) != 1 || entries[0].ID != sought.ID {
		t.Errorf("got %v: %v", idsOf(entries), err)
	}
}

func TestReadingEndsWithItsContext(t *testing.T) {
	f := open(t)
	f.write(f.refusal(0, nil))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Find(ctx, journal.Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Find: %v", err)
	}
	if _, err := f.Get(ctx, f.ids.Next(noon).String()); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v", err)
	}
}

func BenchmarkWrite(b *testing.B) {
	f := open(b)
	b.SetParallelism(50) // 100 callers on two cores, as FACTS.md 5.2 measured
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f.Write(context.Background(), f.refusal(0, nil)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkGet(b *testing.B) {
	f := open(b)
	e := f.refusal(0, nil)
	f.write(e)
	for b.Loop() {
		f.get(e.ID)
	}
}
