package gate

import "portreeve/rules"

// A client that is refused stops. One that is only observed goes on, and so is
// asked about again: at AUTH, MAIL, RCPT and the header, by the milter and by the
// policy service, who have no name in common for one message. An observed
// refusal is therefore counted as often as any one of these moments has seen it.

// moment is a place where a message is asked about.
type moment struct {
	protocol rules.Protocol
	stage    rules.Stage
}

// sightings are what the moments have seen of one observed refusal.
type sightings struct {
	times map[moment]int
	last  map[moment]string // the message that was seen last, where it has a name
	most  int
}

// sighted tells whether the request is of a message that no moment has counted
// yet. The caller holds g.mu.
func (g *Gate) sighted(id string, r *rules.Request) bool {
	s, ok := g.sightings.Get(id)
	if !ok {
		s = &sightings{times: map[moment]int{}, last: map[moment]string{}}
		g.sightings.Add(id, s)
	}
	m, name := moment{r.Protocol, r.Stage}, r.Instance+r.Transaction // a front gives one of them
	if name != "" && s.last[m] == name {
		return false // another recipient
	}
	s.last[m] = name
	s.times[m]++
	if s.times[m] <= s.most {
		return false
	}
	s.most = s.times[m]
	return true
}
