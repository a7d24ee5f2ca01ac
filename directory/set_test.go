package directory_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/directory"
	"portreeve/rules"
)

// set is a directory with another source of senders, both fakes.
func set(t *testing.T, main, senders *fake) *directory.Set {
	t.Helper()
	return directory.NewSet(
		cached(t, main, directory.CacheOptions{Name: "main", TTL: time.Minute}),
		cached(t, senders, directory.CacheOptions{Name: "senders", TTL: time.Minute}))
}

// The senders of both sources count; everything else is the directory's own.
func TestSendersOfBoth(t *testing.T) {
	for _, tt := range []struct{ one, other []string }{
		{[]string{"a@x.cz"}, []string{"b@y.cz"}}, {nil, []string{"b@y.cz"}}, {[]string{"a@x.cz"}, nil}, {nil, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := set(t, &fake{account: answers, list: tt.one}, &fake{account: fails, list: tt.other})
			list, err := s.Senders(context.Background(), somebody)
			if want := append(append([]string{}, tt.one...), tt.other...); err != nil || strings.Join(list, " ") != strings.Join(want, " ") {
				t.Errorf("Senders = %q, %v; want %q", list, err, want)
			}
			want(t, s, somebody, "enabled")
			if list, err := s.Addresses(context.Background(), somebody); err != nil || len(list) != len(tt.one) {
				t.Errorf("Addresses = %q, %v", list, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// If one of the sources is away, nobody knows whether it would have named the sender.
func TestSendersOfOneAway(t *testing.T) {
	file := open(t, "[domains]\n\"domena.cz\" = {}\n[accounts]\n\"jan@domena.cz\" = { senders = [\"a@x.cz\"] }\n", rules.Logins{})
	away, err := directory.OpenSQL(directory.SQLite, "/nonexistent/roundcube.db", directory.SenderSchemas["roundcube"].Queries)
	if err != nil {
		t.Fatal(err)
	}
	s := directory.NewSet(file, cached(t, away, directory.CacheOptions{Name: "senders", TTL: time.Minute}))
	if list, err := s.Senders(context.Background(), somebody); err == nil {
		t.Errorf("Senders = %q, and nobody could tell", list)
	}
	want(t, s, somebody, "enabled")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Both sources have one deadline together.
func TestSendersOfTwoThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, &fake{account: answers, list: []string{"a@x.cz"}, pause: 1900 * time.Millisecond}, &fake{account: answers, pause: time.Hour})
		began := time.Now()
		list, err := s.Senders(context.Background(), somebody)
		if took := time.Since(began); err == nil || took > 2*time.Second {
			t.Errorf("Senders = %q, %v after %s", list, err, took)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
	})
}

// Tick says each change once, for each source.
func TestTickLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main, senders := &fake{account: answers}, &fake{account: answers}
		s := set(t, main, senders)
		var log bytes.Buffer
		tick := func() {
			s.Tick(slog.New(slog.NewTextHandler(&log, nil)))
			synctest.Wait()
			time.Sleep(time.Second)
		}
		for range 3 {
			tick()
		}
		if log.Len() > 0 {
			t.Errorf("all is well, and the log says %s", &log)
		}
		main.becomes(fails)
		want(t, s, "eva@domena.cz", "failed")
		for range 5 {
			tick()
		}
		if h := s.Health(); h[0].Up || !h[1].Up || h[0].Name != "main" {
			t.Errorf("health %+v", h)
		}
		main.becomes(answers)
		for range 5 {
			tick()
		}
		text := log.String()
		if strings.Count(text, "\n") != 2 || strings.Count(text, `msg="directory does not answer, known answers go on" source=main`) != 1 ||
			strings.Count(text, `msg="directory answers again" source=main`) != 1 || !strings.Contains(text, "the server has gone") {
			t.Errorf("the log says\n%s", text)
		}
		if err := s.Check(context.Background()); err != nil {
			t.Errorf("Check: %v", err)
		}
		if err := s.Close(); err != nil || !main.closed || !senders.closed {
			t.Errorf("closed %v, %v: %v", main.closed, senders.closed, err)
		}
	})
}

// Check names the source that does not work.
func TestCheckNamesTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, &fake{account: fails}, &fake{account: answers})
		if err := s.Check(context.Background()); err == nil || !strings.HasPrefix(err.Error(), "main: ") || strings.Contains(err.Error(), "senders: ") {
			t.Errorf("got %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A file alone has no sources, and nothing to close.
func TestSetOfAFile(t *testing.T) {
	s := directory.NewSet(open(t, "[domains]\n[accounts]\n", rules.Logins{}), nil)
	s.Tick(slog.New(slog.DiscardHandler))
	s.Purge()
	if err := s.Check(context.Background()); err != nil || len(s.Health()) > 0 || s.Close() != nil {
		t.Errorf("Check: %v, health %v", err, s.Health())
	}
}
