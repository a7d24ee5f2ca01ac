package daemon

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"portreeve/internal/admin"
)

// pass opens the sockets as a service manager does, and returns what it would give to
// each daemon that it starts.
func (h *host) pass(paths ...string) func() []*os.File {
	h.t.Helper()
	var kept []*net.UnixListener
	for _, path := range paths {
		ln := must[net.Listener](h.t)(net.Listen("unix", h.path(path))).(*net.UnixListener)
		h.t.Cleanup(func() { _ = ln.Close() })
		kept = append(kept, ln)
	}
	return func() (files []*os.File) {
		for _, ln := range kept {
			files = append(files, must[*os.File](h.t)(ln.File()))
		}
		return files
	}
}

func (h *host) runWith(files []*os.File) {
	h.t.Helper()
	o := h.options()
	o.Sockets = files
	h.launch(func(ctx context.Context, ready func()) error { return Run(ctx, o, ready) })
}

// Sockets that the service manager opened are taken as they are, stay when the daemon
// ends, and their queues are the next one's to serve.
func TestPassedSockets(t *testing.T) {
	h := prepare(t, plain)
	files := h.pass("policy.sock", "milter.sock", "elsewhere.sock")
	if err := os.Chmod(h.path("policy.sock"), 0o660); err != nil {
		t.Fatal(err)
	}
	h.runWith(files())
	s := h.status()
	if !slices.Equal(s.Passed, []string{"policy", "milter"}) || s.Listeners["policy"] != "unix:"+h.path("policy.sock") {
		t.Errorf("status: passed %q, listeners %v", s.Passed, s.Listeners)
	}
	if !slices.ContainsFunc(s.Warnings, func(w string) bool {
		return strings.HasPrefix(w, "the service manager listens at unix:"+h.path("elsewhere.sock"))
	}) {
		t.Errorf("nobody is told of the socket that is not served: %q", s.Warnings)
	}
	if mode := must[os.FileInfo](t)(os.Stat(h.path("policy.sock"))).Mode().Perm(); mode != 0o660 {
		t.Errorf("the mode of the service manager's socket became %v", mode)
	}
	foreign := envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@seznam.cz"}
	if got := h.ask(foreign); got != "550 5.1.0 <jan@seznam.cz> sender rejected" {
		t.Fatal(got)
	}
	h.stop()
	h.absent("admin.sock")

	waiting, request := h.open("policy.sock"), foreign.String() // between the two
	if _, err := io.WriteString(waiting, request[:100]); err != nil {
		t.Fatal(err)
	}
	h.runWith(files())
	if got := exchange(t, waiting, bufio.NewReader(waiting), request[100:]); got != "550 5.1.0 <jan@seznam.cz> sender rejected" {
		t.Errorf("who waited is answered %q", got)
	}
	if x := h.explain(admin.ExplainRequest{Senders: []string{"jan@seznam.cz"}}).Found; len(x) != 2 {
		t.Errorf("the journal has %d entries, want one of each daemon", len(x))
	}
}

// What cannot be listened on is told, and nothing is opened.
func TestPassedFileThatIsNoSocket(t *testing.T) {
	h := prepare(t, plain)
	o := h.options()
	o.Sockets = []*os.File{must[*os.File](t)(os.Open(h.path("token")))}
	err := Run(t.Context(), o, func() { t.Error("it is ready") })
	if err == nil || !strings.Contains(err.Error(), "no listening stream socket") {
		t.Errorf("got %v", err)
	}
	h.absent("policy.sock", "admin.sock")
}
