package journal_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"portreeve/journal"
)

func (f *fixture) near(client, login string, at time.Time, limit int) ([]string, bool) {
	f.t.Helper()
	found, more, err := f.Near(context.Background(), client, login, at, time.Hour, limit)
	if err != nil {
		f.t.Fatal(err)
	}
	return idsOf(found), more
}

func TestNear(t *testing.T) {
	f := open(t)
	at := func(after time.Duration, client, login string) journal.Entry {
		return f.refusal(after, func(e *journal.Entry) { e.Client, e.Login = client, login })
	}
	early := at(-61*time.Minute, "192.0.2.7", "jan@domena.cz")
	before := at(-10*time.Minute, "192.0.2.7", "eva@domena.cz")
	same := at(0, "192.0.2.7", "jan@domena.cz")
	after := at(5*time.Minute, "192.0.2.8", "JAN@domena.cz")
	far := at(59*time.Minute, "192.0.2.7", "")
	others := at(time.Minute, "192.0.2.9", "hana@domena.cz")
	late := at(61*time.Minute, "192.0.2.7", "jan@domena.cz")
	nobody := at(2*time.Minute, "unknown", "")
	f.write(early, before, same, after, far, others, late, nobody)
	for name, tt := range map[string]struct {
		client, login string
		limit         int
		want          []journal.Entry
		more          bool
	}{
		"both, nearest first": {"192.0.2.7", "jan@domena.cz", 10, []journal.Entry{same, after, before, far}, false},
		"bounded":             {"192.0.2.7", "jan@domena.cz", 2, []journal.Entry{same, after}, true},
		"just all":            {"192.0.2.7", "jan@domena.cz", 4, []journal.Entry{same, after, before, far}, false},
		"client":              {"192.0.2.7", "", 10, []journal.Entry{same, before, far}, false},
		"login":               {"", "jan@domena.cz", 10, []journal.Entry{same, after}, false},
		"nobody":              {"", "", 10, nil, false},
		"no pattern":          {"%", "%", 10, nil, false},
	} {
		got, more := f.near(tt.client, tt.login, noon, tt.limit)
		if !slices.Equal(got, idsOf(tt.want)) || more != tt.more {
			t.Errorf("%s: %v (more %t), want %v", name, got, more, idsOf(tt.want))
		}
	}
}

// The nearest must be found under thousands that are farther away.
func TestNearAmongMany(t *testing.T) {
	f := open(t)
	f.many(3000, 10*time.Minute, 10)
	f.many(3000, -10*time.Minute, 10)
	sought := f.refusal(time.Second, nil)
	f.write(sought)
	got, more := f.near(sought.Client, sought.Login, noon, 5)
	if len(got) != 5 || got[0] != sought.ID || !more {
		t.Errorf("got %v, more %t", got, more)
	}
}

func TestFindShownSenderBetween(t *testing.T) {
	f := open(t)
	var all []journal.Entry
	for i := range 4 {
		all = append(all, f.shown(time.Duration(i)*time.Minute, "jan@seznam.cz", "jan@seznam.cz"))
	}
	f.write(all...)
	got, err := f.FindShownSender(context.Background(), journal.Shown{Sender: "jan@seznam.cz", Since: noon.Add(time.Minute), Until: noon.Add(3 * time.Minute), Limit: 10})
	if err != nil || !slices.Equal(idsOf(got), []string{all[2].ID, all[1].ID}) {
		t.Errorf("got %v: %v", idsOf(got), err)
	}
}

func TestNearEndsWithItsContext(t *testing.T) {
	f := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := f.Near(ctx, "192.0.2.7", "", noon, time.Hour, 5); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The first four digits of: printf %s NAME | sha256sum
func TestHostNumber(t *testing.T) {
	for name, want := range map[string]uint16{"mx1.example.cz": 0xa76b, "": 0xe3b0} {
		if got := journal.HostNumber(name); got != want {
			t.Errorf("%q: %04x, want %04x", name, got, want)
		}
		if id := journal.NewIDs(name).Next(noon); id.Host() != want {
			t.Errorf("the ids of %q name the host %04x", name, id.Host())
		}
	}
}
