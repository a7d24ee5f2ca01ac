package ledger

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"portreeve/internal/store"
	"portreeve/ledger/valkey"
	"portreeve/rules"
)

// messageName is what all hosts know a message by. Transactions are numbered by each
// process anew.
func (s *Shared) messageName(transaction string) string { return s.process + " " + transaction }

// instanceName is the same for a message as the policy service sees it. Postfix may
// ask again after this process has gone.
func (s *Shared) instanceName(instance string) string {
	return strconv.Itoa(int(s.host)) + " " + instance
}

// Look implements Ledger.
func (s *Shared) Look(login string, l rules.Limits, now time.Time) rules.Room {
	u, err := s.link.Used(login, valkey.Limits(l))
	if err != nil {
		s.odd("asking for a quota", err)
		return s.Embedded.Look(login, s.others.within(login, l, now), now)
	}
	s.learn(login, u, now)
	return room(u)
}

// room is what the store answers as the rules read it.
func room(u valkey.Usage) rules.Room {
	return rules.Room{Full: u.Full, Messages: u.Messages + u.ReservedMessages, Recipients: u.Recipients + u.ReservedRecipients}
}

// Reserve implements Ledger. The store gives the places away, so that two hosts cannot
// share the last one.
func (s *Shared) Reserve(login, transaction string, l rules.Limits, now time.Time, always bool) rules.Room {
	u, err := s.link.Reserve(valkey.Place{
		Login: login, Message: s.messageName(transaction), Recipients: s.quotas.held(login, transaction) + 1, Always: always,
	}, valkey.Limits(l))
	if err != nil {
		s.odd("reserving a place", err)
		return s.Embedded.Reserve(login, transaction, s.others.within(login, l, now), now, always)
	}
	s.learn(login, u, now)
	if !u.Full || always {
		s.Embedded.Reserve(login, transaction, l, now, true)
	}
	return room(u)
}

// Finish implements Ledger. The places are the message's until the store has charged
// them, so nobody finds them free in between.
func (s *Shared) Finish(ctx context.Context, transaction string, accepted bool, now time.Time) error {
	r, charge := s.quotas.finish(transaction, accepted, now)
	if r == nil {
		return nil
	}
	e := event{Kind: tellRelease, Login: r.login, ID: s.messageName(transaction), Recipients: r.recipients, Time: now.UnixNano()}
	if !charge {
		return s.charged(s.later(ctx, e))
	}
	e.Kind = tellCharge
	return s.charged(s.later(ctx, e, putQuota(r.login, r.recipients, now), e.putCharged))
}

// putCharged remembers a message by its name.
func (e event) putCharged(tx store.Tx) error {
	_, err := tx.Exec("insert into charged(message, login, recipients, time) values(?, ?, ?, ?) on conflict(message) do nothing",
		e.ID, e.Login, e.Recipients, e.Time)
	return err
}

// dropCharged forgets what an account has used, and its messages.
func dropCharged(login string) func(store.Tx) error {
	return func(tx store.Tx) error {
		if _, err := tx.Exec("delete from charged where login = ?", login); err != nil {
			return err
		}
		return dropQuota(login)(tx)
	}
}

func (s *Shared) pruneCharged(ctx context.Context, now time.Time) error {
	err := s.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec("delete from charged where time <= ?", now.Add(-time.Hour).UnixNano())
		return err
	})
	if err != nil {
		return fmt.Errorf("pruning the messages that were charged: %w", err)
	}
	return nil
}

func (s *Shared) charged(err error) error {
	if err != nil {
		return fmt.Errorf("charging a message: %w", err)
	}
	return nil
}

// Charge implements Ledger.
func (s *Shared) Charge(ctx context.Context, c Charge, l rules.Limits, now time.Time) (rules.Room, error) {
	s.quotas.mu.Lock()
	transaction, mine := s.quotas.mine(c)
	s.quotas.mu.Unlock()
	p := valkey.Place{Login: c.Login, Message: s.instanceName(c.Instance), Recipients: c.Recipients, Always: c.Always}
	if c.Instance == "" {
		p.Message = s.process + " once " + s.ids.Next(now).String()
	}
	reserved := ""
	if mine != nil {
		reserved = s.messageName(transaction)
	}
	u, err := s.link.Charge(p, valkey.Limits(l), reserved)
	if err != nil {
		s.odd("charging a message", err)
		return s.chargeAlone(ctx, c, p, l, now)
	}
	s.learn(c.Login, u, now)
	if u.Again || u.Full && !c.Always {
		return room(u), nil
	}
	c.Always = true
	if _, taken := s.quotas.charge(c, l, now); !taken {
		return room(u), nil
	}
	return room(u), s.writeQuota(ctx, func(tx store.Tx) error {
		if err := chargeEvent(p, now).putCharged(tx); err != nil {
			return err
		}
		return putQuota(c.Login, c.Recipients, now)(tx)
	})
}

func chargeEvent(p valkey.Place, now time.Time) event {
	return event{Kind: tellCharge, Login: p.Login, ID: p.Message, Recipients: p.Recipients, Time: now.UnixNano()}
}

// chargeAlone charges while the store is away; it will hear of it.
func (s *Shared) chargeAlone(ctx context.Context, c Charge, p valkey.Place, l rules.Limits, now time.Time) (rules.Room, error) {
	room, taken := s.quotas.charge(c, s.others.within(c.Login, l, now), now)
	if !taken {
		return room, nil
	}
	e := chargeEvent(p, now)
	return room, s.charged(s.later(ctx, e, putQuota(c.Login, c.Recipients, now), e.putCharged))
}

// Usage implements Ledger.
func (s *Shared) Usage(login string, now time.Time) Usage {
	u, err := s.link.Used(login, valkey.Limits{})
	if err != nil {
		s.odd("asking for a quota", err)
		return s.Embedded.Usage(login, now)
	}
	return Usage{
		Messages: u.Messages, Recipients: u.Recipients,
		ReservedMessages: u.ReservedMessages, ReservedRecipients: u.ReservedRecipients,
	}
}

// Reset implements Ledger. While the store is away, it is as with Unblock.
func (s *Shared) Reset(ctx context.Context, login string) error {
	s.quotas.reset(login)
	s.others.forget(login)
	now := s.o.Store.Now()
	e := event{Kind: tellReset, Login: login, ID: s.ids.Next(now).String(), Time: now.UnixNano()}
	if err := s.later(ctx, e, dropCharged(login)); err != nil {
		return fmt.Errorf("starting a quota afresh: %w: it is fresh until the daemon restarts", err)
	}
	if !s.link.Up() {
		return fmt.Errorf("the quota begins afresh on this host, and on the others once the shared store is back: %w: see `portreeve status`", valkey.ErrAway)
	}
	return nil
}

// under lists the reservations that are under way.
func (q *quotas) under() []underway {
	q.mu.Lock()
	defer q.mu.Unlock()
	var list []underway
	for _, transaction := range q.open.Keys() {
		if r, _ := q.open.Peek(transaction); !r.charged {
			list = append(list, underway{*r, transaction})
		}
	}
	return list
}

type underway struct {
	reservation
	transaction string
}

// releaseAll gives back what is under way: a process that ends knows nothing of it.
func (s *Shared) releaseAll() {
	for _, r := range s.quotas.under() {
		if err := s.Finish(context.Background(), r.transaction, false, s.o.Store.Now()); err != nil {
			return // the places expire
		}
	}
}

// others is what the other hosts had used of an account's hour when the store was
// asked last. While it is away that counts, and fades over the hour.
type others struct {
	mu    sync.Mutex
	known *simplelru.LRU[string, othersUsed]
}

type othersUsed struct {
	messages, recipients int
	at                   time.Time
}

// maxOthers bounds the accounts whose use elsewhere is remembered.
const maxOthers = 1 << 16

func newOthers() *others {
	known, err := simplelru.NewLRU[string, othersUsed](maxOthers, nil)
	if err != nil { // only for a size below 1
		panic(err)
	}
	return &others{known: known}
}

// learn keeps what others have used: all but this host's own.
func (s *Shared) learn(login string, u valkey.Usage, now time.Time) {
	own := s.quotas.usage(login, now)
	o := othersUsed{
		messages:   max(0, u.Messages+u.ReservedMessages-own.Messages-own.ReservedMessages),
		recipients: max(0, u.Recipients+u.ReservedRecipients-own.Recipients-own.ReservedRecipients),
		at:         now,
	}
	s.others.mu.Lock()
	defer s.others.mu.Unlock()
	s.others.known.Add(login, o)
}

func (o *others) forget(login string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known.Remove(login)
}

// within is what of the limits is left to this host.
func (o *others) within(login string, l rules.Limits, now time.Time) rules.Limits {
	o.mu.Lock()
	defer o.mu.Unlock()
	used, ok := o.known.Get(login)
	age := now.Sub(used.at)
	if !ok || age < 0 || age >= time.Hour {
		return l
	}
	left := func(limit, used int) int {
		if limit == 0 {
			return 0
		}
		return max(1, limit-int(float64(used)*float64(time.Hour-age)/float64(time.Hour)))
	}
	return rules.Limits{Messages: left(l.Messages, used.messages), Recipients: left(l.Recipients, used.recipients)}
}
