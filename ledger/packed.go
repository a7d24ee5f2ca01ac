package ledger

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"

	"portreeve/rules"
)

// A counter is kept packed: a client with eleven failures is 200 to 350 bytes, by how
// much its logins have in common, and nothing that the garbage collector walks.
//
//	flags, [since, asked], block's id, then each failure, oldest first:
//	flags, time, [id], [address], [names], password
//
// Times are Unix nanoseconds, those of failures from the second on as the distance
// from the one before. Texts have their length before them. The names (as shown,
// canonical, the service) are written once; the number of failures' different names
// before them stands for what was written already. Who guesses tries one domain's
// logins, or one name at many domains: a shown name is written as how many bytes of
// its beginning and of its end are those of the names before it, and what is between.
const (
	hasBlock byte = 1 << iota // then since and the id
	isStale
	hasAsked
	isUnkept
)

const (
	isCounted byte = 1 << iota
	isVague
	sameClient // as of the one before
	sameNames  // as of the one before
	oldNames   // then their number
	shownIsLogin
	longID // 8 bytes; otherwise eventBytes
	noID
)

// names are what failures share.
type names struct{ shown, login, protocol string }

func namesIn(f rules.Failure) names { return names{f.Shown, f.Login, f.Protocol} }

// pack appends the counter's bytes.
func (c *counter) pack(b []byte) []byte {
	flags := byte(0)
	if c.block != "" {
		flags |= hasBlock
	}
	if c.stale {
		flags |= isStale
	}
	if c.asked != 0 {
		flags |= hasAsked
	}
	if c.unkept {
		flags |= isUnkept
	}
	b = append(b, flags)
	if c.block != "" {
		b = binary.LittleEndian.AppendUint64(b, uint64(c.since.UnixNano()))
		b = appendText(b, c.block)
	}
	if c.asked != 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(c.asked))
	}
	var (
		known []names
		last  place
	)
	for _, f := range c.failures {
		n := namesIn(f)
		last.same = slices.Index(known, n)
		if last.same < 0 {
			last.known, known = len(known), append(known, n)
		}
		b, last = appendFailure(b, f, last)
	}
	return b
}

// place is where a failure is appended.
type place struct {
	begun  bool       // there is one before it
	time   int64      // of that one
	client netip.Addr // of that one
	names  int        // which names that one has
	known  int        // names before it
	same   int        // those that are its own, or -1
	shown  string     // of the names before it
}

// appendFailure appends a failure; it returns where the next one is appended.
func appendFailure(b []byte, f rules.Failure, p place) ([]byte, place) {
	at, flags := len(b), byte(0)
	b = append(b, 0)
	now := f.Time.UnixNano()
	if p.begun {
		b = binary.AppendUvarint(b, uint64(now-p.time))
	} else {
		b = binary.LittleEndian.AppendUint64(b, uint64(now))
	}
	if f.Counted {
		flags |= isCounted
	}
	if f.Vague {
		flags |= isVague
	}
	switch {
	case f.ID == 0:
		flags |= noID
	case f.ID>>(8*eventBytes) != 0:
		flags |= longID
		b = binary.LittleEndian.AppendUint64(b, f.ID)
	default:
		b = binary.LittleEndian.AppendUint64(b, f.ID)[:len(b)+eventBytes]
	}
	if p.begun && f.Client == p.client {
		flags |= sameClient
	} else {
		b = appendText(b, f.Client.AsSlice())
	}
	switch {
	case p.same < 0:
		p.same = p.known
		p.known++
		b = appendShown(b, f.Shown, p.shown)
		p.shown = f.Shown
		if f.Login == f.Shown {
			flags |= shownIsLogin
		} else {
			b = appendText(b, f.Login)
		}
		b = appendService(b, f.Protocol)
	case p.same == p.names:
		flags |= sameNames
	default:
		flags |= oldNames
		b = binary.AppendUvarint(b, uint64(p.same))
	}
	b = appendPassword(b, f.Password)
	b[at] = flags
	return b, place{begun: true, time: now, client: f.Client, names: p.same, known: p.known, shown: p.shown}
}

func appendShown(b []byte, shown, before string) []byte {
	most := min(len(shown), len(before))
	front, back := 0, 0
	for front < most && shown[front] == before[front] {
		front++
	}
	for back < most-front && shown[len(shown)-1-back] == before[len(before)-1-back] {
		back++
	}
	b = binary.AppendUvarint(b, uint64(front))
	b = binary.AppendUvarint(b, uint64(back))
	return appendText(b, shown[front:len(shown)-back])
}

// services are written as their place here, from 1; others as 0 and a text.
var services = [...]string{"smtp", "submission", "smtps", "submissions", "pop3", "pop3s", "imap", "imaps"}

func appendService(b []byte, name string) []byte {
	if i := slices.Index(services[:], name); i >= 0 {
		return append(b, byte(i+1))
	}
	return appendText(append(b, 0), name)
}

// appendPassword writes hexadecimal digits, as Dovecot's hashes are, as bytes. The length
// of what follows is doubled, and one more for those.
func appendPassword(b []byte, hash string) []byte {
	if len(hash)%2 == 0 && strings.Trim(hash, "0123456789abcdef") == "" {
		b = binary.AppendUvarint(b, uint64(len(hash)+1))
		for i := 0; i < len(hash); i += 2 {
			b = append(b, digit(hash[i])<<4|digit(hash[i+1]))
		}
		return b
	}
	return append(binary.AppendUvarint(b, uint64(2*len(hash))), hash...)
}

func digit(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// reader walks through a packed counter. Bytes from a file may be anything: what ends too
// early is bad, and then there is no more.
type reader struct {
	rest []byte
	bad  bool
	// Of the header:
	flags        byte
	since, asked int64
	block        []byte
	// Of the failure that next has read:
	one      byte // its flags
	time     int64
	id       uint64
	client   []byte // of the latest that had one
	names    int    // which names it has
	shown    []byte // of names that are written here, not named by number; if spell is set
	length   int    // of shown, whether or not it is spelt
	login    []byte
	protocol []byte // a text, or
	service  byte   // its place in services
	password []byte // digits, packed if hex is set
	hex      bool
	known    int  // names so far
	begun    bool // a failure was read

	spell bool      // names are asked for
	spelt [2][]byte // shown is the one of them that was written last
}

func read(b []byte) reader {
	r := reader{rest: b}
	r.flags = r.byte()
	if r.flags&hasBlock != 0 {
		r.since = int64(r.fixed(8))
		r.block = r.text()
	}
	if r.flags&hasAsked != 0 {
		r.asked = int64(r.fixed(8))
	}
	return r
}

// part is the next n bytes.
func (r *reader) part(n uint64) []byte {
	if uint64(len(r.rest)) < n {
		r.rest, r.bad = nil, true
		return nil
	}
	p := r.rest[:n]
	r.rest = r.rest[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.part(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) fixed(n int) (v uint64) {
	p := r.part(uint64(n))
	if len(p) == 8 {
		return binary.LittleEndian.Uint64(p)
	}
	for i, b := range p {
		v |= uint64(b) << (8 * i)
	}
	return v
}

func (r *reader) number() uint64 {
	if len(r.rest) > 0 && r.rest[0] < 0x80 { // nearly all: lengths
		v := r.rest[0]
		r.rest = r.rest[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.rest)
	r.part(uint64(max(n, 0)))
	r.bad = r.bad || n <= 0
	return v
}

func (r *reader) text() []byte { return r.part(r.number()) }

// next reads a failure; false: there are no more.
func (r *reader) next() bool {
	if len(r.rest) == 0 {
		return false
	}
	r.one = r.byte()
	if r.begun {
		r.time += int64(r.number())
	} else {
		r.time, r.begun = int64(r.fixed(8)), true
	}
	switch {
	case r.one&noID != 0:
		r.id = 0
	case r.one&longID != 0:
		r.id = r.fixed(8)
	default:
		r.id = r.fixed(eventBytes)
	}
	if r.one&sameClient == 0 {
		r.client = r.text()
	}
	switch {
	case r.one&sameNames != 0:
		r.bad = r.bad || r.known == 0
	case r.one&oldNames != 0:
		r.names = int(min(r.number(), uint64(r.known)))
		r.bad = r.bad || r.names == r.known
	default:
		r.names = r.known
		r.known++
		r.readNames()
	}
	n := r.number()
	r.hex = n&1 == 1
	r.password = r.part(n / 2)
	return !r.bad
}

func (r *reader) readNames() {
	front, back := r.number(), r.number()
	between := r.text()
	before := uint64(r.length)
	if front > before || back > before-front {
		r.bad = true
		return
	}
	r.length = int(front+back) + len(between)
	if r.spell {
		r.spellShown(front, back, between)
	}
	r.login = r.shown
	if r.one&shownIsLogin == 0 {
		r.login = r.text()
	}
	r.protocol, r.service = nil, r.byte()
	switch {
	case r.service == 0:
		r.protocol = r.text()
	case int(r.service) > len(services):
		r.bad, r.service = true, 0
	}
}

func (r *reader) spellShown(front, back uint64, between []byte) {
	before := r.shown
	i := r.known & 1 // the other one holds the names before
	r.spelt[i] = append(append(append(r.spelt[i][:0], before[:front]...), between...), before[uint64(len(before))-back:]...)
	r.shown = r.spelt[i]
}

// serviceName is the protocol of the names that were read last.
func (r *reader) serviceName() string {
	if r.service > 0 {
		return services[r.service-1]
	}
	return string(r.protocol)
}

// hash is the password's.
func (r *reader) hash() string {
	if r.hex {
		return hex.EncodeToString(r.password)
	}
	return string(r.password)
}

// unpackCounter makes a counter of its bytes, which it does not keep.
func unpackCounter(b []byte) *counter {
	r := read(b)
	r.spell = true
	c := &counter{block: string(r.block), stale: r.flags&isStale != 0, asked: r.asked, unkept: r.flags&isUnkept != 0}
	if len(r.block) > 0 {
		c.since = time.Unix(0, r.since)
	}
	var known []names
	for r.next() {
		if r.names == len(known) {
			n := names{shown: string(r.shown), protocol: r.serviceName()}
			if n.login = n.shown; r.one&shownIsLogin == 0 {
				n.login = string(r.login)
			}
			known = append(known, n)
		}
		n := known[r.names]
		client, _ := netip.AddrFromSlice(r.client)
		c.failures = append(c.failures, rules.Failure{
			Time: time.Unix(0, r.time), Client: client, Login: n.login, Shown: n.shown, Protocol: n.protocol,
			Password: r.hash(), Vague: r.one&isVague != 0, Counted: r.one&isCounted != 0, ID: r.id,
		})
	}
	return c
}

// sum is what a count of packed failures has found.
type sum struct {
	reader         // at the end
	oldest   int64 // failure
	counted  int   // within the window,
	from     int64 // the first of them
	kept     int   // those that count, or those that do not, whenever they were
	future   bool  // one is from before the clock was set back
	repeated bool  // the event is among them
	same     int   // the names that are asked for, or -1
}

// sumUp counts as of now, with one question more: whether f, if there is one, is known,
// and which names are its own.
func sumUp(b []byte, now time.Time, w Window, f *rules.Failure) sum {
	s := sum{reader: read(b), same: -1}
	s.spell = f != nil
	at := now.UnixNano()
	for first := true; s.next(); first = false {
		if first {
			s.oldest = s.time
		}
		s.future = s.future || s.time-at > int64(ahead)
		if s.one&isCounted != 0 && s.time > at-int64(w.Length) {
			if s.counted++; s.counted == 1 {
				s.from = s.time
			}
		}
		if f == nil {
			continue
		}
		s.repeated = s.repeated || f.ID != 0 && s.id == f.ID
		if f.Counted == (s.one&isCounted != 0) {
			s.kept++
		}
		if s.one&(sameNames|oldNames) == 0 && string(s.shown) == f.Shown && string(s.login) == f.Login && s.serviceName() == f.Protocol {
			s.same = s.names
		}
	}
	return s
}

// packedTally is counter.tally of packed bytes. ok is false where that would change the
// counter, or must compare passwords.
func packedTally(b []byte, now time.Time, w Window) (t rules.Tally, ok bool) {
	t, _, ok = packedTallyFrom(b, now, w)
	return t, ok
}

// packedTallyFrom tells also when the first failure was that it counts.
func packedTallyFrom(b []byte, now time.Time, w Window) (t rules.Tally, from int64, ok bool) {
	if w.Once {
		return t, 0, false
	}
	s := sumUp(b, now, w, nil)
	t, ok = s.tally(b, now, w)
	return t, s.from, ok
}

// settled tells whether counter.settle would leave it as it is.
func (s *sum) settled(now time.Time, w Window) bool {
	if s.counted <= w.Limit && len(s.block) > 0 {
		return false
	}
	return !s.future && s.since-now.UnixNano() <= int64(ahead)
}

func (s *sum) tally(b []byte, now time.Time, w Window) (t rules.Tally, ok bool) {
	t.Count = s.counted
	if !s.settled(now, w) {
		return t, false
	}
	if s.counted <= w.Limit {
		return t, true
	}
	t.Until = nthTime(b, s.counted-w.Limit, now.UnixNano()-int64(w.Length)).Add(w.Length)
	if len(s.block) > 0 {
		t.Block, t.Since = string(s.block), time.Unix(0, s.since)
	}
	return t, true
}

// packedAdd is counter.add, and the tally behind it, of packed bytes. What they are then
// is written over to. ok is false where it is more than to append the failure.
func packedAdd(to, b []byte, f rules.Failure, w Window) (_ []byte, t rules.Tally, stale, ok bool) {
	if w.Once {
		return to, t, false, false
	}
	s := sumUp(b, f.Time, w, &f)
	most := keepFailures
	if f.Counted {
		most += w.Limit + 1
	}
	now := f.Time.UnixNano()
	if s.repeated || s.future || !s.begun || s.time > now || s.kept >= most || s.since > now || len(s.block) > 0 && s.counted <= w.Limit {
		return to, t, false, false
	}
	last := place{begun: true, time: s.time, names: s.names, known: s.known, same: s.same, shown: string(s.shown)}
	last.client, _ = netip.AddrFromSlice(s.client)
	to = append(to[:0], b...)
	to[0] &^= isStale
	to, _ = appendFailure(to, f, last)
	if f.Counted && w.Length > 0 {
		s.counted++
	}
	t, ok = s.tally(to, f.Time, w)
	return to, t, s.flags&isStale != 0, ok
}

// nthTime is the time of the n-th failure, from 1, of those that count.
func nthTime(b []byte, n int, oldest int64) time.Time {
	r := read(b)
	for r.next() {
		if r.one&isCounted != 0 && r.time > oldest {
			if n--; n == 0 {
				break
			}
		}
	}
	return time.Unix(0, r.time)
}
