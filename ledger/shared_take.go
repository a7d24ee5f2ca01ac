package ledger

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger/valkey"
	"portreeve/rules"
)

// take puts into memory what the store knows of a name, and writes down what must
// outlast a restart while the store is away: that others have blocked a client, or
// lifted its block.
func (s *Shared) take(name string, k valkey.Counter) {
	h := heard{cleared: k.Cleared, block: k.Block, since: k.Since}
	hosts := map[uint64]uint16{} // by the failure's ID
	for _, w := range k.Failures {
		f, err := fromWire(w)
		if err != nil {
			s.unusable("reading failed logins", err)
			return
		}
		h.failures = append(h.failures, f)
		hosts[f.ID], _ = splitID(w.ID)
	}
	now, w := s.o.Store.Now(), *s.counting.Load()
	of := news{name: name, insert: insertGuessed, ended: deleteEndedGuess}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lifted.overtook(name, k.Clearing) {
		return
	}
	if isLogin(name) {
		of.learned = s.logins.merge([]byte(name), h, now, w.Login)
		s.logins.touch([]byte(name), now, w.Login)
	} else {
		prefix, err := netip.ParsePrefix(name)
		if err != nil {
			s.unusable("reading the name of a client", err)
			return
		}
		of.prefix, of.insert, of.ended = prefix, insertBlock, deleteEndedBlock
		of.learned = s.clients.merge(keyOf(prefix), h, now, w.Client)
		s.clients.touch(keyOf(prefix), now, w.Client)
	}
	s.keep(of, hosts, now)
}

// news is what a host has learned of a name.
type news struct {
	learned
	name   string
	prefix netip.Prefix // the zero Prefix of a login
	insert string       // of a block
	ended  string       // deletes one that is over
}

// keep writes what was learned. Nobody waits for it: the store has it. Its ids are of
// this host's sequence, whose order says what a lifted block has made void; the lock is
// held.
func (s *Shared) keep(of news, hosts map[uint64]uint16, now time.Time) {
	if !of.voided && !of.above {
		return
	}
	// What this host has counted itself is in the file.
	of.failures = append(of.failures, slices.DeleteFunc(of.unkept, func(f rules.Failure) bool { return hosts[f.ID] == s.host })...)
	var cleared journal.ID
	if of.voided {
		cleared = s.next(now)
		of.failures = of.left // they came after it
	}
	ids := make([]journal.ID, len(of.failures))
	for i, f := range of.failures {
		host, known := hosts[f.ID]
		if !known {
			host = s.host
		}
		ids[i] = s.next(f.Time)
		binary.BigEndian.PutUint64(ids[i][8:], wireID(host, f.ID))
	}
	s.db.Later(func(tx store.Tx) error {
		if of.voided && of.prefix.IsValid() {
			if _, err := tx.Exec(insertCleared, of.name, cleared[:]); err != nil {
				return err
			}
			if _, err := tx.Exec("delete from blocks where prefix = ?", of.name); err != nil {
				return err
			}
		}
		if of.stale {
			if _, err := tx.Exec(of.ended, of.name, now.UnixNano()); err != nil {
				return err
			}
		}
		for i, f := range of.failures {
			if err := putFailure(tx, ids[i], of.prefix, f); err != nil {
				return err
			}
		}
		if of.block == "" {
			return nil
		}
		_, err := tx.Exec(of.insert, of.name, of.block, of.since.UnixNano())
		return err
	})
}
