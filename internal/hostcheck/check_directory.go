package hostcheck

import (
	"context"
	"fmt"
	"os"
	"strings"

	"portreeve/directory"
)

// checkDirectory asks the sources behind the directory as the daemon would.
func checkDirectory(h *Host, r *Report) {
	for _, file := range h.Config.Directory.SecretFiles() {
		if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o004 != 0 {
			r.problem(file, "everybody on this host can read the password in it", "chmod o= "+file)
		}
	}
	if set, ok := h.Directory.(*directory.Set); ok {
		if err := set.Check(context.Background()); err != nil {
			for line := range strings.Lines(err.Error()) {
				r.problem(h.Config.Path, "the directory cannot be asked: "+strings.TrimSpace(line),
					"mend what it says; until then mail with a login is answered as directory.on_failure says")
			}
		}
	}
	if h.Status == nil || h.Status.Config != h.Config.Path {
		return
	}
	for _, s := range h.Status.Directory {
		if !s.Up {
			r.problem(h.Config.Path, fmt.Sprintf("the daemon gets no answer from its directory (%s: %s)", s.Name, s.Error),
				"see that the daemon's user may read the files named in [directory], and reach the server")
		}
	}
}
