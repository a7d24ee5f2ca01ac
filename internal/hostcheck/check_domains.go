package hostcheck

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"portreeve/internal/config"
	"portreeve/internal/tomlfile"
	"portreeve/rules"
)

// maxNamed is how many domains one finding names.
const maxNamed = 10

// tableTypes can be listed with postmap -s.
var tableTypes = []string{"hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash", "inline"}

// postfixDomains lists the domains of a parameter, and notes what cannot be listed.
func (h *Host) postfixDomains(r *Report, name string) []string {
	var list []string
	for _, w := range h.words(h.Postfix.Main[name]) {
		kind, table, isTable := strings.Cut(w, ":")
		switch {
		case strings.HasPrefix(w, "!") || strings.HasPrefix(w, "."):
		case filepath.IsAbs(w):
			data, err := os.ReadFile(w)
			if err != nil {
				r.skipped(fmt.Sprintf("%s in %s (%v): run this as root", w, name, err))
				continue
			}
			list = append(list, firstWords(string(data))...)
		case !isTable:
			list = append(list, w)
		case slices.Contains(tableTypes, strings.TrimPrefix(kind, "proxy:")):
			ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
			out, err := h.Run(ctx, "postmap", "-s", w)
			stop()
			if err != nil {
				r.skipped(fmt.Sprintf("%s in %s (%v): run this as root", w, name, err))
				continue
			}
			list = append(list, firstWords(string(out))...)
		default:
			r.skipped(fmt.Sprintf("the domains of %s:%s in %s, which cannot be listed: compare them with the directory by hand", kind, table, name))
		}
	}
	return slices.DeleteFunc(list, func(d string) bool {
		return strings.Contains(d, "@") || d == "localhost" || strings.HasPrefix(d, "localhost.")
	})
}

func firstWords(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 0 && !strings.HasPrefix(f[0], "#") {
			list = append(list, f[0])
		}
	}
	return list
}

// checkDomains: whose domain is not in the directory cannot log in (rule 4).
func checkDomains(h *Host, r *Report) {
	if !h.Connected() || h.Directory == nil {
		return
	}
	seen := map[string]bool{}
	for _, name := range []string{"virtual_mailbox_domains", "mydestination", "virtual_alias_domains", "relay_domains"} {
		var unknown []string
		for _, written := range h.postfixDomains(r, name) {
			d, err := rules.CanonicalDomain(written)
			if err != nil || seen[d] {
				continue
			}
			seen[d] = true
			known, err := h.Directory.Local(context.Background(), d)
			if err != nil {
				r.skipped(fmt.Sprintf("which domains the directory has (%v): try again when it answers", err))
				return
			}
			if !known && !slices.Contains(h.Config.Relay.LocalDomains, d) {
				unknown = append(unknown, d)
			}
		}
		if len(unknown) > 0 {
			h.unknownDomains(r, name, unknown)
		}
	}
}

func (h *Host) unknownDomains(r *Report, name string, list []string) {
	slices.Sort(list)
	shown := strings.Join(list[:min(len(list), maxNamed)], ", ")
	if more := len(list) - maxNamed; more > 0 {
		shown += fmt.Sprintf(" and %d more", more)
	}
	switch {
	case !h.milterRecipe():
		r.problem(h.Config.Path, fmt.Sprintf("%s has %s, which neither the directory nor relay.local_domains has: mail from other servers to it is refused", name, shown),
			"add it to relay.local_domains, or its accounts to the directory")
	case name == "virtual_mailbox_domains":
		r.problem(h.Config.Path, fmt.Sprintf("%s has %s, which is not in the directory: its accounts cannot send", name, shown),
			"add the domain and its accounts to the directory, or the domain to relay.local_domains if nobody logs in with it")
	default:
		r.advice(h.Config.Path, fmt.Sprintf("%s has %s, which neither the directory nor relay.local_domains has", name, shown),
			"add it to relay.local_domains, or its accounts to the directory")
	}
}

// checkAliases: third-level domains may not send even where the second-level
// domain is hosted (SPEC.md section 1); as an alias, one may.
func checkAliases(h *Host, r *Report) {
	if h.Config.Directory.Source != config.SourceFile || h.Directory == nil {
		return
	}
	doc, _ := tomlfile.Read(h.Config.Directory.File)
	if doc == nil {
		return // reported already
	}
	var form struct {
		Domains map[string]struct {
			Aliases []string `toml:"aliases"`
		} `toml:"domains"`
	}
	doc.Decode(&form) // its problems are reported already
	for owner, domain := range form.Domains {
		for i, written := range domain.Aliases {
			alias, err := rules.CanonicalDomain(written)
			if err != nil {
				continue
			}
			if parent := h.hostedParent(alias); parent != "" {
				p := doc.Problem(fmt.Sprintf("the alias %s of %s lies below the hosted domain %s, and third-level domains may not send", written, owner, parent),
					"leave it only if these accounts are meant to send as it", "domains", owner, "aliases", tomlfile.Index(i))
				r.Findings = append(r.Findings, Finding{r.check, Advice, p})
			}
		}
	}
}

// hostedParent is the nearest domain above that the directory has, or empty.
func (h *Host) hostedParent(domain string) string {
	for {
		_, parent, ok := strings.Cut(domain, ".")
		if !ok {
			return ""
		}
		if known, err := h.Directory.Local(context.Background(), parent); err == nil && known {
			return parent
		}
		domain = parent
	}
}
