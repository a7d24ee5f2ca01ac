package replay

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"portreeve/rules"
)

// maxServices bounds the names that are told apart. Programs choose theirs in
// master.cf, so a log has a handful.
const maxServices = 256

// service is one smtpd of master.cf, as its syslog_name tells.
type service struct {
	name     string // postfix/submission
	port     uint16
	known    bool   // somebody may log in or send there, so that the rules hold
	guess    string // why the port was taken, if nobody said it
	judged   int    // messages
	unjudged int
}

// services finds out which port a program's sessions came to: nothing in a log
// says it but the name.
type services struct {
	given  map[string]uint16 // --port
	policy *rules.Policy
	seen   map[string]*service
}

// others stands for the services beyond maxServices.
const others = "others"

// of is the service of an smtpd, by its program ("postfix/submission/smtpd"). An
// unknown one where a client has logged in is one for customers: content filters
// do not.
func (s *services) of(program string, login bool) *service {
	name := strings.TrimSuffix(program, "/smtpd")
	found, ok := s.seen[name]
	if !ok {
		if len(s.seen) >= maxServices {
			name = others
		}
		if found, ok = s.seen[name]; !ok {
			found = s.identify(name)
			s.seen[name] = found
		}
	}
	if login && !found.known {
		found.known, found.port, found.guess = true, s.submission(), "clients log in there"
	}
	return found
}

// submission is the port that stands for submission.
func (s *services) submission() uint16 {
	if len(s.policy.Submission) == 0 || slices.Contains(s.policy.Submission, 587) {
		return 587
	}
	return s.policy.Submission[0]
}

// wellKnown are names that master.cf files and manuals use.
var wellKnown = map[string]uint16{
	"smtp": 25, "mx": 25, "25": 25,
	"submission": 587, "msa": 587, "mua": 587, "587": 587,
	"submissions": 465, "smtps": 465, "ssmtp": 465, "urd": 465, "465": 465,
}

func (s *services) identify(name string) *service {
	parts := strings.Split(name, "/")
	last := parts[len(parts)-1]
	found := &service{name: name, known: true}
	for _, key := range []string{name, last} {
		if port, ok := s.given[key]; ok {
			found.port = port
			return found
		}
	}
	word := last
	if len(parts) == 1 { // "postfix-submission" is as good a name as "postfix/submission"
		word = last[strings.LastIndexAny(last, "-_")+1:]
	}
	port, known := wellKnown[word]
	number, err := strconv.ParseUint(word, 10, 16)
	switch {
	case known:
		found.port = port
	case err == nil: // a port of a content filter's is in neither list
		found.port = uint16(number)
		found.known = slices.Contains(s.policy.Submission, found.port) || slices.Contains(s.policy.Mixed, found.port)
		found.guess = "its name is a port"
	case strings.Contains(last, "submissions"), strings.Contains(last, "smtps"):
		found.port, found.guess = 465, "its name"
	case strings.Contains(last, "submission"):
		found.port, found.guess = 587, "its name"
	case len(parts) == 1: // syslog_name alone: of main.cf, for the service without one of its own
		found.port = 25
	default:
		found.known = false
	}
	return found
}

// list is every service that was seen, by name.
func (s *services) list() []*service {
	var list []*service
	for _, name := range slices.Sorted(maps.Keys(s.seen)) {
		list = append(list, s.seen[name])
	}
	return list
}
