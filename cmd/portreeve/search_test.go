package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/gate"
	"portreeve/journal"
)

var someEntries = []journal.Entry{
	{
		ID: someID, Time: noon, Rule: "sender", Reply: "550 5.1.0 <a@seznam.cz> sender rejected", Stage: "mail", Client: "192.0.2.7", Port: 587,
		Login: "jan@domena.cz", Sender: "a@seznam.cz\x1b[2J", Count: 3, Facts: json.RawMessage(`{"as":"jan@domena.cz"}`),
	},
	{ID: "1kHG086hcEUJCINrgXbGZl", Time: noon, Rule: "throttled", Reply: "550", Stage: "auth", Client: "2001:db8::1", Observed: true, Count: 1},
	{ID: "2kHG086hcEUJCINrgXbGZl", Time: noon, Rule: "login_failures", Stage: "auth", Client: "unknown", Login: "eva@domena.cz"},
}

func TestDecisionsTable(t *testing.T) {
	a := &answers{decisions: someEntries}
	status, out, _ := a.verb(t, "decisions")
	expect(t, "decisions", out,
		`(?m)^TIME +ID +RULE +ACTION +CLIENT +PORT +LOGIN +SENDER +COUNT$`,
		`(?m)^2026-11-22 12:00:00 UTC +`+someID+` +sender +refused +192\.0\.2\.7 +587 +jan@domena\.cz +<a@seznam\.cz\?\[2J> +3$`,
		`(?m)^2026-11-22 12:00:00 UTC +1kHG086hcEUJCINrgXbGZl +throttled +observed +2001:db8::1 +- +- +- +1$`,
		`(?m)^2026-11-22 12:00:00 UTC +2kHG086hcEUJCINrgXbGZl +login_failures +delayed +unknown +- +eva@domena\.cz +- +0$`)
	if status != 0 || strings.Count(out, "\n") != 4 {
		t.Errorf("status %d, %q", status, out)
	}
	status, out, _ = a.verb(t, "decisions", "--json")
	var list []map[string]any
	if err := json.Unmarshal([]byte(out), &list); err != nil || status != 0 || len(list) != 3 {
		t.Fatalf("--json: %d %s %v", status, out, err)
	}
	for _, key := range []string{"id", "time", "rule", "observed", "reply", "client", "port", "login", "sender", "facts"} {
		if _, ok := list[0][key]; !ok {
			t.Errorf("--json has no %s", key)
		}
	}
}

func TestDecisionsFilters(t *testing.T) {
	a := &answers{}
	yes, no := true, false
	for _, c := range []struct {
		args []string
		want admin.DecisionsRequest
	}{
		{nil, admin.DecisionsRequest{Limit: 50}},
		{
			[]string{"--login", "jan@domena.cz", "--ip", "192.0.2.0/24", "--sender", "a@b.cz", "--rule", "sender", "--limit", "7"},
			admin.DecisionsRequest{Login: "jan@domena.cz", Client: "192.0.2.0/24", Sender: "a@b.cz", Rule: "sender", Limit: 7},
		},
		{[]string{"--observed"}, admin.DecisionsRequest{Limit: 50, Observed: &yes}},
		{[]string{"--refused"}, admin.DecisionsRequest{Limit: 50, Observed: &no}},
		{[]string{"--refused", "--observed"}, admin.DecisionsRequest{Limit: 50}},
		{
			[]string{"--since", "2026-11-22 10:00", "--until", "2026-11-22T11:00:00Z"},
			admin.DecisionsRequest{Limit: 50, Since: noon.Add(-2 * time.Hour), Until: noon.Add(-time.Hour)},
		},
	} {
		a.asked = nil
		status, _, errOut := a.verb(t, append([]string{"decisions"}, c.args...)...)
		if status != 0 || len(a.asked) != 1 || !reflect.DeepEqual(a.asked[0], c.want) {
			t.Errorf("%q: %d %q asked %+v, want %+v", c.args, status, errOut, a.asked, c.want)
		}
	}
	for arg, want := range map[string]string{
		"--since=yesterday": `--since "yesterday" is neither a duration nor a time: write one such as`,
		"--limit=0":         "--limit is below 1: write a number from 1",
		"--until=-2h":       "is neither",
	} {
		if status, _, errOut := a.verb(t, "decisions", arg); status != exitFailure || !strings.Contains(errOut, want) {
			t.Errorf("%s: %d %q", arg, status, errOut)
		}
	}
}

func TestMoment(t *testing.T) {
	here := time.Local
	time.Local = time.FixedZone("CET", 3600)
	defer func() { time.Local = here }()
	for text, want := range map[string]time.Time{
		"":                          {},
		"2h":                        noon.Add(-2 * time.Hour),
		"90m":                       noon.Add(-90 * time.Minute),
		"7d":                        noon.Add(-7 * 24 * time.Hour),
		"0.5d":                      noon.Add(-12 * time.Hour),
		"2026-11-22T11:00:00+01:00": noon.Add(-2 * time.Hour),
		"2026-11-22 11:00:00":       noon.Add(-2 * time.Hour),
		"2026-11-22 11:00:00 CET":   noon.Add(-2 * time.Hour),
		"2026-11-22 11:00":          noon.Add(-2 * time.Hour),
		"2026-11-22":                noon.Add(-13 * time.Hour),
		"11:00":                     noon.Add(-2 * time.Hour),
	} {
		if got, err := moment("since", text, noon); err != nil || !got.Equal(want) {
			t.Errorf("%q: %s %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "-2h", "-1d", "1e99d", "nand", "2026-13-01"} {
		if got, err := moment("since", text, noon); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}

// Each refusal is printed once, in the order of time, however often it is brought.
func TestFollow(t *testing.T) {
	at := func(id string, after time.Duration) journal.Entry {
		return journal.Entry{ID: id, Time: noon.Add(after), Rule: "sender", Reply: "550", Stage: "mail"}
	}
	looks := [][]journal.Entry{
		{at("b", 2*time.Second), at("a", time.Second)},
		{at("d", 4*time.Second), at("late", 1500*time.Millisecond), at("b", 2*time.Second)},
		{},
		{at("e", time.Hour)},
	}
	ctx, cancel := context.WithCancel(t.Context())
	tick := make(chan time.Time, len(looks))
	for i := range looks {
		tick <- noon.Add(time.Duration(i+1) * time.Minute)
	}
	var asked []admin.DecisionsRequest
	ask := func(_ context.Context, r admin.DecisionsRequest) ([]journal.Entry, error) {
		asked = append(asked, r)
		if len(asked) > len(looks) {
			cancel()
			return nil, context.Canceled
		}
		return looks[len(asked)-1], nil
	}
	var out bytes.Buffer
	f := follower{out: &out, json: true, request: admin.DecisionsRequest{Rule: "sender", Limit: 5}}
	if err := f.run(ctx, ask, noon, tick); err != nil {
		t.Fatal(err)
	}
	ids := ""
	for l := range strings.Lines(out.String()) {
		var e journal.Entry
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		ids += e.ID + " "
	}
	if ids != "a b late d e " {
		t.Errorf("printed %s", ids)
	}
	if !asked[0].Since.Equal(noon) || !asked[1].Since.Equal(noon.Add(50*time.Second)) || asked[1].Rule != "sender" || asked[1].Limit < 1000 {
		t.Errorf("asked %+v", asked)
	}
	if len(f.seen) > 2 {
		t.Errorf("%d ids are remembered", len(f.seen))
	}
}

// A daemon that is restarted is waited for: said once, nothing left out, nothing twice.
func TestFollowOverARestart(t *testing.T) {
	at := func(id string, after time.Duration) journal.Entry {
		return journal.Entry{ID: id, Time: noon.Add(after), Rule: "sender", Reply: "550", Stage: "mail"}
	}
	gone := fmt.Errorf("the daemon cannot be reached: no such socket%w", admin.ErrAway)
	looks := []struct {
		entries []journal.Entry
		err     error
	}{
		{[]journal.Entry{at("a", time.Second)}, nil},
		{nil, gone},
		{nil, gone},
		{[]journal.Entry{at("c", 3*time.Minute), at("b", 50*time.Second+time.Second), at("a", time.Second)}, nil},
		{nil, gone},
		{[]journal.Entry{at("d", 5*time.Minute)}, nil},
		{nil, errors.New("disk full")},
	}
	tick := make(chan time.Time, len(looks))
	for i := range looks {
		tick <- noon.Add(time.Duration(i+1) * time.Minute)
	}
	var asked []time.Time
	ask := func(_ context.Context, r admin.DecisionsRequest) ([]journal.Entry, error) {
		asked = append(asked, r.Since)
		look := looks[len(asked)-1]
		return look.entries, look.err
	}
	var out, errOut bytes.Buffer
	f := follower{out: &out, errOut: &errOut, json: true}
	if err := f.run(t.Context(), ask, noon, tick); err == nil || err.Error() != "disk full" {
		t.Errorf("what the daemon says is wrong: %v", err)
	}
	if got := regexp.MustCompile(`"id":"(\w)"`).FindAllString(out.String(), -1); strings.Join(got, "") != `"id":"a""id":"b""id":"c""id":"d"` {
		t.Errorf("printed %q", got)
	}
	const said = "portreeve: the daemon cannot be reached: no such socket: waiting until it answers again\n"
	if errOut.String() != said+said { // once in each absence
		t.Errorf("said %q", errOut.String())
	}
	// While it is away, the time from which it is asked stands still.
	for i, want := range []time.Duration{0, 50 * time.Second, 50 * time.Second, 50 * time.Second, 230 * time.Second, 230 * time.Second} {
		if got := asked[i].Sub(noon); got != want {
			t.Errorf("look %d is from %s on, want %s", i+1, got, want)
		}
	}
	// One that was never there is an error at once.
	f = follower{out: &out, errOut: &errOut}
	if err := f.run(t.Context(), func(context.Context, admin.DecisionsRequest) ([]journal.Entry, error) { return nil, gone }, noon, tick); !errors.Is(err, admin.ErrAway) {
		t.Errorf("without a daemon: %v", err)
	}
}

func TestFollowTable(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	f := follower{out: &out, seen: map[string]time.Time{}}
	if err := f.print(someEntries); err != nil {
		t.Fatal(err)
	}
	expect(t, "a line", out.String(), `(?m)^\S+ \S+ \S+ +`+someID+`  sender +refused +192\.0\.2\.7 +587 +jan@domena\.cz +<a@seznam\.cz\?\[2J> +3$`)
	if err := f.run(ctx, func(ctx context.Context, _ admin.DecisionsRequest) ([]journal.Entry, error) { return nil, ctx.Err() }, noon, nil); err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

func TestFailuresTable(t *testing.T) {
	until := noon.Add(time.Hour)
	a := &answers{failures: admin.FailuresAnswer{
		Of: "192.0.2.7", Client: true, Count: 11, Limit: 10, Until: &until, ID: someID,
		Failures: []gate.FailureFact{{Time: noon, Client: "192.0.2.7", Login: "j\x1b… (7)", Service: "smtp", Counted: true}, {Time: noon, Client: "192.0.2.7"}},
	}}
	status, out, _ := a.verb(t, "failures", "192.0.2.7", "--since", "2026-11-22 11:00")
	expect(t, "failures", out,
		`(?m)^TIME +CLIENT +SERVICE +LOGIN +COUNTED$`,
		`(?m)^2026-11-22 12:00:00 UTC +192\.0\.2\.7 +smtp +j\?… \(7\) +yes$`,
		`(?m)^2026-11-22 12:00:00 UTC +192\.0\.2\.7 +- +- +no$`,
		`(?m)^192\.0\.2\.7: 11 count, the limit is 10, blocked until 2026-11-22 13:00:00 UTC \(`+someID+`\)$`)
	if want := []any{admin.FailuresRequest{Of: "192.0.2.7", Since: noon.Add(-time.Hour), Limit: 50}}; status != 0 || !reflect.DeepEqual(a.asked, want) {
		t.Errorf("%d asked %+v", status, a.asked)
	}
	if status, out, _ := a.verb(t, "failures", "192.0.2.7", "--json"); status != 0 || !strings.Contains(out, `"count": 11`) {
		t.Errorf("--json: %d %s", status, out)
	}
	for text, answer := range map[string]admin.FailuresAnswer{
		"192.0.2.7: 3 count, above 10 it is blocked":                                    {Of: "192.0.2.7", Client: true, Count: 3, Limit: 10},
		"jan@domena.cz: 3 count, above 5 it is slowed down":                             {Of: "jan@domena.cz", Count: 3, Limit: 5},
		"jan@domena.cz: 3; login_failures is off, so they matter only to the addresses": {Of: "jan@domena.cz", Count: 3},
		"203.0.113.1 stands for many people: its failures count for their logins only":  {Of: "203.0.113.1", Client: true, Shared: true},
	} {
		if got := standing(answer); got != text {
			t.Errorf("%q, want %q", got, text)
		}
	}
}

func TestBlocksFilters(t *testing.T) {
	a := &answers{}
	status, _, errOut := a.verb(t, "blocks", "--ip", "192.0.2.7", "--login", "jan@domena.cz", "--since", "2026-11-22 11:00")
	if want := []any{admin.BlocksRequest{Client: "192.0.2.7", Login: "jan@domena.cz", Since: noon.Add(-time.Hour)}}; status != 0 || !reflect.DeepEqual(a.asked, want) {
		t.Errorf("%d %q asked %+v", status, errOut, a.asked)
	}
}
