package valkey

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// script is one of the Lua scripts.
type script struct{ text, sha string }

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text)) // how EVALSHA names scripts
	return &script{text, hex.EncodeToString(sum[:])}
}

var (
	//go:embed counter.lua
	counterText string
	//go:embed quota.lua
	quotaText string
	//go:embed latest.lua
	latestText string
	//go:embed entry.lua
	entryText string

	counterScript = newScript(counterText)
	quotaScript   = newScript(quotaText)
	latestScript  = newScript(latestText)
	entryScript   = newScript(entryText)
)

// op is one command, or one run of a script.
type op struct {
	script *script // nil: args begin with the command's name
	keys   []string
	args   []string
}

func (o op) build(b rueidis.Builder, text bool) rueidis.Completed {
	if o.script == nil {
		return b.Arbitrary(o.args[0]).Keys(o.keys...).Args(o.args[1:]...).Build()
	}
	name, what := "EVALSHA", o.script.sha
	if text {
		name, what = "EVAL", o.script.text
	}
	return b.Arbitrary(name).Args(what, strconv.Itoa(len(o.keys))).Keys(o.keys...).Args(o.args...).Build()
}

// run sends all together and returns an answer for each. A script that a server
// does not know has not run there, and is sent again with its text.
func (c *Client) run(ctx context.Context, ops ...op) []rueidis.RedisResult {
	conn := c.conn.Load()
	if conn == nil {
		none := make([]rueidis.RedisResult, len(ops))
		for i := range none {
			none[i] = rueidis.NewErrorResult(ErrAway)
		}
		return none
	}
	send := func(text bool, ops []op) []rueidis.RedisResult {
		list := make([]rueidis.Completed, len(ops))
		for i, o := range ops {
			list[i] = o.build((*conn).B(), text)
		}
		return (*conn).DoMulti(ctx, list...)
	}
	results := send(false, ops)
	var unknown []op
	var at []int
	for i, r := range results {
		if e, ok := rueidis.IsRedisErr(r.Error()); ok && e.IsNoScript() {
			unknown, at = append(unknown, ops[i]), append(at, i)
		}
	}
	if len(unknown) > 0 {
		for i, r := range send(true, unknown) {
			results[at[i]] = r
		}
	}
	return results
}

// texts runs one script and reads its answer, a list of texts.
func (c *Client) texts(ctx context.Context, o op, atLeast int) ([]string, error) {
	return textsOf(c.run(ctx, o)[0], atLeast)
}

func textsOf(r rueidis.RedisResult, atLeast int) ([]string, error) {
	list, err := r.AsStrSlice()
	if err != nil {
		return nil, err
	}
	if len(list) < atLeast {
		return nil, &refusedError{fmt.Errorf("an answer of %d parts where %d belong", len(list), atLeast)}
	}
	return list, nil
}

// micros is how the scripts read a duration or a time.
func micros(n int64) string { return strconv.FormatInt(n, 10) }

// clock is the time that a script is told: none, it has its own.
func (c *Client) clock() string {
	if c.o.Clock == nil {
		return ""
	}
	return micros(c.o.Clock().UnixMicro())
}

// server is a time of this host's clock as one of the server's. It is the same whenever
// it is told again; a script takes what is in the future as now.
func (c *Client) server(t time.Time) string {
	return micros(t.Add(time.Duration(c.offset.Load())).UnixMicro())
}

// local reads a time of the server as one of this host's clock.
func (c *Client) local(text string) (time.Time, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, &refusedError{fmt.Errorf("an answer has no time where one belongs: %w", err)}
	}
	if n == 0 {
		return time.Time{}, nil
	}
	return time.UnixMicro(n).Add(-time.Duration(c.offset.Load())).In(c.o.Now().Location()), nil
}

// measure learns how far apart the clocks are from a time that the server gave
// between two of ours. What may still be right stays as it is, so that one time is always
// told as the same.
func (c *Client) measure(server string, before, after time.Time) error {
	n, err := strconv.ParseInt(server, 10, 64)
	if err != nil {
		return &refusedError{fmt.Errorf("reading the server's clock: %w", err)}
	}
	if c.o.Clock == nil {
		least, most := time.UnixMicro(n).Sub(after), time.UnixMicro(n).Sub(before)
		if old := time.Duration(c.offset.Load()); !c.measured || old < least || old > most {
			c.offset.Store(int64(least + (most-least)/2))
		}
		c.measured = true
	}
	return nil
}
