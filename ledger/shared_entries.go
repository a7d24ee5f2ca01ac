package ledger

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger/valkey"
)

// Entries is the part of the journal that hosts share. It implements journal.Others.
func (s *Shared) Entries() journal.Others { return sharedEntries{s} }

type sharedEntries struct{ s *Shared }

// Tell implements journal.Others.
func (e sharedEntries) Tell(id string) (write func(store.Tx) error, written func(error)) {
	n := numbered{e.s.out.number(), event{Kind: tellEntry, ID: id, Time: e.s.o.Store.Now().UnixNano()}}
	return n.put(n.seq), func(err error) {
		if err == nil {
			e.s.out.send(n, nil)
			return
		}
		// The entry is read from the file. A disk that is slow may have it by then; one that
		// is full will not, and the entry is in the log.
		time.AfterFunc(writtenLater, func() { e.s.out.send(n, nil) })
	}
}

// writtenLater is when an entry is looked for whose writer could not wait for the file.
const writtenLater = 10 * time.Second

// repeat is further refusals under an id.
type repeat struct {
	id string
	valkey.Again
}

// maxRepeats bounds those that wait; they are handed over once a second.
const maxRepeats = 1 << 14

// Again implements journal.Others. It is bookkeeping: while the store is away, or if
// its answer is lost, the count stays on this host.
func (e sharedEntries) Again(id string, r journal.Repeats) {
	select {
	case e.s.repeats <- repeat{id, valkey.Again{Times: r.Times, Last: r.Last, Observed: r.Observed, Port: r.Port, Sender: r.Sender}}:
	default:
	}
}

// tellRepeats counts refusals at the store. What fails is not told again: it is all
// that may not be counted twice.
func (s *Shared) tellRepeats(ctx context.Context) {
	for {
		b := s.link.Batch()
		select {
		case <-ctx.Done():
			return
		case r := <-s.repeats:
			b.Again(r.id, r.Again)
		}
		for more := true; more && b.Len() < batchSize; {
			select {
			case r := <-s.repeats:
				b.Again(r.id, r.Again)
			default:
				more = false
			}
		}
		within, cancel := context.WithTimeout(ctx, tellWithin)
		told, err := b.Send(within)
		cancel()
		if err == nil {
			for _, t := range told {
				s.odd("counting refusals", t.Err)
			}
		}
	}
}

// Find implements journal.Others.
func (e sharedEntries) Find(_ context.Context, id string) (journal.Shared, error) {
	found, ok, err := e.s.link.Entry(id)
	if err != nil {
		return journal.Shared{}, fmt.Errorf("asking the shared store for %s: %w", id, err)
	}
	if !ok {
		return journal.Shared{}, journal.ErrUnknown
	}
	body, err := unpack(found.Body)
	if err != nil {
		return journal.Shared{}, fmt.Errorf("reading %s from the shared store: %w", id, err)
	}
	return journal.Shared{Body: body, Repeats: journal.Repeats{
		Times: found.Times, Last: found.Last, Observed: !found.NotObserved, Port: found.Port, Sender: found.Sender,
	}}, nil
}

// addEntry adds a journal entry to what is told. When the store is nearly full it
// stays here.
func (s *Shared) addEntry(ctx context.Context, b *batch, id string) error {
	if s.link.Full() {
		return nil
	}
	body, found, err := s.o.Entry(ctx, id)
	if ctx.Err() != nil {
		return fmt.Errorf("reading a journal entry for the other hosts: %w", ctx.Err()) // it still waits
	}
	if err != nil {
		s.o.Log.Error("journal entry not told to the shared store", "id", id, "error", err)
	}
	if !found {
		return nil
	}
	packed, err := pack(body)
	if err != nil {
		s.o.Log.Error("journal entry not told to the shared store", "id", id, "error", err)
		return nil
	}
	b.Entry(id, packed, s.o.Keep)
	return nil
}

// packed is the version of an entry's form in the store, its first byte.
const packed = '1'

// pack makes an entry a third of its size: the store keeps it in memory.
func pack(body []byte) (string, error) {
	var b bytes.Buffer
	b.WriteByte(packed)
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(body); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return b.String(), nil
}

// maxEntry bounds an entry that is read, in bytes.
const maxEntry = 1 << 20

var errEntry = errors.New("the entry is of another version: ask the host that made it")

func unpack(text string) ([]byte, error) {
	if text == "" || text[0] != packed {
		return nil, errEntry
	}
	body, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader([]byte(text[1:]))), maxEntry))
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", errEntry, err)
	}
	return body, nil
}
