//go:build real

package pages

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// logKey is the name of a field of the daemon's log.
var logKey = regexp.MustCompile(`(?:^| )([a-z_]+)=`)

// logKeys: the page says what each key of a refusal and of a block is.
func (h *host) logKeys([]string) {
	h.Helper()
	page, err := os.ReadFile(root + "/docs/operate.md")
	if err != nil {
		h.Fatal(err)
	}
	log := h.run(`grep -E 'msg=(refused|"client blocked")' ` + serviceLog)
	for _, msg := range []string{"msg=refused ", `msg="client blocked"`} {
		if !strings.Contains(log, msg) {
			h.Errorf("the log has no %s:\n%s", msg, log)
		}
	}
	for _, m := range logKey.FindAllStringSubmatch(log, -1) {
		if !strings.Contains(string(page), "`"+m[1]+"`") {
			h.Errorf("docs/operate.md does not say what %s is", m[1])
		}
	}
}

// ids are those of all refusals that the journal has.
func (h *host) ids() []string {
	h.Helper()
	return strings.Fields(h.run(`portreeve decisions --limit 100000 --json | sed -n 's/^ *"id": "\([^"]*\)".*/\1/p'`))
}

// busy notes what is known now, and lets a customer be refused without pause, each
// time with another sender, so that the store is written while it is copied.
func (h *host) busy([]string) {
	h.Helper()
	h.known = h.ids()
	if len(h.known) == 0 {
		h.Fatal("nothing was refused before the backup")
	}
	c := h.session("192.0.2.7")
	if reply := c.auth("jan.novak@domena.cz", "jan.novak"+passwordEnd); !strings.HasPrefix(reply, "235 ") {
		h.Fatal(reply)
	}
	stop, refused := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		defer func() { refused <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if reply := c.ask(fmt.Sprintf("MAIL FROM:<x%d@seznam.cz>", n)); strings.HasPrefix(reply, "550 5.1.0 ") {
				n++
				continue
			}
			c = h.session("192.0.2.7") // Postfix hangs up after so many errors
			c.auth("jan.novak@domena.cz", "jan.novak"+passwordEnd)
		}
	}()
	h.end = func() {
		close(stop)
		if n := <-refused; n < 5 {
			h.Errorf("only %d refusals were made beside the backup", n)
		} else {
			h.Logf("%d refusals were made beside the backup", n)
		}
	}
}

// quiet ends what busy has begun.
func (h *host) quiet([]string) {
	h.Helper()
	h.end()
}

// restored: what was known when the copy was made is known again, and what came
// after it is not; the block holds.
func (h *host) restored([]string) {
	h.Helper()
	now := map[string]bool{}
	for _, id := range h.ids() {
		now[id] = true
	}
	for _, id := range h.known {
		if !now[id] {
			h.Errorf("%s is no longer known", id)
		} else if out := h.run("portreeve explain " + id); !strings.Contains(out, id) {
			h.Errorf("portreeve explain %s says %s", id, out)
		}
	}
	before := h.run(`sqlite3 -readonly /var/lib/portreeve/before/portreeve.db 'SELECT 1' && ls /var/lib/portreeve/before`)
	if !strings.Contains(before, "portreeve.db") {
		h.Errorf("the store of before was not kept: %s", before)
	}
	if out := h.run("portreeve blocks"); !strings.Contains(out, "192.0.2.9 ") {
		h.Errorf("the block of before the backup is gone: %s", out)
	}
	h.refused([]string{"192.0.2.9", "jan.novak@domena.cz", "jan.novak@domena.cz", "Too many authorization failures from this IP"})
}
