package mailheader

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRead(t *testing.T) {
	for name, tt := range map[string]struct{ in, trail string }{
		"plain":            {"Received: " + hopBody + "\nSubject: x\n\nReceived: " + hopBody + "\n", "h"},
		"CRLF":             {"Received: " + hopBody + "\r\nResent-From: a@b.cz\r\n\r\nbody", "hr"},
		"folded":           {"Received: from a\n\tby b\n with HTTP; now\nReceived:\n " + hopBody + "\n\n", "oh"},
		"mailbox file":     {"From jan@domena.cz Tue Nov 18 10:00:00 2025\nReceived: " + hopBody + "\n\n", "h"},
		"white space":      {"Received : " + hopBody + "\nreceived\t:" + otherBody + "\n\n", "ho"},
		"no body":          {"Subject: x\nReceived: " + hopBody, "h"},
		"ends in a fold":   {"Received: from a by b\n with HTTP", "o"},
		"empty":            {"", ""},
		"no header":        {"\nReceived: " + hopBody + "\n", ""},
		"not a field":      {"Subject: x\nhello\nReceived: " + hopBody + "\n", ""},
		"byte order mark":  {"\ufeffReceived: " + hopBody + "\nReceived: " + hopBody + "\n", ""},
		"begins in a fold": {" Received: " + hopBody + "\n", ""},
		"empty name":       {": " + hopBody + "\nReceived: " + hopBody + "\n", ""},
	} {
		m, err := Read(strings.NewReader(tt.in), DefaultLimit)
		if err != nil || trail(m) != tt.trail {
			t.Errorf("%s: %v, %v; want %s", name, m, err, tt.trail)
		}
	}
}

func TestReadErrors(t *testing.T) {
	if _, err := Read(strings.NewReader("X: "+strings.Repeat("x", 100)), 50); err == nil ||
		!strings.Contains(err.Error(), "longer than 50 bytes") {
		t.Errorf("too long: %v", err)
	}
	broken := errors.New("broken disk")
	if _, err := Read(iotest.ErrReader(broken), DefaultLimit); !errors.Is(err, broken) {
		t.Errorf("broken: %v", err)
	}
	if m, err := Read(strings.NewReader("A: b\n\n"+strings.Repeat("x", 100)), 50); err != nil || trail(m) != "" {
		t.Errorf("a long body: %v", err)
	}
}
