package valkey

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// Seen is somebody or something, and when it was seen last.
type Seen struct {
	Name string
	Last time.Time
}

const (
	// cacheFor is the longest that an answer is kept. The server tells of every change
	// (CLIENT TRACKING), so this is for what it has forgotten to track.
	cacheFor = 10 * time.Minute
	// ahead is how far in the future a time may be (latest.lua).
	ahead = time.Minute
)

func (c *Client) seenOp(kind, name, member string, at time.Time, keep time.Duration, most int) op {
	args := []string{c.clock(), micros(keep.Microseconds()), strconv.Itoa(most)}
	if member != "" {
		args = append(args, c.server(at), member)
	}
	return op{script: latestScript, keys: []string{key(kind, name)}, args: args}
}

// Grants lists the POP logins of an address. An address that was asked about before
// is answered from memory, until the store tells of a change.
func (c *Client) Grants(client string) ([]Seen, error) {
	return live(c, func(ctx context.Context) ([]Seen, error) {
		conn := c.conn.Load()
		if conn == nil {
			return nil, ErrAway
		}
		ask := (*conn).B().Zrange().Key(key(kindGrants, client)).Min("0").Max("-1").Withscores().Cache()
		scores, err := (*conn).DoCache(ctx, ask, cacheFor).AsZScores()
		if err != nil {
			return nil, err
		}
		list := make([]Seen, len(scores))
		for i, s := range scores {
			if list[i], err = c.seen(ctx, kindGrants, client, s.Member, s.Score); err != nil {
				return nil, err
			}
		}
		return list, nil
	})
}

// Visit tells when the login has come from there last; never: the zero Time.
func (c *Client) Visit(login, client string) (time.Time, error) {
	return live(c, func(ctx context.Context) (time.Time, error) {
		conn := c.conn.Load()
		if conn == nil {
			return time.Time{}, ErrAway
		}
		ask := (*conn).B().Zscore().Key(key(kindVisits, login)).Member(client).Cache()
		score, err := (*conn).DoCache(ctx, ask, cacheFor).AsFloat64()
		if rueidis.IsRedisNil(err) {
			return time.Time{}, nil
		}
		if err != nil {
			return time.Time{}, err
		}
		s, err := c.seen(ctx, kindVisits, login, client, score)
		return s.Last, err
	})
}

// seen reads a time. One that is in the future, since the server's clock was set
// back, is mended there: it must not last for longer than others.
func (c *Client) seen(ctx context.Context, kind, name, member string, score float64) (Seen, error) {
	last, err := c.local(strconv.FormatFloat(score, 'f', 0, 64))
	if err != nil {
		return Seen{}, err
	}
	now := c.o.Now()
	if last.Sub(now) > ahead {
		last = now
		if err := c.run(ctx, c.seenOp(kind, name, "", now, 0, 0))[0].Error(); err != nil {
			return Seen{}, err
		}
	}
	return Seen{Name: member, Last: last}, nil
}
