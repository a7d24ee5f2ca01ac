package journal

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// What is written is what json.Marshal would write, whatever a client has sent.
func TestEntryIsEncodedAsJSON(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)
	texts := []string{
		"", "jan@domena.cz", "<script>&amp;\"\\/", "\x00\x1f\x7f\r\n\t", "háček@domena.cz", "\xff\xfe", "\u2028 \u2029", "日本", "<a@b.cz> & <c@d.cz>",
	}
	for _, text := range texts {
		for _, e := range []Entry{
			{},
			{
				ID: "0123456789abcdefABCDEF", Time: noon, Host: text, Rule: text, Reason: text, Observed: true, Protocol: text, Stage: text,
				Reply: text, Client: text, Port: 587, TLS: true, Helo: text, Login: text, Sender: text, Recipients: []string{text},
				QueueID: text, Facts: json.RawMessage(`{"count":1,"as":"a\u003cb"}`), Count: 3, Last: noon.Add(time.Second).Truncate(time.Second),
			},
			{Sender: text, Recipients: []string{"a", text, "b"}, Last: noon.In(time.FixedZone("CET", 3600))},
		} {
			want, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if got := appendEntry(nil, &e); string(got) != string(want) {
				t.Errorf("%q:\n got %s\nwant %s", text, got, want)
			}
		}
	}
}

// Every field of an entry is written: one that is added must be added there, too.
func TestEncodedEntryHasEveryField(t *testing.T) {
	whole := Entry{
		ID: "a", Time: time.Unix(1, 0), Host: "a", Rule: "a", Reason: "a", Observed: true, Protocol: "a", Stage: "a", Reply: "a", Client: "a",
		Port: 1, TLS: true, Helo: "a", Login: "a", Sender: "a", Recipients: []string{"a"}, QueueID: "a", Facts: json.RawMessage("1"), Count: 1,
		Last: time.Unix(1, 0),
	}
	var written map[string]json.RawMessage
	if err := json.Unmarshal(appendEntry(nil, &whole), &written); err != nil {
		t.Fatal(err)
	}
	for field := range reflect.TypeFor[Entry]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if written[name] == nil {
			t.Errorf("%s is not written", field.Name)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	e := Entry{
		ID: "0123456789abcdefABCDEF", Time: noon, Host: "mx1.example.net", Rule: "sender", Reason: "sender-domain-not-of-account",
		Protocol: "policy", Stage: "envelope", Reply: "550 5.1.0 <a@b.cz> sender rejected", Client: "192.0.2.7", Port: 587, TLS: true,
		Helo: "[192.0.2.7]", Login: "jan@domena.cz", Sender: "a@b.cz", Recipients: []string{"c@d.cz"},
		Facts: json.RawMessage(`{"looked_at":"a@b.cz","as":"jan@domena.cz","limit":10,"count":0,"accounts":[{"login":"jan@domena.cz","found":true,"smtp":true,"forward":false}]}`),
		Count: 1, Last: noon,
	}
	b.ReportAllocs()
	for b.Loop() {
		appendEntry(make([]byte, 0, 1<<10), &e)
	}
}
