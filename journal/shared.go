package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"portreeve/internal/store"
)

// Others is what hosts share of their journals: the entries by their ids, and how
// often each was given.
type Others interface {
	// Tell makes an entry known to the other hosts: write belongs to the transaction
	// that writes it, written is called after that, with its error.
	Tell(id string) (write func(store.Tx) error, written func(error))
	// Again counts refusals under an id, of whichever host. Counts may be lost.
	Again(id string, r Repeats)
	// Find looks for an id; ErrUnknown is for one that no host has told.
	Find(ctx context.Context, id string) (Shared, error)
}

// Shared is an entry as the hosts share it.
type Shared struct {
	Body    []byte  // the entry's JSON, as it was written
	Repeats Repeats // of all hosts; Observed: all of them
}

// Share makes the entries known to other hosts, and theirs to this one. It is called
// before the first Write.
func (j *Journal) Share(o Others) { j.others = o }

// Body is the JSON of an entry of this host, as it was written; false: it has gone.
func (j *Journal) Body(ctx context.Context, id string) ([]byte, bool, error) {
	e, err := j.own(ctx, id)
	if errors.Is(err, ErrUnknown) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	body, err := json.Marshal(e)
	return body, err == nil, err
}

// Get finds one entry, of any host that shares its journal. The error of an id that
// this host does not know while the others cannot be asked is ErrUnknown, too.
func (j *Journal) Get(ctx context.Context, id string) (Entry, error) {
	e, err := j.own(ctx, id)
	if j.others == nil || err != nil && !errors.Is(err, ErrUnknown) {
		return e, err
	}
	known := err == nil
	shared, err := j.others.Find(ctx, id)
	switch {
	case err != nil && known:
		return e, nil // what the others have counted is missing
	case err != nil:
		return e, fmt.Errorf("%w: %w", ErrUnknown, err)
	case known:
		e.Count = max(e.Count, countOf(shared.Body)+shared.Repeats.Times)
	default:
		if err := json.Unmarshal(shared.Body, &e); err != nil {
			return e, fmt.Errorf("an entry of another host is not readable: %w", err)
		}
		e.Count += shared.Repeats.Times
	}
	r := shared.Repeats
	if r.Times == 0 {
		return e, nil
	}
	if r.Last.After(e.Last) {
		e.Last = r.Last.UTC()
	}
	e.Observed = e.Observed && r.Observed
	if e.Port == 0 {
		e.Port = r.Port
	}
	if e.Sender == "" {
		e.Sender = r.Sender
	}
	return e, nil
}

// countOf is how often the entry had been given when it was told.
func countOf(body []byte) int {
	var e Entry
	if json.Unmarshal(body, &e) != nil {
		return 0
	}
	return e.Count
}
