package valkey

import (
	"errors"
	"strings"

	"github.com/redis/rueidis"
)

// awayWords begin the errors of a server that cannot serve now, whatever it is asked.
// All others are about the one command.
var awayWords = []string{
	"LOADING", "READONLY", "OOM", "MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN",
	"MOVED", "ASK", "BUSY", "NOAUTH", "WRONGPASS", "NOPERM", "UNBLOCKED", "UNKILLABLE",
}

// away tells a store that cannot answer from an answer that says no.
func away(err error) bool {
	if err == nil || rueidis.IsRedisNil(err) {
		return false
	}
	if errors.Is(err, ErrAway) {
		return true
	}
	if answer, ok := rueidis.IsRedisErr(err); ok {
		word, _, _ := strings.Cut(answer.Error(), " ")
		for _, w := range awayWords {
			if word == w {
				return true
			}
		}
		return forbidden(answer.Error())
	}
	var refused *refusedError
	return !errors.As(err, &refused)
}

// forbidden tells that the user may not do what a script does, in Redis's and in
// Valkey's words. They are a NOPERM that has no such word.
func forbidden(text string) bool {
	return strings.Contains(text, "user executing the script can't") || strings.Contains(text, "ACL failure in script")
}

// refusedError is an answer that makes no sense: somebody else's key under our name,
// a script of another version.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// Refused tells whether the store is well, but will never take this.
func Refused(err error) bool { return err != nil && !away(err) }

// remedies are what to do about the errors that do not go away by themselves.
var remedies = []struct{ word, remedy string }{
	{"WRONGPASS", "correct store.valkey.username and the file that store.valkey.password_file names"},
	{"NOAUTH", "name a file with the password in store.valkey.password_file"},
	{"NOPERM", "give the user the permissions that docs/shared-store.md lists"},
	{"OOM", "give the server more memory (maxmemory)"},
	{"READONLY", "name the master in store.valkey.addresses, or let Sentinels find it (store.valkey.sentinel_master)"},
	{"MISCONF", "see the server's log: it cannot save to its disk"},
	{"MOVED", "name several servers of the Cluster in store.valkey.addresses"},
	{"LOADING", "wait until it has read its data"},
}

// withRemedy ends the error in what to do.
func withRemedy(text string) string {
	for _, r := range remedies {
		if strings.Contains(text, r.word+" ") || r.word == "NOPERM" && forbidden(text) {
			return text + ": " + r.remedy
		}
	}
	return text + ": see that the server of store.valkey.addresses runs and can be reached"
}
