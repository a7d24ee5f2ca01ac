package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	const bsd = "Redistribution and use in source and binary forms, with or without\nmodification"
	for body, want := range map[string][]string{
		"Permission is hereby granted, free of charge,\nto any person obtaining a copy": {"MIT"},
		bsd: {"BSD-2-Clause"},
		bsd + "\n * Neither the name of Google Inc. nor the names of":                          {"BSD-3-Clause"},
		"   Apache License\n   Version 2.0, January 2004":                                      {"Apache-2.0"},
		"Mozilla Public License Version 2.0\n GNU General Public\n GNU GENERAL PUBLIC LICENSE": {"MPL-2.0"},
		"GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3":                                         {"GPL"},
		"Permission to use, copy, modify, and/or distribute this software for any":             {"ISC"},
		"May you do good and not evil.":                                                        {"blessing"},
		"All rights reserved.":                                                                 nil,
		"Permission is hereby granted, free of charge, to any person obtaining\n---\n" + bsd:   {"MIT", "BSD-2-Clause"},
	} {
		if got := classify(body); !slices.Equal(got, want) {
			t.Errorf("%q is under %q, want %q", body, got, want)
		}
	}
}

// A module that may not be distributed must stop a build.
func TestModulesThatMayNotBeLinked(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"":                           "has no licence",
		"All rights reserved.":       "nobody knows the licence",
		"GNU GENERAL PUBLIC LICENSE": "is under GPL, which is not known to go with",
	} {
		dir := t.TempDir()
		if content != "" {
			if err := os.WriteFile(filepath.Join(dir, "LICENSE.txt"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if m, err := read("example.com/m", "v1", dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v", content, m, err)
		}
	}
}

// What is in the tree is what the modules ask for; each of them is named with its licence.
func TestNotices(t *testing.T) {
	t.Chdir("../..")
	if err := run(t.Context(), []string{"notices", "-check", "THIRD_PARTY_NOTICES.md"}, nil); err != nil {
		t.Error(err)
	}
	old := filepath.Join(t.TempDir(), "old.md")
	data, err := os.ReadFile("THIRD_PARTY_NOTICES.md")
	if err == nil {
		err = os.WriteFile(old, bytes.Replace(data, []byte("modernc.org/sqlite | v1"), []byte("modernc.org/sqlite | v0"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"notices", "-check", old}, nil); err == nil || !strings.Contains(err.Error(), "run `make notices`") {
		t.Errorf("a file of before: %v", err)
	}
}

// The fields that CycloneDX 1.6 asks for, and that scanners read.
func TestSBOM(t *testing.T) {
	t.Chdir("../..")
	modules, err := linked(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8", Main: debug.Module{Path: "portreeve"},
		Settings: []debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "arm64"}},
	}
	for _, m := range modules[1:] {
		info.Deps = append(info.Deps, &debug.Module{Path: m.Path, Version: m.Version, Sum: "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="})
	}
	b, err := makeBOM(info, "1.2.3", modules)
	if err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || b.SpecVersion != "1.6" || b.Version != 1 || !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(b.SerialNumber) {
		t.Errorf("%s %s %d %s", b.Format, b.SpecVersion, b.Version, b.SerialNumber)
	}
	if c := b.Metadata.Component; c.PURL != "pkg:golang/portreeve@1.2.3?type=module&goos=linux&goarch=arm64" || c.Version != "1.2.3" || c.Type != "application" {
		t.Errorf("the program is %+v", c)
	}
	refs := map[string]bool{b.Metadata.Component.Ref: true}
	for _, c := range b.Components {
		if refs[c.Ref] || c.Version == "" || len(c.Licenses) == 0 || !strings.HasPrefix(c.PURL, "pkg:golang/") {
			t.Errorf("component %+v", c)
		}
		if c.Name != "std" && (len(c.Hashes) != 1 || c.Hashes[0].Content != "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f") {
			t.Errorf("%s has the hashes %v", c.Name, c.Hashes)
		}
		for _, l := range c.Licenses {
			if _, ok := compatible[l.License.ID]; !ok {
				t.Errorf("%s: %q", c.Name, l.License.ID)
			}
		}
		refs[c.Ref] = true
	}
	if len(b.Components) != len(modules) || len(b.Dependencies) != len(refs) || len(b.Dependencies[0].DependsOn) != len(modules) {
		t.Errorf("%d components, %d dependencies", len(b.Components), len(b.Dependencies))
	}
	again, err := makeBOM(info, "1.2.3", modules)
	if err != nil {
		t.Fatal(err)
	}
	one, _ := json.Marshal(b)
	two, _ := json.Marshal(again)
	if !bytes.Equal(one, two) {
		t.Error("the same program has two bills")
	}
	info.Deps = append(info.Deps, &debug.Module{Path: "example.com/other", Version: "v1.0.0"})
	if _, err := makeBOM(info, "1.2.3", modules); err == nil {
		t.Error("a module without a licence has one")
	}
}
