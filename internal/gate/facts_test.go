package gate

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/rules"
)

// frozen is a directory that answers nobody.
type frozen struct{}

func wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	<-ctx.Done()
	return ctx.Err()
}

func (frozen) Account(ctx context.Context, _ string) (*rules.Account, bool, error) {
	return nil, false, wait(ctx)
}

func (frozen) Domains(ctx context.Context, _ string) ([]string, bool, error) {
	return nil, false, wait(ctx)
}
func (frozen) Addresses(ctx context.Context, _ string) ([]string, error) { return nil, wait(ctx) }
func (frozen) Senders(ctx context.Context, _ string) ([]string, error)   { return nil, wait(ctx) }
func (frozen) Local(ctx context.Context, _ string) (bool, error)         { return false, wait(ctx) }

// With on_failure = "accept" a decision asks on after a failure; it must not wait
// anew each time.
func TestOneDecisionWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gate{Options: Options{Log: slog.New(slog.DiscardHandler), Meter: &meter{decided: map[string]int{}}}}
		p := &rules.Policy{
			Submission: []uint16{587}, OnFailure: rules.FailAccept, Replies: rules.DefaultReplies(),
			Sender: rules.SenderPolicy{ByAddress: true},
		}
		r := &rules.Request{Stage: rules.StageMail, Port: 587, Login: "jan@domena.cz", Sender: "eva@domena.eu", Time: time.Now()}
		f := newFacts(context.Background(), g, &State{Policy: p, Directory: frozen{}}, r)
		began := time.Now()
		d := p.Decide(r, f)
		if state := f.Local("domena.cz"); state != rules.Failed {
			t.Errorf("a frozen directory says %v", state)
		}
		if took := time.Since(began); took > 2500*time.Millisecond || d.Action != rules.Pass || len(d.Accepted) != 2 {
			t.Errorf("%v, with %v accepted, after %s", d.Action, d.Accepted, took)
		}
	})
}
