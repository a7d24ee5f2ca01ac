package valkey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// up is a client that takes its store for well.
func up(timeout time.Duration) *Client {
	c := New(Options{Timeout: timeout, Now: time.Now})
	c.up.Store(true)
	return c
}

// Whatever becomes of a question, whoever asked goes on in time; and nobody asks again
// before somebody has looked.
func TestLiveReturnsInTime(t *testing.T) {
	c := up(400 * time.Millisecond)
	hang := make(chan struct{})
	defer close(hang)
	began := time.Now()
	_, err := live(c, func(context.Context) (int, error) {
		<-hang // it does not even look at its context
		return 1, nil
	})
	if took := time.Since(began); took > 400*time.Millisecond || !errors.Is(err, ErrAway) {
		t.Errorf("it took %s: %v", took, err)
	}
	select {
	case <-c.Wake():
	default:
		t.Error("nobody is told to look")
	}
	asked := false
	_, err = live(c, func(context.Context) (int, error) { asked = true; return 1, nil })
	if asked || !errors.Is(err, ErrAway) || c.Up() {
		t.Errorf("a store that is away was asked: %v", err)
	}
}

func TestLiveTellsAwayFromNo(t *testing.T) {
	c := up(time.Minute)
	no := &refusedError{errors.New("no")}
	if _, err := live(c, func(context.Context) (int, error) { return 0, no }); !errors.Is(err, no) || !c.Up() || !Refused(err) {
		t.Errorf("an answer that says no: %v, up %v", err, c.Up())
	}
	if n, err := live(c, func(context.Context) (int, error) { return 7, nil }); n != 7 || err != nil {
		t.Errorf("an answer: %d, %v", n, err)
	}
	if _, err := live(c, func(context.Context) (int, error) { return 0, io.EOF }); !errors.Is(err, ErrAway) || c.Up() || Refused(err) {
		t.Errorf("a connection that broke: %v, up %v", err, c.Up())
	}
}

func TestAway(t *testing.T) {
	for _, err := range []error{io.EOF, context.DeadlineExceeded, ErrAway, fmt.Errorf("asking: %w", ErrAway), rueidis.ErrClosing} {
		if !away(err) || Refused(err) {
			t.Errorf("%v is no absence", err)
		}
	}
	for _, err := range []error{nil, rueidis.Nil, &refusedError{io.EOF}} {
		if away(err) {
			t.Errorf("%v is an absence", err)
		}
	}
	if Refused(nil) {
		t.Error("no error is a refusal")
	}
}

// What to do stands at the end of every error that somebody has to mend.
func TestRemedies(t *testing.T) {
	for text, want := range map[string]string{
		"WRONGPASS invalid username-password pair or user is disabled.":                  "store.valkey.password_file names",
		"NOAUTH Authentication required.":                                                "store.valkey.password_file",
		"NOPERM this user has no permissions":                                            "docs/shared-store.md lists",
		"The user executing the script can't run this command or subcommand":             "docs/shared-store.md lists",
		"ERR ACL failure in script: User portreeve has no permissions to run the 'time'": "docs/shared-store.md lists",
		"OOM command not allowed when used memory > 'maxmemory'.":                        "(maxmemory)",
		"MOVED 1234 127.0.0.1:7001":                                                      "store.valkey.addresses",
		"dial tcp 127.0.0.1:6379: connect: connection refused":                           "runs and can be reached",
	} {
		if got := withRemedy(text); !strings.HasPrefix(got, text+": ") || !strings.HasSuffix(got, want) {
			t.Errorf("%q", got)
		}
	}
	if !forbidden("ERR ACL failure in script: x") || forbidden("ERR wrong number of arguments") {
		t.Error("what a user may not do is not known")
	}
}

func TestMemory(t *testing.T) {
	m := parseMemory("# Memory\r\nused_memory:900\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\nother:1\r\n")
	if m != (Memory{900, 1000, "allkeys-lru"}) || m.share() <= nearlyFull || !m.Evicts() {
		t.Errorf("%+v", m)
	}
	for _, text := range []string{"", "used_memory:900\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", "maxmemory:x\r\n"} {
		if m := parseMemory(text); m.share() != 0 || m.Evicts() {
			t.Errorf("%q: %+v", text, m)
		}
	}
}

// One name's keys are in one slot, and where they have always been.
func TestKeys(t *testing.T) {
	if got := key(kindFailures, "192.0.2.7/32"); got != "pr1:{22}:f:192.0.2.7/32" {
		t.Errorf("a client's failures are under %s: hosts of the last version do not find them", got)
	}
	if got := bucketKey(3, kindFeed); got != "pr1:{03}:feed" {
		t.Errorf("a feed is %s", got)
	}
	const evil = "}{jan@domena.cz"
	tag := func(key string) string { return key[strings.Index(key, "{") : strings.Index(key, "}")+1] }
	if got, want := tag(key(kindFailures, evil)), tag(bucketKey(bucketOf(evil), kindFeed)); got != want {
		t.Errorf("a login moves its keys from %s to %s", want, got)
	}
	used := map[int]int{}
	for i := range 64_000 {
		used[bucketOf(fmt.Sprintf("10.%d.%d.7/32", i>>8, i&255))]++
	}
	for b := range buckets {
		if used[b] < 500 || used[b] > 2000 {
			t.Errorf("bucket %d has %d of 64,000 clients", b, used[b])
		}
	}
}

func TestClocks(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := New(Options{Now: func() time.Time { return now }})
	server := now.Add(3 * time.Hour)
	if err := c.measure(micros(server.UnixMicro()), now, now); err != nil {
		t.Fatal(err)
	}
	if got, err := c.local(micros(server.Add(-time.Minute).UnixMicro())); err != nil || !got.Equal(now.Add(-time.Minute)) {
		t.Errorf("a minute ago by the server is %s here, %v", got, err)
	}
	if got := c.server(now); got != micros(server.UnixMicro()) {
		t.Errorf("now is %s there", got)
	}
	// A later answer took longer, and says nothing else; a better one does.
	for _, m := range []struct{ server, took, want time.Duration }{
		{3*time.Hour + 90*time.Millisecond, 100 * time.Millisecond, 3 * time.Hour},
		{3*time.Hour + 2*time.Second, time.Second, 3*time.Hour + 1500*time.Millisecond},
	} {
		if err := c.measure(micros(now.Add(m.server).UnixMicro()), now, now.Add(m.took)); err != nil {
			t.Fatal(err)
		}
		if got := time.Duration(c.offset.Load()); got != m.want {
			t.Errorf("the clocks are %s apart, want %s", got, m.want)
		}
	}
	if c.clock() != "" {
		t.Error("the scripts are told another time than the server's")
	}
	if err := c.measure("soon", now, now); !Refused(err) {
		t.Errorf("no time: %v", err)
	}
}

func FuzzParseMember(f *testing.F) {
	f.Add(Failure{ID: 1, Same: 2, Counted: true, Detail: []byte("x")}.member())
	f.Add("1234")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseMember(text)
		if err != nil {
			return
		}
		if again := got.member(); again[1:] != text[1:] {
			t.Errorf("%q is read and written as %q", text, again)
		}
	})
}
