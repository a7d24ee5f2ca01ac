package main

import (
	"bytes"
	"fmt"
	"strings"
)

// notices is THIRD_PARTY_NOTICES.md. Texts that several modules share stand once.
func notices(modules []module) []byte {
	var b bytes.Buffer
	b.WriteString("# Third-party notices\n\n" +
		"The program `portreeve` is distributed under the MIT licence (see LICENSE) and contains the modules below, unchanged. " +
		"This file is made by `make notices` from the modules that are linked into it.\n\n" +
		"| module | version | licence |\n| --- | --- | --- |\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.Path, m.Version, strings.Join(m.licences(), ", "))
	}
	b.WriteString("\nThe source of each is where its path says, at that version.\n")

	var order []string
	users := map[string][]string{}
	for _, m := range modules {
		for _, t := range m.Texts {
			if users[t.Body] == nil {
				order = append(order, t.Body)
			}
			users[t.Body] = append(users[t.Body], m.Path+" ("+t.Name+")")
		}
	}
	for _, body := range order {
		fmt.Fprintf(&b, "\n## %s\n\n", strings.Join(users[body], ", "))
		for line := range strings.Lines(body) {
			line = strings.TrimRight(line, " \t\n")
			if line != "" {
				line = "    " + line // as it is, whatever it means in Markdown
			}
			b.WriteString(line + "\n")
		}
	}
	return b.Bytes()
}
