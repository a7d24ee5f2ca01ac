package replay

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// writeDay writes a log of so many lines, of a busy day: mail from other servers,
// mail of customers, some of them with senders that are not theirs, guessers, and
// POP logins.
func writeDay(t testing.TB, name string, lines int) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	r := rand.New(rand.NewPCG(3, 4))
	for n := 0; n < lines; {
		var l logText
		l.n = n
		when := day.Add(time.Duration(int64(24*time.Hour) * int64(n) / int64(lines)))
		customer := r.IntN(5000)
		account := fmt.Sprintf("user%d@domena%d.cz", customer, customer/10)
		from := fmt.Sprintf("10.%d.%d.1", customer/250, customer%250)
		switch chance := r.IntN(100); {
		case chance < 50:
			l.mailAt(when, mail{port: 25, from: fmt.Sprintf("172.%d.%d.1", r.IntN(250), r.IntN(250)), sender: "a@example.org", to: []string{account}})
		case chance < 70:
			l.mailAt(when, mail{port: 587, from: from, login: account, sender: account})
		case chance < 75:
			l.mailAt(when, mail{port: 587, from: from, login: account, sender: fmt.Sprintf("a@b%d.cz", r.IntN(1000))})
		case chance < 95:
			l.failAt(when, 5, fmt.Sprintf("192.%d.%d.9", r.IntN(250), r.IntN(250)), account)
		default:
			l.line(when, "dovecot", "pop3-login: Login: user=<%s>, method=PLAIN, rip=%s, lip=192.0.2.2, mpid=34, TLS, session=<s%d>", account, from, n)
		}
		for _, one := range l.lines {
			fmt.Fprintln(w, one.text)
		}
		n += len(l.lines)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, noon, noon); err != nil {
		t.Fatal(err)
	}
}

func manyAccounts() string {
	text := "[domains]\n"
	for i := range 500 {
		text += fmt.Sprintf("\"domena%d.cz\" = {}\n", i)
	}
	text += "[accounts]\n"
	for i := range 5000 {
		text += fmt.Sprintf("\"user%d@domena%d.cz\" = {}\n", i, i/10)
	}
	return text
}

// BenchmarkMillion replays a million lines. It reports lines a second, and the
// largest heap that was seen, in MiB.
func BenchmarkMillion(b *testing.B) {
	const lines = 1_000_000
	o := options(b, withAuth+"[smtp_after_pop]\nenabled = true", manyAccounts())
	name := filepath.Join(b.TempDir(), "mail.log")
	writeDay(b, name, lines)
	o.Files = []string{name}
	var largest uint64
	o.Progress = func(p Progress) {
		if p.Lines%(16*progressEvery) == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			largest = max(largest, m.HeapInuse)
		}
	}
	b.ResetTimer()
	for b.Loop() {
		r := run(b, o)
		if r.Lines < lines || r.Unreadable > 0 || r.Messages.Judged == 0 {
			b.Fatalf("%+v", r.Messages)
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric(float64(largest)/(1<<20), "MiB")
}
