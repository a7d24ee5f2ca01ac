package mailheader

import (
	"net/mail"
	"slices"
	"strings"
	"testing"
)

var addressLists = map[string][]string{
	`jan.novak@domena.cz`:                            {"jan.novak@domena.cz"},
	`<jan.novak@domena.cz>`:                          {"jan.novak@domena.cz"},
	` Jan Novak <jan@domena.cz>, eva@domena.cz`:      {"jan@domena.cz", "eva@domena.cz"},
	"Jan\n Novak\r\n\t<jan@domena.cz>":               {"jan@domena.cz"},
	"\n jan@domena.cz":                               {"jan@domena.cz"},
	`"<evil@evil.test>" <jan@domena.cz>`:             {"jan@domena.cz"},
	`J. Q. Novak <jan@domena.cz>`:                    {"jan@domena.cz"},
	`jan@domena.cz (evil@evil.test)`:                 {"jan@domena.cz"},
	`=?utf-8?q?evil=40evil.test?= <jan@domena.cz>`:   {"jan@domena.cz"},
	`=?x-klingon?q?evil=40e.test?= <jan@domena.cz>`:  {"jan@domena.cz"},
	`shop: jan@domena.cz, Eva <eva@domena.cz>;`:      {"jan@domena.cz", "eva@domena.cz"},
	"Jan Nov\xe1k <jan@domena.cz>":                   {"jan@domena.cz"}, // ISO 8859-2, as it was typed
	"jan@domena.\xe1cz":                              {"jan@domena.\uFFFDcz"},
	`undisclosed-recipients:;`:                       {},
	`"a b"@domena.cz`:                                {`"a b"@domena.cz`},
	`"a@evil.test"@domena.cz`:                        {`"a@evil.test"@domena.cz`},
	`"jan"@domena.cz`:                                {"jan@domena.cz"},
	`jan@[192.0.2.1]`:                                {"jan@[192.0.2.1]"},
	`jan@háčky.cz`:                                   {"jan@háčky.cz"},
	`=?utf-8?q?jan?=@domena.cz`:                      {"=?utf-8?q?jan?=@domena.cz"},
	`user%evil.test@domena.cz`:                       {"user%evil.test@domena.cz"},
	`Jan <jan@domena.cz>, Mallory <m@evil.test>`:     {"jan@domena.cz", "m@evil.test"},
	`Jan <jan@domena.cz>,`:                           {"jan@domena.cz"}, // obsolete, but hides nothing
	`g: jan@domena.cz;, Mallory <mallory@evil.test>`: {"jan@domena.cz", "mallory@evil.test"},
}

var noAddressLists = []string{
	"", " ", "<>", "jan", "jan@", "@domena.cz", "jan@domena.cz.",
	"jan@domena.cz <m@evil.test>", "<jan@domena.cz> <m@evil.test>", "jan@domena.cz m@evil.test",
	"jan@domena.cz; m@evil.test", "<@evil.test:jan@domena.cz>", "a..b@domena.cz", ".a@domena.cz",
	"jan@domena.cz (never closed", `"never closed <jan@domena.cz>`, "g: jan@domena.cz",
	"jan@domena.cz\x00", "jan\x00@domena.cz", "jan@domena.cz\r", "jan@domena.cz\n", "jan@domena.cz\nX: y",
	"\x01 <jan@domena.cz>", "jan@domena.cz\x7f",
	`"a\` + "\x00" + `"@domena.cz`, "Jan <jan@domena.cz", "Jan jan@domena.cz>",
}

func TestParseAddresses(t *testing.T) {
	for in, want := range addressLists {
		got, ok := ParseAddresses(in)
		if !ok || !slices.Equal(got, want) {
			t.Errorf("ParseAddresses(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
	for _, in := range noAddressLists {
		if got, ok := ParseAddresses(in); ok {
			t.Errorf("ParseAddresses(%q) = %q, want none", in, got)
		}
	}
}

func FuzzParseAddresses(f *testing.F) {
	for in := range addressLists {
		f.Add(in)
	}
	for _, in := range noAddressLists {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := ParseAddresses(in)
		if !ok && got != nil {
			t.Errorf("%q: addresses of no list: %q", in, got)
		}
		for _, a := range got {
			// What comes out means the same alone as it did in the list.
			again, err := mail.ParseAddress(a)
			if err != nil {
				t.Fatalf("%q: %q is no address: %v", in, a, err)
			}
			if same := (&mail.Address{Address: again.Address}).String(); same != "<"+a+">" {
				t.Errorf("%q: %q is read as %q", in, a, same)
			}
			if strings.ContainsAny(a, "\x00\r\n") {
				t.Errorf("%q: control characters in %q", in, a)
			}
		}
	})
}
