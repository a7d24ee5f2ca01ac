package valkey

import (
	"context"
	"strconv"
	"strings"
)

// nearlyFull is the part of maxmemory above which nothing is added that need not be.
const nearlyFull = 0.75

// Memory is what the servers say of theirs.
type Memory struct {
	Used, Most int64  // bytes, of the fullest server; Most is 0 without a bound
	Policy     string // of eviction, of a server that has another than noeviction
}

// Full tells whether the store's memory is nearly used up: what need not be there
// should not be added.
func (c *Client) Full() bool {
	m := c.memory.Load()
	return m != nil && m.share() > nearlyFull
}

// Evicts tells whether a server forgets what it was told rather than refuse more.
func (m Memory) Evicts() bool { return m.Most > 0 && m.Policy != noEviction }

func (m Memory) share() float64 {
	if m.Most == 0 {
		return 0
	}
	return float64(m.Used) / float64(m.Most)
}

// ReadMemory asks each server. One that does not answer, or may not (ACL), is left out:
// a replica's absence is no failure of the store.
func (c *Client) ReadMemory(ctx context.Context) Memory {
	worst := Memory{Policy: noEviction}
	conn := c.conn.Load()
	if conn == nil {
		return worst
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	for _, node := range (*conn).Nodes() {
		info, err := node.Do(ctx, node.B().Info().Section("memory").Build()).ToString()
		if err != nil {
			continue
		}
		m := parseMemory(info)
		if m.share() >= worst.share() {
			worst.Used, worst.Most = m.Used, m.Most
		}
		if m.Policy != noEviction {
			worst.Policy = m.Policy
		}
	}
	c.memory.Store(&worst)
	return worst
}

const noEviction = "noeviction"

func parseMemory(info string) Memory {
	m := Memory{Policy: noEviction}
	fields := parseInfo(info)
	m.Used, _ = strconv.ParseInt(fields["used_memory"], 10, 64) // 0 is "not said"
	m.Most, _ = strconv.ParseInt(fields["maxmemory"], 10, 64)
	if policy := fields["maxmemory_policy"]; policy != "" {
		m.Policy = policy
	}
	return m
}

// parseInfo reads what INFO answers.
func parseInfo(info string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}
