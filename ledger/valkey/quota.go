package valkey

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// ReservedFor is how long a reservation lasts that nobody renews: its host has died.
const ReservedFor = 10 * time.Minute

// Limits are an account's; 0 is no limit.
type Limits struct{ Messages, Recipients int }

// Usage is what an account has used within the hour, and what is under way, on all
// hosts.
type Usage struct {
	Messages, Recipients                 int
	ReservedMessages, ReservedRecipients int
	Full                                 bool // there was no place for what was asked
	Again                                bool // it has been charged before
}

// Place is a message that asks for a place.
type Place struct {
	Login      string
	Message    string // its name, on all hosts
	Recipients int    // with this one
	Always     bool   // take a place even where there is none
}

func (c *Client) quotaOp(what string, p Place, l Limits, args ...string) op {
	always := "0"
	if p.Always {
		always = "1"
	}
	return op{
		script: quotaScript,
		keys: []string{
			key(kindUsed, p.Login), key(kindOpen, p.Login), key(kindDone, p.Login),
			bucketKey(bucketOf(p.Login), kindFeed),
		},
		args: append([]string{
			what, c.clock(), p.Login, strconv.Itoa(l.Messages), strconv.Itoa(l.Recipients), always,
			p.Message, strconv.Itoa(p.Recipients),
		}, args...),
	}
}

func (c *Client) quota(what string, p Place, l Limits, args ...string) (Usage, error) {
	return live(c, func(ctx context.Context) (Usage, error) {
		parts, err := c.texts(ctx, c.quotaOp(what, p, l, args...), 7)
		if err != nil {
			return Usage{}, err
		}
		u := Usage{Full: parts[1] == "1", Again: parts[2] == "1"}
		for i, n := range []*int{&u.Messages, &u.Recipients, &u.ReservedMessages, &u.ReservedRecipients} {
			if *n, err = strconv.Atoi(parts[3+i]); err != nil {
				return u, &refusedError{fmt.Errorf("an answer has no number: %w", err)}
			}
		}
		return u, nil
	})
}

// Used asks what an account has used; Full tells whether one more message with one
// recipient would find no place.
func (c *Client) Used(login string, l Limits) (Usage, error) {
	return c.quota("look", Place{Login: login}, l)
}

// Reserve takes a place for the message and all its recipients so far. It lasts for
// ReservedFor, unless it is asked for again.
func (c *Client) Reserve(p Place, l Limits) (Usage, error) {
	return c.quota("reserve", p, l, micros(ReservedFor.Microseconds()))
}

// Charge takes the places of a whole message at its end, once. It takes the place of
// the reservation of that name.
func (c *Client) Charge(p Place, l Limits, reservation string) (Usage, error) {
	return c.quota("charge", p, l, reservation)
}

func (c *Client) commitOp(p Place, at time.Time) op {
	return c.quotaOp("commit", p, Limits{}, c.server(at))
}
