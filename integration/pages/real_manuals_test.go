//go:build real

package pages

import "strings"

// manuals: each page is read without a complaint by both programs that show
// manual pages, and each shell completes a rule's name.
func (h *host) manuals([]string) {
	h.Helper()
	if out := h.run(`cd /src/build/man
		for page in *; do
			mandoc -T lint "$page"
			man --warnings -l "$page" 2>&1 >/dev/null
		done`); out != "" {
		h.Errorf("the manual pages are complained of:\n%s", out)
	}
	if out := h.run("man -w portreeve-explain portreeve.toml"); !strings.Contains(out, "portreeve-explain.8") || !strings.Contains(out, "portreeve.toml.5") {
		h.Errorf("man finds %s", out)
	}
	for shell, script := range map[string]string{
		"bash": `bash -c '
			source /usr/share/bash-completion/bash_completion
			source /usr/local/share/bash-completion/completions/portreeve
			COMP_WORDS=(portreeve decisions --rule "") COMP_CWORD=3 COMP_LINE="portreeve decisions --rule " COMP_POINT=27
			__start_portreeve
			printf "%s\n" "${COMPREPLY[@]}"'`,
		"fish": `fish -c 'complete -C "portreeve decisions --rule "'`,
		"zsh": `zsh -f -c '
			autoload -Uz compinit && compinit -u -d /tmp/zcompdump
			zmodload zsh/zpty
			zpty shell zsh -f -i
			zpty -w shell "autoload -Uz compinit && compinit -u -d /tmp/zcompdump; LISTMAX=0; PS1="
			zpty -w -n shell "portreeve decisions --rule "$'"'\\t\\t'"'
			sleep 2
			zpty -r -t shell all "*throttled*" && print -r -- $all
			zpty -d shell'`,
	} {
		if out := h.run(script); !strings.Contains(out, "throttled") {
			h.Errorf("%s completes a rule to %q", shell, out)
		}
	}
}
