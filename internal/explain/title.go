package explain

import "portreeve/journal"

// Title is the cause of an entry in a few words, for a list of many.
func Title(e journal.Entry) string { return titleOf(e.Reason) }
