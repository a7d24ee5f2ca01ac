package pages

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	blocks, err := Parse("p.md", "# T\n\n```toml /etc/x.toml\na = 1\n```\n<!-- test: sends a b -->\n- in a list:\n  ```sh\n  one\n  ```\n```console\n$ two # 2\nout\n\nmore\n$ three\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) != 4 {
		t.Fatalf("%d blocks: %v", len(blocks), blocks)
	}
	if b := blocks[0]; b.Lang != "toml" || b.File != "/etc/x.toml" || b.Text != "a = 1\n" || b.String() != "p.md:3" {
		t.Errorf("the first is %+v", b)
	}
	if b := blocks[1]; b.Lang != Step || b.Text != "sends a b" {
		t.Errorf("the second is %+v", b)
	}
	commands := blocks[3].Commands()
	if len(commands) != 2 || commands[0] != (Command{Line: 12, Text: "two # 2", Output: "out\n\nmore\n"}) || commands[1].Text != "three" {
		t.Errorf("the commands are %+v", commands)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"```\nls\n```\n":        `p.md:1: the block is ""`,
		"x\n```bash\nls\n```\n": `p.md:2: the block is "bash"`,
		"```sh\nls\n":           "p.md:1: the block is not closed",
	} {
		if _, err := Parse("p.md", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestShows(t *testing.T) {
	const output = "0l0tkyxd13Vm67WNY4Cw6K  refused 2026-11-22 12:00:00 CET\n  cause     eleven failures\n  client    192.0.2.7, port 587\n"
	for page, want := range map[string]bool{
		output: true,
		"0kHG086hcEUJCINrgXbGZl refused 2027-01-02 03:04:05 UTC\n  cause eleven\n failures\n  client 192.0.2.7, port 587\n": true,
		"0kHG086hcEUJCINrgXbGZl refused …\n…\n  client 192.0.2.7, port 587\n":                                               true,
		"0kHG086hcEUJCINrgXbGZl refused 2027-01-02 03:04:05 UTC\n":                                                          false,
		"…\n  client …, port 587\n":       true,
		"…\n  cause eleven failures\n…\n": true,
		"…\n  client …, port 465\n":       false,
		"… ten failures …":                false,
		"":                                false,
	} {
		if got := Shows(page, output); got != want {
			t.Errorf("%q: %v", page, got)
		}
	}
	if !Shows("up 3m12s\n", "up 1.5s\n") || Shows("up 3 times\n", "up 4 times\n") {
		t.Error("a duration may differ, a number may not")
	}
}
