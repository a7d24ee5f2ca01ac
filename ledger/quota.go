package ledger

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"portreeve/rules"
)

const (
	// quotaMinutes is the sliding hour, counted to the minute.
	quotaMinutes = 60
	// maxReservations bounds the messages that are under way at a time: above the
	// connections that a milter may have.
	maxReservations = 1 << 16
	// maxCharged bounds the messages whose charge a repeated request may meet.
	maxCharged = 1 << 16
)

// Usage is what an account has used within the hour, and what is under way.
type Usage struct {
	Messages           int `json:"messages"`
	Recipients         int `json:"recipients"`
	ReservedMessages   int `json:"reserved_messages"`
	ReservedRecipients int `json:"reserved_recipients"`
}

// Charge is one message at its end, as the policy service sees it.
type Charge struct {
	Login      string
	Instance   string // Postfix's transaction id: a repeated request charges once
	Recipients int
	Always     bool // charge it even without a place
}

// quotas is the hot state of rule 9: one lock, so that two sessions cannot share
// the last place.
type quotas struct {
	mu       sync.Mutex
	accounts *simplelru.LRU[string, *usage]
	open     *simplelru.LRU[string, *reservation] // by transaction
	charged  *simplelru.LRU[string, struct{}]     // instances
}

// usage is one account's hour. Minutes are in order, oldest first.
type usage struct {
	minutes              []minute
	messages, recipients int // reserved
}

type minute struct {
	at                   int64 // Unix minutes
	messages, recipients int
}

// reservation is a message that is under way.
type reservation struct {
	login      string
	recipients int
	charged    bool // by the policy service, at the message's end
}

func newQuotas(size int) (*quotas, error) {
	q := &quotas{}
	var err error
	if q.accounts, err = simplelru.NewLRU[string, *usage](size, nil); err != nil {
		return nil, err
	}
	if q.charged, err = simplelru.NewLRU[string, struct{}](maxCharged, nil); err != nil {
		return nil, err
	}
	// What is pushed out gives its places back. The lock is held whenever it happens.
	q.open, err = simplelru.NewLRU(maxReservations, func(_ string, r *reservation) { q.giveBack(r) })
	return q, err
}

func (q *quotas) of(login string) *usage {
	u, ok := q.accounts.Get(login)
	if !ok {
		u = &usage{}
		q.accounts.Add(login, u)
	}
	return u
}

func (q *quotas) giveBack(r *reservation) {
	if u, ok := q.accounts.Peek(r.login); ok {
		u.messages = max(0, u.messages-1)
		u.recipients = max(0, u.recipients-r.recipients)
	}
}

// used counts the minutes of the hour before now. What a clock that was set back
// has left in the future counts as now.
func (u *usage) used(now time.Time) (messages, recipients int) {
	this := now.Unix() / 60
	for len(u.minutes) > 0 && u.minutes[0].at <= this-quotaMinutes {
		u.minutes = u.minutes[1:]
	}
	for i := range u.minutes {
		u.minutes[i].at = min(u.minutes[i].at, this)
		messages += u.minutes[i].messages
		recipients += u.minutes[i].recipients
	}
	return messages, recipients
}

func (u *usage) add(now time.Time, messages, recipients int) {
	this := now.Unix() / 60
	if n := len(u.minutes); n > 0 && u.minutes[n-1].at >= this {
		u.minutes[n-1].messages += messages
		u.minutes[n-1].recipients += recipients
		return
	}
	u.minutes = append(u.minutes, minute{this, messages, recipients})
}

// room tells whether so much more finds a place.
func (u *usage) room(now time.Time, l rules.Limits, messages, recipients int) rules.Room {
	m, r := u.used(now)
	m, r = m+u.messages, r+u.recipients
	return rules.Room{
		Full:     l.Messages > 0 && m+messages > l.Messages || l.Recipients > 0 && r+recipients > l.Recipients,
		Messages: m, Recipients: r,
	}
}

// look tells whether a message with one recipient would find a place.
func (q *quotas) look(login string, l rules.Limits, now time.Time) rules.Room {
	q.mu.Lock()
	defer q.mu.Unlock()
	u, ok := q.accounts.Peek(login)
	if !ok {
		u = &usage{}
	}
	return u.room(now, l, 1, 1)
}

// reserve takes a place for one more recipient of the transaction, and for the
// message with its first.
func (q *quotas) reserve(login, transaction string, l rules.Limits, now time.Time, always bool) rules.Room {
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.of(login)
	messages := 1
	r, known := q.open.Get(transaction)
	if known && r.login == login {
		messages = 0
	}
	room := u.room(now, l, messages, 1)
	if room.Full && !always {
		return room
	}
	if messages == 1 {
		if known { // the session has logged in as another account since
			q.open.Remove(transaction)
		}
		r = &reservation{login: login}
		q.open.Add(transaction, r)
		u.messages++
	}
	r.recipients++
	u.recipients++
	return room
}

// finish ends a reservation, nil if there is none; charge says whether it is charged.
func (q *quotas) finish(transaction string, accepted bool, now time.Time) (r *reservation, charge bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r, ok := q.open.Peek(transaction)
	if !ok {
		return nil, false
	}
	q.open.Remove(transaction)
	if !accepted || r.charged {
		return r, false
	}
	q.of(r.login).add(now, 1, r.recipients)
	return r, true
}

// held is how many recipients the transaction has places for.
func (q *quotas) held(login, transaction string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r, ok := q.open.Peek(transaction); ok && r.login == login {
		return r.recipients
	}
	return 0
}

// charge takes the places of a message at its end. taken is false when there is
// none, or when it was charged already: the room then says which.
func (q *quotas) charge(c Charge, l rules.Limits, now time.Time) (room rules.Room, taken bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := c.Login + "\x00" + c.Instance
	if _, again := q.charged.Get(key); again && c.Instance != "" {
		return rules.Room{}, false
	}
	u := q.of(c.Login)
	_, mine := q.mine(c)
	if mine != nil { // its own reservation must not stand in its way
		u.messages--
		u.recipients -= mine.recipients
		defer func() {
			u.messages++
			u.recipients += mine.recipients
		}()
	}
	room = u.room(now, l, 1, c.Recipients)
	if room.Full && !c.Always {
		return room, false
	}
	u.add(now, 1, c.Recipients)
	if mine != nil {
		mine.charged = true
	}
	q.charged.Add(key, struct{}{})
	return room, true
}

// mine is the milter's reservation of the same message. Postfix asks the policy
// service first, when the milter may not know the queue id yet.
func (q *quotas) mine(c Charge) (transaction string, r *reservation) {
	for _, transaction := range q.open.Keys() {
		if r, _ := q.open.Peek(transaction); r.login == c.Login && !r.charged && r.recipients == c.Recipients {
			return transaction, r
		}
	}
	return "", nil
}

func (q *quotas) usage(login string, now time.Time) Usage {
	q.mu.Lock()
	defer q.mu.Unlock()
	u, ok := q.accounts.Peek(login)
	if !ok {
		return Usage{}
	}
	m, r := u.used(now)
	return Usage{Messages: m, Recipients: r, ReservedMessages: u.messages, ReservedRecipients: u.recipients}
}

// reset forgets what was used; what is under way stays.
func (q *quotas) reset(login string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if u, ok := q.accounts.Peek(login); ok {
		u.minutes = nil
	}
}

// prune drops accounts that have used nothing within the hour.
func (q *quotas) prune(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		login, u, ok := q.accounts.GetOldest()
		if !ok {
			return
		}
		if m, r := u.used(now); m+r+u.messages+u.recipients != 0 {
			return
		}
		q.accounts.Remove(login)
	}
}
