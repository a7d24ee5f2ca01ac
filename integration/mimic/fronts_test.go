package mimic

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/integration/dialogue"
)

// fakes are scripted ends of the three protocols, which record what they hear.
// The function fields may be nil: everything passes.
type fakes struct {
	policy   func(attributes map[string]string) string
	milter   func(code byte, data string) string // a whole answer frame; "c" goes on
	auth     func(command, login string) string  // the JSON
	symlist  string                              // what follows the version in the milter's negotiation
	noMilter bool
	version  uint32 // of the milter; 0 is 2

	running sync.WaitGroup // connections
	mu      sync.Mutex
	conns   int
	heard   []heard
}

// heard is what came over one connection; the first opened comes first,
// whenever its last words arrived.
type heard struct {
	conn int
	text string
}

func (f *fakes) hear(conn int, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = append(f.heard, heard{conn, fmt.Sprintf(format, args...)})
}

func (f *fakes) opened() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns++
	return f.conns
}

// start listens and returns where.
func (f *fakes) start(t *testing.T) Fronts {
	dir, err := os.MkdirTemp("", "fronts")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listen := func(name string, serve func(net.Conn, int)) string {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				n := f.opened()
				f.running.Go(func() { serve(c, n) })
			}
		}()
		return "unix:" + filepath.Join(dir, name)
	}
	http := &http.Server{Handler: http.HandlerFunc(f.serveAuth)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(l)
	t.Cleanup(func() { http.Close() })
	return Fronts{
		Policy: listen("policy", f.servePolicy), Milter: listen("milter", f.serveMilter),
		Auth: "inet:" + l.Addr().String(), Token: "secret",
	}
}

func (f *fakes) serveAuth(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("X-Api-Key") != "secret" {
		http.Error(w, "bad", http.StatusBadRequest)
		return
	}
	command := r.URL.Query().Get("command")
	text := fmt.Sprintf("auth %s %s %s %s tls=%v", command, body["protocol"], body["login"], body["remote"], body["tls"])
	if command == "report" {
		text += fmt.Sprintf(" success=%v reject=%v", body["success"], body["policy_reject"])
	}
	f.hear(0, "%s", text)
	answer := `{"status":0,"msg":""}`
	if f.auth != nil {
		answer = f.auth(command, body["login"].(string))
	}
	io.WriteString(w, answer)
}

func (f *fakes) servePolicy(c net.Conn, n int) {
	defer c.Close()
	r := bufio.NewReader(c)
	attributes := map[string]string{}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			attributes[name] = value
			continue
		}
		f.hear(n, "policy %s %s %s:%s login=%s %s>%s id=%t", attributes["policy_context"], attributes["protocol_state"],
			attributes["client_address"], attributes["server_port"], attributes["sasl_username"],
			attributes["sender"], attributes["recipient"], attributes["queue_id"] != "")
		action := "DUNNO"
		if f.policy != nil {
			action = f.policy(attributes)
		}
		if action == "hang up" {
			return
		}
		fmt.Fprintf(c, "action=%s\n\n", action)
		attributes = map[string]string{}
	}
}

func (f *fakes) serveMilter(c net.Conn, n int) {
	defer c.Close()
	frame := func(code byte, data string) {
		c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data)+1)), append([]byte{code}, data...)...))
	}
	for {
		var head [5]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		data := make([]byte, binary.BigEndian.Uint32(head[:])-1)
		if _, err := io.ReadFull(c, data); err != nil {
			return
		}
		code, text := head[4], string(data)
		if code != cmdNegotiate {
			f.hear(n, "milter %c %s", code, strings.ReplaceAll(text, "\x00", "|"))
		}
		switch code {
		case cmdNegotiate:
			version := f.version
			if version == 0 {
				version = 2
			}
			answer := f.symlist
			if answer == "" {
				answer = "\x00\x00\x00\x00\x00\x00\x00\x00"
			}
			frame(cmdNegotiate, string(binary.BigEndian.AppendUint32(nil, version))+answer)
		case cmdMacro, cmdAbort:
		case cmdQuit:
			return
		default:
			answer := "c"
			if f.milter != nil {
				answer = f.milter(code, text)
			}
			if answer == "hang up" {
				return
			}
			frame(answer[0], answer[1:])
		}
	}
}

// Start implements dialogue.Host: the stand-in with the fakes behind it.
func (f *fakes) Start(t testing.TB, _ dialogue.Settings) dialogue.World {
	fronts := f.start(t.(*testing.T))
	if f.noMilter {
		fronts.Milter = ""
	}
	s, err := New(fronts, []byte(testUsers), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return fakeWorld{s}
}

const testUsers = "# comment\njoe@domena.cz:{PLAIN}secret::::::\n"

// fakeWorld is a mail host without a daemon.
type fakeWorld struct{ *Server }

func (fakeWorld) Verb(context.Context, ...string) (dialogue.Output, error) {
	return dialogue.Output{}, os.ErrInvalid
}
func (fakeWorld) Wait(context.Context, time.Duration) error { return os.ErrInvalid }
func (fakeWorld) Accounts(context.Context, string) error    { return os.ErrInvalid }
func (fakeWorld) Restart(context.Context, bool) error       { return os.ErrInvalid }
func (fakeWorld) Log() string                               { return "" }

// play plays a story and returns what the fronts heard that begins
// with the prefix.
func (f *fakes) play(t *testing.T, prefix, text string) []string {
	t.Helper()
	story, err := dialogue.Parse(t.Name(), []byte("# A test of the stand-in\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("story", func(t *testing.T) { dialogue.Play(t, f, story) })
	f.running.Wait() // the host has closed its connections with the story
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortStableFunc(f.heard, func(a, b heard) int { return a.conn - b.conn })
	var texts []string
	for _, h := range f.heard {
		if strings.HasPrefix(h.text, prefix) {
			texts = append(texts, h.text)
		}
	}
	return texts
}
