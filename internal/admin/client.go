package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"portreeve/journal"
)

// ErrAway marks an error after which the daemon may come back by itself: it is being
// restarted. It has no text of its own.
var ErrAway = errors.New("")

// Client asks a running daemon.
type Client struct {
	http *http.Client
}

// NewClient asks over the given listener address.
func NewClient(network, address string) *Client {
	var d net.Dialer
	return &Client{
		http: &http.Client{
			Timeout: time.Minute,
			Transport: &http.Transport{
				DisableKeepAlives: true,
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return d.DialContext(ctx, network, address)
				},
			},
		},
	}
}

// call sends one request and reads its answer.
func call[Out any](ctx context.Context, c *Client, path string, in any) (out Out, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return out, fmt.Errorf("asking the daemon: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://portreeve"+path, bytes.NewReader(body))
	if err != nil {
		return out, fmt.Errorf("asking the daemon: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return out, unreachable(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		var p Problem
		if err := json.NewDecoder(res.Body).Decode(&p); err != nil || p.Error == "" {
			return out, fmt.Errorf("the daemon answered %s: see its log", res.Status)
		}
		return out, fmt.Errorf("the daemon says: %s", p.Error)
	}
	switch err := json.NewDecoder(res.Body).Decode(&out); {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return out, fmt.Errorf("the daemon ended while it answered: %w: ask again%w", err, ErrAway)
	case err != nil:
		return out, fmt.Errorf("reading the daemon's answer: %w: is it of the same version?", err)
	}
	return out, nil
}

// unreachable says why nobody answered, and what to do about it.
func unreachable(err error) error {
	var asked *url.Error // its text would name an HTTP address that nobody configured
	if errors.As(err, &asked) {
		err = asked.Err
	}
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the daemon cannot be reached: %w: run this as root or as a member of the daemon's group", err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("the daemon was not waited for: %w: ask again", err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("the daemon does not answer: %w: see its log%w", err, ErrAway)
	}
	return fmt.Errorf("the daemon cannot be reached: %w: start it with `portreeve serve`, or name its configuration with --config%w", err, ErrAway)
}

// Status asks how the daemon is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, "/v1/status", struct{}{})
}

// Explain asks for entries.
func (c *Client) Explain(ctx context.Context, r ExplainRequest) (ExplainAnswer, error) {
	return call[ExplainAnswer](ctx, c, "/v1/explain", r)
}

// Decisions asks for refusals, newest first.
func (c *Client) Decisions(ctx context.Context, r DecisionsRequest) ([]journal.Entry, error) {
	return call[[]journal.Entry](ctx, c, "/v1/decisions", r)
}

// Failures asks for the failed logins of a client or a login.
func (c *Client) Failures(ctx context.Context, r FailuresRequest) (FailuresAnswer, error) {
	return call[FailuresAnswer](ctx, c, "/v1/failures", r)
}

// Blocks asks who is blocked.
func (c *Client) Blocks(ctx context.Context, r BlocksRequest) ([]Block, error) {
	return call[[]Block](ctx, c, "/v1/blocks", r)
}

// Unblock lifts blocks.
func (c *Client) Unblock(ctx context.Context, r UnblockRequest) ([]Unblocked, error) {
	return call[[]Unblocked](ctx, c, "/v1/unblock", r)
}

// Reload makes the daemon read its configuration again.
func (c *Client) Reload(ctx context.Context) (Reloaded, error) {
	return call[Reloaded](ctx, c, "/v1/reload", struct{}{})
}

// Test asks what would be answered.
func (c *Client) Test(ctx context.Context, r TestRequest) (Tested, error) {
	return call[Tested](ctx, c, "/v1/test", r)
}

// Usage asks what an account has used of its sending limits.
func (c *Client) Usage(ctx context.Context, r UsageRequest) (UsageAnswer, error) {
	return call[UsageAnswer](ctx, c, "/v1/usage", r)
}

// Reset starts an account's sending limits afresh.
func (c *Client) Reset(ctx context.Context, r UsageRequest) (UsageAnswer, error) {
	return call[UsageAnswer](ctx, c, "/v1/reset", r)
}
