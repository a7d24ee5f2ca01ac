package ledger

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
)

// Peers are the names of the hosts that share the store, as far as this one knows:
// one of them may have made an id.
func (s *Shared) Peers() []string {
	if p := s.peers.Load(); p != nil {
		return *p
	}
	return nil
}

const peerName = "host "

func (s *Shared) loadPeers(ctx context.Context) error {
	var names []string
	err := s.each(ctx, "select name from shared where name like ? order by name", []any{peerName + "%"}, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names = append(names, strings.TrimPrefix(name, peerName))
		return err
	})
	s.peers.Store(&names)
	return err
}

// askPeers learns who shares the store.
func (s *Shared) askPeers(ctx context.Context) error {
	hosts, err := s.link.Hosts()
	if err != nil {
		s.odd("asking for the hosts", err)
		return nil // it will be asked again
	}
	var names []string
	for _, h := range hosts {
		if s.o.Store.Now().Sub(h.Last) < s.o.Keep {
			names = append(names, h.Name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(s.Peers(), name) {
			if err := s.putShared(ctx, peerName+name, strconv.FormatInt(s.o.Store.Now().Unix(), 10)); err != nil {
				return err
			}
		}
	}
	s.peers.Store(&names)
	return nil
}
