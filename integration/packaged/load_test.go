//go:build packaged

package packaged

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"portreeve/internal/admin"
)

// window is one restart: from the moment at which systemd began to stop the daemon to
// the one at which the next was ready.
type window struct{ stopped, ready time.Time }

// during runs what restarts the daemon, and finds the window.
func (h host) during(restart func()) window {
	h.Helper()
	before := h.property("portreeve.service", "MainPID")
	restart()
	h.until("another daemon", 20*time.Second, func() error {
		if now := h.property("portreeve.service", "MainPID"); now == before || now == "0" {
			return fmt.Errorf("the process is still %s", now)
		}
		if state := h.property("portreeve.service", "ActiveState"); state != "active" {
			return fmt.Errorf("the unit is %s", state)
		}
		return nil
	})
	return window{h.stamp("ActiveExitTimestampMonotonic"), h.stamp("ActiveEnterTimestampMonotonic")}
}

// stamp turns one of systemd's times, on the monotonic clock, into ours.
func (h host) stamp(name string) time.Time {
	h.Helper()
	us, err := strconv.ParseInt(h.property("portreeve.service", name), 10, 64)
	h.must(err)
	const monotonic = 1
	var now syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, monotonic, uintptr(unsafe.Pointer(&now)), 0); errno != 0 { //nolint:gosec // as the call wants it
		h.Fatalf("%v", errno)
	}
	return time.Now().Add(time.Duration(us)*time.Microsecond - time.Duration(now.Nano()))
}

// restartedUnderLoad: three restarts, and one end without being asked.
func restartedUnderLoad(h host) {
	h.underLoad(func() (windows []window) {
		for range 3 {
			time.Sleep(1500 * time.Millisecond)
			windows = append(windows, h.during(func() { h.systemctl("restart", "portreeve.service") }))
		}
		time.Sleep(1500 * time.Millisecond)
		return append(windows, h.during(func() { h.systemctl("kill", "--signal=KILL", "portreeve.service") }))
	})
}

// upgradedUnderLoad: dpkg puts the next version in place and its script restarts.
func upgradedUnderLoad(h host) {
	token, accounts := h.read(etc+"/token"), h.read(etc+"/accounts.toml")
	h.underLoad(func() []window {
		time.Sleep(time.Second)
		return []window{h.during(func() { h.run("dpkg", "--install", nextVersion) })}
	})
	if h.read(etc+"/token") != token || h.read(etc+"/accounts.toml") != accounts || h.rights(etc+"/token") != "-rw-r----- root:portreeve" {
		h.Error("the upgrade has changed the token or the accounts")
	}
	if version := h.status().Version; !strings.HasSuffix(version, "+next") {
		h.Errorf("the daemon that answers is %s", version)
	}
	h.run(program, "check")
}

// underLoad lets clients talk throughout, and holds what they were told against what
// may happen: whoever begins while the daemon restarts, or at any other time, is answered
// as always. A session that was open when the daemon was told to stop may be deferred.
func (h host) underLoad(restarts func() []window) {
	h.Helper()
	fresh(h, h.read(etc+"/portreeve.toml"))
	h.edit(etc+"/portreeve.toml", `mode = "observe"`, "mode = \"enforce\"")
	h.write(etc+"/portreeve.toml", h.read(etc+"/portreeve.toml")+"\n[auth_failures]\nlimit = 100000\n")
	defer func() {
		h.edit(etc+"/portreeve.toml", `mode = "enforce"`, "mode = \"observe\"")
		h.edit(etc+"/portreeve.toml", "\n[auth_failures]\nlimit = 100000\n", "")
	}()
	h.systemctl("restart", "portreeve.service")

	idle, err := connect("127.9.1.6", 587)
	h.must(err)
	defer idle.Close() //nolint:errcheck // it was read
	h.must(idle.expect("235", authPlain("jan.novak-pass")))
	mx, err := connect("127.9.1.7", 25)
	h.must(err)
	defer mx.Close() //nolint:errcheck // it was read

	c := &crowd{}
	c.begin("policy request", 2, c.policyClient(false))
	c.begin("policy request on an open connection", 1, c.policyClient(true))
	c.begin("milter session", 2, always(milterSession))
	c.begin("submission", 3, always(submission))
	c.begin("inbound", 1, always(inbound))
	c.begin("wrong password", 3, always(c.guesser))
	began := time.Now()
	windows := restarts()
	time.Sleep(1500 * time.Millisecond)
	h.Logf("the daemon's log, without its refusals:\n%s", strings.Join(slices.DeleteFunc(strings.Split(journal(began), "\n"), func(line string) bool {
		return strings.Contains(line, "msg=refused") || strings.Contains(line, "msg=listening")
	}), "\n"))
	h.judge(c.end(), windows)

	h.Logf("policy requests sent again on a new connection: %d", c.again.Load())
	var failures admin.FailuresAnswer
	h.verb(&failures, "failures", guesserAddr)
	h.Logf("wrong passwords: %d answered, %d counted", c.wrong.Load(), failures.Count)
	if int64(failures.Count) != c.wrong.Load() {
		h.Errorf("%d wrong passwords, %d counted", c.wrong.Load(), failures.Count)
	}
	// What was open and idle: on submission Postfix defers, on 25 it goes on.
	told, err := idle.ask("MAIL FROM:<jan.novak@domena.cz>")
	if err != nil || !strings.HasPrefix(told, "4") {
		h.Errorf("the session on 587 that was open is told %q, %v", told, err)
	}
	toldMX, err := mx.ask("MAIL FROM:<x@far.test>")
	if err != nil || !strings.HasPrefix(toldMX, "250 ") {
		h.Errorf("the session on 25 that was open is told %q, %v", toldMX, err)
	}
	h.Logf("open and idle when the daemon was restarted: 587 %q, 25 %q", told, toldMX)
}

// slack: systemd sends the signal and then notes the time.
const slack = 100 * time.Millisecond

// judge sorts the outcomes by kind, and by whether a restart fell into them.
func (h host) judge(all []outcome, windows []window) {
	h.Helper()
	for i, w := range windows {
		took := w.ready.Sub(w.stopped)
		h.Logf("restart %d took %.2f s: %s to %s", i+1, took.Seconds(), clock(w.stopped), clock(w.ready))
		if took <= 0 || took > 20*time.Second {
			h.Errorf("restart %d: from %v to %v", i+1, w.stopped, w.ready)
		}
	}
	type row struct {
		all, waited, open, cut int
		longest                time.Duration
		example                string
	}
	rows := map[string]*row{}
	for _, o := range all {
		r := rows[o.kind]
		if r == nil {
			r = &row{}
			rows[o.kind] = r
		}
		r.all++
		r.longest = max(r.longest, o.ended.Sub(o.began))
		open := slices.ContainsFunc(windows, func(w window) bool { return o.began.Before(w.stopped) && o.ended.After(w.stopped.Add(-slack)) })
		switch {
		case open && o.failure == "":
			r.open++
		case open:
			r.open++
			r.cut++
			r.example = o.failure
		case o.failure != "":
			h.Errorf("%s that began at %s and ended at %s: %s", o.kind, clock(o.began), clock(o.ended), o.failure)
		}
		if slices.ContainsFunc(windows, func(w window) bool { return !o.began.Before(w.stopped) && o.began.Before(w.ready) }) {
			r.waited++
		}
	}
	for kind, r := range rows {
		h.Logf("%s: %d in all, %d begun during a restart, %d open when one began, of which cut %d %s; the longest took %.2f s",
			kind, r.all, r.waited, r.open, r.cut, r.example, r.longest.Seconds())
		if r.all < 10 {
			h.Errorf("%s: only %d in all, that shows nothing", kind, r.all)
		}
		if strings.HasPrefix(kind, "policy") && r.cut > 0 {
			h.Errorf("%s: %d without an answer, %s", kind, r.cut, r.example)
		}
	}
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }
