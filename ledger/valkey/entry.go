package valkey

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Entry is a journal entry as the store has it.
type Entry struct {
	Body  string // as it was put
	Times int    // further refusals under its id, by all hosts
	Last  time.Time
	// NotObserved tells that one of them was not observed only.
	NotObserved bool
	Port        uint16
	Sender      string
}

// Again are further refusals under an id.
type Again struct {
	Times    int
	Last     time.Time
	Observed bool
	Port     uint16
	Sender   string
}

func putOp(id, body string, keep time.Duration) op {
	return op{script: entryScript, keys: []string{key(kindEntry, id)}, args: []string{"put", body, micros(keep.Milliseconds())}}
}

func (c *Client) againOp(id string, a Again) op {
	observed := "0"
	if a.Observed {
		observed = "1"
	}
	last := a.Last.Add(time.Duration(c.offset.Load())).UnixMicro()
	return op{script: entryScript, keys: []string{key(kindEntry, id)}, args: []string{
		"again", strconv.Itoa(a.Times), micros(last), observed, strconv.Itoa(int(a.Port)), a.Sender,
	}}
}

// Entry finds a journal entry; false if there is none. It may take the whole Timeout.
func (c *Client) Entry(id string) (Entry, bool, error) {
	type found struct {
		Entry
		ok bool
	}
	f, err := within(c, c.o.Timeout, func(ctx context.Context) (found, error) {
		fields, err := c.run(ctx, op{keys: []string{key(kindEntry, id)}, args: []string{"HGETALL"}})[0].AsStrMap()
		if err != nil || fields["e"] == "" {
			return found{}, err
		}
		e := Entry{Body: fields["e"], NotObserved: fields["o"] == "0", Sender: fields["s"]}
		if e.Times, err = number(fields["n"]); err != nil {
			return found{}, err
		}
		port, err := number(fields["p"])
		if err != nil {
			return found{}, err
		}
		e.Port = uint16(port)
		if last := fields["l"]; last != "" {
			if e.Last, err = c.local(last); err != nil {
				return found{}, err
			}
		}
		return found{e, true}, nil
	})
	return f.Entry, f.ok, err
}

// number reads a field that may not be there.
func number(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, &refusedError{fmt.Errorf("an entry has no number: %w", err)}
	}
	return n, nil
}
