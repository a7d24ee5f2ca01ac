package daemon

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/config"
	"portreeve/internal/explain"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

const (
	// maxIDs bounds the ids of one text.
	maxIDs = 50
	// maxSenders bounds the senders of one text: each is a look through the journal.
	maxSenders = 5
	// maxCandidates bounds what a sender without an id may mean.
	maxCandidates = 10
	// maxTimes bounds the times that candidates are looked for around.
	maxTimes = 4
	// nearTime is how far from such a time a candidate may be: clocks differ, and
	// so do zones.
	nearTime = 90 * time.Minute
	// maxNeighbours bounds what else is shown around one entry.
	maxNeighbours = 15
	// maxFailuresNear bounds the failed logins that are looked for around one entry.
	maxFailuresNear = 50
)

// Explain implements admin.Backend.
func (b backend) Explain(ctx context.Context, r admin.ExplainRequest) (admin.ExplainAnswer, error) {
	lang, err := explain.ParseLang(string(r.Lang))
	if err != nil {
		return admin.ExplainAnswer{}, errors.Join(err, admin.ErrRequest)
	}
	b.settle(ctx)
	x := explainer{backend: b, host: b.explainHost(lang)}
	x.answer = admin.ExplainAnswer{Found: []explain.Explanation{}, Unknown: []string{}, Missing: []explain.Missing{}}
	for i, id := range r.IDs {
		if i == maxIDs {
			x.missing(explain.TooManyIDs(len(r.IDs) - maxIDs))
			break
		}
		if err := x.id(ctx, id); err != nil {
			return x.answer, err
		}
	}
	for i, sender := range r.Senders {
		if i >= maxSenders {
			x.missing(explain.TooMany(sender))
			continue
		}
		if err := x.sender(ctx, sender, r); err != nil {
			return x.answer, err
		}
	}
	return x.answer, nil
}

// explainHost is what the explanations may know of this host.
func (b backend) explainHost(lang explain.Lang) explain.Host {
	c, state := b.config.Load(), b.gate.State()
	h := explain.Host{
		Now: b.Now(), Lang: lang, Name: b.host, Peers: b.peers(), Config: c.Path, Keep: c.Journal.Keep,
		Policy: state.Policy, Directory: state.Directory, Blocks: b.ledger.Blocks(b.Now(), b.window()),
	}
	if c.Directory.Source == config.SourceFile {
		h.Accounts = c.Directory.File
	} else {
		h.Source = sourceOf(c.Directory)
	}
	return h
}

// sourceOf says where accounts are that no file of ours has.
func sourceOf(d config.Directory) explain.Source {
	s := explain.Source{Kind: string(d.Source), Senders: d.Senders != (config.SendersSource{})}
	switch d.Source {
	case config.SourceSQL:
		s.Software = string(d.SQL.Schema)
	case config.SourceLDAP:
		l := d.LDAP
		s.Attributes = map[string]string{
			"smtp": l.SMTPAttribute, "forward": l.ForwardAttribute, "messages_per_hour": l.MessagesAttribute, "recipients_per_hour": l.RecipientsAttribute,
			"domains": l.DomainsAttribute, "addresses": l.AddressesAttribute, "senders": l.SendersAttribute,
		}
	}
	return s
}

// explainer collects one answer.
type explainer struct {
	backend
	host   explain.Host
	answer admin.ExplainAnswer
}

func (x *explainer) missing(m explain.Missing) {
	x.answer.Unknown = append(x.answer.Unknown, m.What)
	x.answer.Missing = append(x.answer.Missing, m)
}

// id looks one id up.
func (x *explainer) id(ctx context.Context, id string) error {
	if _, err := journal.ParseID(id); err != nil {
		x.missing(explain.UnknownID(id, &x.host))
		return nil
	}
	e, err := x.journal.Get(ctx, id)
	if errors.Is(err, journal.ErrUnknown) {
		x.missing(explain.UnknownID(id, &x.host))
		return nil
	}
	if err != nil {
		return err
	}
	return x.add(ctx, e, false)
}

// sender looks for what a reply without an id may be of.
func (x *explainer) sender(ctx context.Context, sender string, r admin.ExplainRequest) error {
	times := r.Times[:min(len(r.Times), maxTimes)]
	entries, err := x.shown(ctx, journal.Shown{Sender: sender, Since: r.Since}, times)
	if err == nil && len(entries) == 0 { // then it may be what another server has refused
		entries, err = x.shown(ctx, journal.Shown{Sender: sender, Since: r.Since, Observed: true}, times)
	}
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		x.missing(explain.UnknownSender(sender, r.Since, &x.host))
	}
	for _, e := range nearest(entries, times) {
		if err := x.add(ctx, e, true); err != nil {
			return err
		}
	}
	return nil
}

// shown looks for the newest, and for those near to each of the times.
func (x *explainer) shown(ctx context.Context, q journal.Shown, times []time.Time) ([]journal.Entry, error) {
	q.Limit = maxCandidates
	entries, err := x.journal.FindShownSender(ctx, q)
	for _, at := range times {
		if err != nil {
			break
		}
		var more []journal.Entry
		q.Since, q.Until = at.Add(-nearTime), at.Add(nearTime)
		more, err = x.journal.FindShownSender(ctx, q)
		entries = append(entries, more...)
	}
	return entries, err
}

// nearest puts what is nearest to one of the times first, and the newest first
// where there is none. It leaves out what stands twice.
func nearest(entries []journal.Entry, times []time.Time) []journal.Entry {
	seen := map[string]bool{}
	entries = slices.DeleteFunc(entries, func(e journal.Entry) bool {
		again := seen[e.ID]
		seen[e.ID] = true
		return again
	})
	distance := func(e journal.Entry) time.Duration {
		best := time.Duration(0)
		for i, at := range times {
			// The reply may be that of any of the refusals that share the id.
			d := max(e.Time.Sub(at), at.Sub(e.Last), 0)
			if i == 0 || d < best {
				best = d
			}
		}
		return best
	}
	slices.SortStableFunc(entries, func(a, b journal.Entry) int {
		return cmp.Or(cmp.Compare(distance(a), distance(b)), b.Time.Compare(a.Time))
	})
	return entries[:min(len(entries), maxCandidates)]
}

// add explains an entry, unless the answer has it: it may be named twice, or by
// its id and by its sender.
func (x *explainer) add(ctx context.Context, e journal.Entry, candidate bool) error {
	if slices.ContainsFunc(x.answer.Found, func(f explain.Explanation) bool { return f.ID == e.ID }) {
		return nil
	}
	n, err := x.neighbours(ctx, e)
	if err != nil {
		return err
	}
	one, err := explain.Of(ctx, e, x.host, n)
	if err != nil {
		return err
	}
	one.Candidate = candidate
	x.answer.Found = append(x.answer.Found, one)
	return nil
}

// neighbours looks for what else happened from the client and from the login.
func (x *explainer) neighbours(ctx context.Context, e journal.Entry) (n explain.Neighbours, err error) {
	client, err := netip.ParseAddr(e.Client)
	known := e.Client
	if err != nil {
		known = "" // "unknown" is nobody's address
	}
	login := e.Login
	if !strings.Contains(login, "@") {
		login = "" // it is kept as its first letter and its length, as others may be
	}
	// One more: the entry itself is among them.
	if n.Entries, n.More, err = x.journal.Near(ctx, known, login, e.Time, explain.Reach, maxNeighbours+1); err != nil {
		return n, err
	}
	since := e.Time.Add(-explain.Reach)
	for _, q := range []ledger.FailureQuery{
		{Client: client, Since: since, Limit: maxFailuresNear},
		{Login: login, Since: since, Limit: maxFailuresNear},
	} {
		if !q.Client.IsValid() && q.Login == "" {
			continue
		}
		found, err := x.ledger.FindFailures(ctx, q)
		if err != nil {
			return n, err
		}
		if q.Login != "" { // those from the client are there already
			found = slices.DeleteFunc(found, func(f rules.Failure) bool { return f.Client == client })
		}
		n.Failures = append(n.Failures, found...)
	}
	return n, nil
}
