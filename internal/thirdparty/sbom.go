package main

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
)

// bom is a CycloneDX 1.6 bill of materials, as far as it is used.
type bom struct {
	Schema       string       `json:"$schema"`
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	SerialNumber string       `json:"serialNumber,omitempty"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type     string    `json:"type"`
	Ref      string    `json:"bom-ref"`
	Name     string    `json:"name"`
	Version  string    `json:"version,omitempty"`
	Scope    string    `json:"scope,omitempty"`
	Hashes   []hash    `json:"hashes,omitempty"`
	Licenses []license `json:"licenses,omitempty"`
	PURL     string    `json:"purl"`
}

type hash struct {
	Alg     string `json:"alg"`
	Content string `json:"content"`
}

type license struct {
	License struct {
		ID string `json:"id"`
	} `json:"license"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn,omitempty"`
}

// writeSBOM reads what the linker wrote into a program. The same program gives the same
// bytes: there is no time in it, and its number comes of its content.
func writeSBOM(ctx context.Context, path, version string, out io.Writer) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading what %s was built from: %w: run `make build`", path, err)
	}
	modules, err := linked(ctx)
	if err != nil {
		return err
	}
	b, err := makeBOM(info, version, modules)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(b)
}

// makeBOM is an error where the program has a module whose licence is not known.
func makeBOM(info *debug.BuildInfo, version string, modules []module) (*bom, error) {
	known := map[string]module{}
	for _, m := range modules {
		known[m.Path+"@"+m.Version] = m
	}
	platform := ""
	for _, s := range info.Settings {
		if s.Key == "GOOS" || s.Key == "GOARCH" {
			platform += "&" + strings.ToLower(s.Key) + "=" + s.Value
		}
	}
	b := &bom{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata: metadata{component{
			Type: "application", Name: info.Main.Path, Version: version, Licenses: ids("MIT"),
			PURL: "pkg:golang/" + info.Main.Path + "@" + version + "?type=module" + platform,
		}},
	}
	b.Metadata.Component.Ref = b.Metadata.Component.PURL
	root := dependency{Ref: b.Metadata.Component.Ref}
	add := func(c component, m module) {
		c.Type, c.Ref, c.Scope, c.Licenses = "library", c.PURL, "required", ids(m.licences()...)
		b.Components = append(b.Components, c)
		root.DependsOn = append(root.DependsOn, c.Ref)
		b.Dependencies = append(b.Dependencies, dependency{Ref: c.Ref})
	}
	add(component{Name: "std", Version: info.GoVersion, PURL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")}, modules[0])
	for _, d := range info.Deps {
		m, ok := known[d.Path+"@"+d.Version]
		if !ok {
			return nil, fmt.Errorf("the program has %s %s, which the sources beside it have not: build it again from them", d.Path, d.Version)
		}
		c := component{Name: d.Path, Version: d.Version, PURL: "pkg:golang/" + d.Path + "@" + d.Version + "?type=module"}
		if sum, ok := strings.CutPrefix(d.Sum, "h1:"); ok { // golang.org/x/mod/sumdb/dirhash: SHA-256 in base 64
			raw, err := base64.StdEncoding.DecodeString(sum)
			if err != nil {
				return nil, fmt.Errorf("the sum of %s: %w", d.Path, err)
			}
			c.Hashes = []hash{{"SHA-256", hex.EncodeToString(raw)}}
		}
		add(c, m)
	}
	b.Dependencies = append([]dependency{root}, b.Dependencies...)
	content, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	b.SerialNumber = uuid(sha256.Sum256(content))
	return b, nil
}

func ids(names ...string) []license {
	list := make([]license, len(names))
	for i, name := range names {
		list[i].License.ID = name
	}
	return list
}

// uuid is of version 8 (RFC 9562): bits of one's own.
func uuid(sum [32]byte) string {
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	h := hex.EncodeToString(sum[:16])
	return "urn:uuid:" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
