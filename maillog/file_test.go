package maillog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFollowsFromTheEnd(t *testing.T) {
	r := newRig(t)
	r.failures("old")
	r.start()
	r.want("")
	r.failures("a b")
	r.want("a b")
	r.want("")
}

func TestPartialLineWaits(t *testing.T) {
	r := newRig(t)
	r.failures("old")
	r.start()
	line := r.failure("a")
	r.write(r.path, line[:40])
	r.want("")
	r.write(r.path, line[40:len(line)-1])
	r.want("")
	r.write(r.path, "\n")
	r.want("a")
}

// A file that begins in the middle of a line begins with the next one: the rest
// may be a login that looks like a line.
func TestRestOfALineIsNone(t *testing.T) {
	r := newRig(t)
	r.write(r.path, "Nov 22 10:00:00 mx postfix/smtpd[1]: x, sasl_username=")
	r.start()
	r.failures("injected a")
	r.want("a")
}

func TestLongLine(t *testing.T) {
	r := newRig(t)
	r.write(r.path, "")
	r.start()
	long := strings.Repeat("x", maxLine+1)
	r.write(r.path, long)
	r.want("")
	r.stop(false) // in the middle of it
	r.start()
	r.failures("injected a")
	r.write(r.path, long+"\n"+r.failure("b")+strings.Repeat("y", 3*maxLine)+"\n"+r.failure("c"))
	r.want("a b c")
	if r.meter.long != 4 { // the first was seen twice
		t.Errorf("%d lines were counted as too long, want 4", r.meter.long)
	}
}

func TestRestart(t *testing.T) {
	for name, crash := range map[string]bool{"asked": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.write(r.path, "")
			r.start()
			r.failures("a")
			r.want("a")
			r.stop(false)
			r.start()
			r.failures("b b")
			r.want("b b")
			r.stop(crash)
			r.failures("c")
			r.start()
			r.want("c") // and neither b again
		})
	}
}

func TestRotationByRename(t *testing.T) {
	r := newRig(t)
	r.failures("old")
	r.start()
	r.failures("a")
	r.rename()
	r.want("a")
	r.write(r.path+".1", r.failure("b")) // the log daemon has not been told yet
	r.want("b")
	r.failures("c") // now it has
	r.write(r.path+".1", r.failure("d"))
	r.want("d c")
	r.now = r.now.Add(quiet + time.Second)
	r.failures("e")
	r.want("e")
	if len(r.file.rotated) != 0 {
		t.Error("the rotated file is still open")
	}
	r.stop(false)
	r.start()
	r.want("")
}

func TestCopyTruncate(t *testing.T) {
	for name, after := range map[string]string{"smaller": "c", "larger": "c d e f g h"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.failures("old")
			r.start()
			r.failures("a")
			r.want("a")
			r.failures("b") // not read before the copy was made
			r.copyTruncate()
			r.now = r.now.Add(time.Second)
			r.failures(after)
			r.want("b " + after)
			r.failures("z")
			r.want("z")
		})
	}
}

// What was written while nobody followed is read from the rotated file, and its
// successor.
func TestRotatedWhileStopped(t *testing.T) {
	for name, rotate := range map[string]func(*rig){"rename": (*rig).rename, "copytruncate": (*rig).copyTruncate} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.failures("old")
			r.start()
			r.failures("a")
			r.want("a")
			r.stop(false)
			r.failures("b")
			rotate(r)
			r.now = r.now.Add(time.Second)
			r.failures("c d e f")
			r.start()
			r.want("b c d e f")
			r.stop(true) // while both files are still read
			r.start()
			r.want("")
			r.now = r.now.Add(quiet + time.Second)
			r.failures("g")
			r.want("g")
			r.stop(false)
			r.start()
			r.want("")
		})
	}
}

func TestRotatedAwayWhileStopped(t *testing.T) {
	r := newRig(t)
	r.failures("old")
	r.start()
	r.failures("a")
	r.want("a")
	r.stop(false)
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(time.Hour)
	r.failures("b")
	r.start()
	r.want("b")
	if !strings.Contains(r.log.String(), "rotated away") {
		t.Errorf("nothing is said of the lines that are gone: %s", r.log.String())
	}
}

func TestWaitsForTheFile(t *testing.T) {
	r := newRig(t)
	r.start()
	r.want("")
	if n := strings.Count(r.log.String(), "waiting for it"); n != 1 {
		t.Errorf("said %d times that the log is missing", n)
	}
	r.failures("a") // a file that comes later is read from its beginning
	r.want("a")
	r.stop(false)
	r.start()
	r.want("")
}

func TestThroughASymbolicLink(t *testing.T) {
	r := newRig(t)
	real := r.path
	r.failures("old")
	r.path = filepath.Join(t.TempDir(), "link.log")
	if err := os.Symlink(real, r.path); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.failures("a")
	r.want("a")
	r.stop(false)
	r.failures("b")
	if err := os.Rename(real, real+".1"); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(time.Second)
	r.failures("c")
	r.start()
	r.want("b c")
}

func TestOpenErrors(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	_, err := Open(t.Context(), r.options(dir))
	if err == nil || !strings.Contains(err.Error(), "no regular file: name one in maillog.files") {
		t.Errorf("a directory: %v", err)
	}
	// Root may read everything; a loop of links nobody can follow.
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), r.options(loop))
	if err == nil || !strings.Contains(err.Error(), "let Portreeve's user read it") {
		t.Errorf("an unreadable file: %v", err)
	}
}

func TestErrorsAreSaidOnce(t *testing.T) {
	r := newRig(t)
	r.failures("a")
	r.start()
	for range 3 {
		r.file.report(os.ErrPermission)
	}
	r.file.report(nil)
	if log := r.log.String(); strings.Count(log, "not followed") != 1 || !strings.Contains(log, "followed again") {
		t.Errorf("the log has %s", log)
	}
}
