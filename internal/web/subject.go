package web

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/gate"
	"portreeve/journal"
)

const (
	// subjectBack is how far back the page of an address or a login looks.
	subjectBack = 24 * time.Hour
	// subjectRows bounds each of its lists.
	subjectRows = 30
)

// subjectData is the page of one address, network, login or sender.
type subjectData struct {
	frame
	Of       string
	Client   bool // an address or a network, not a login
	Network  bool // one that many blocks may be in
	Lifted   string
	Reset    bool // its usage has just been reset
	Failures part[admin.FailuresAnswer]
	Blocks   part[blockList] // that failed logins for it led to, or that are in a network
	Refusals part[[]journal.Entry]
	Usage    part[admin.UsageAnswer]
	Back     string
}

func (d *desk) subject(w http.ResponseWriter, r *http.Request, of string) {
	data := subjectData{frame: d.frame(r, of), Of: of, Client: isClient(of), Back: lookLink(of)}
	data.Text = of
	since := d.Now().Add(-subjectBack)
	failures, err := d.Backend.Failures(r.Context(), admin.FailuresRequest{Of: of, Since: since, Limit: subjectRows + 1})
	data.Failures = partOf[admin.FailuresAnswer](d, r)(failures, err)
	requests := []admin.DecisionsRequest{{Client: of}}
	switch {
	case data.Client && errors.Is(err, admin.ErrRequest): // it is wider than one block
		data.Network = true
		data.Blocks = d.blocksBy(r, of, admin.BlocksRequest{Client: of})
	case !data.Client:
		requests = []admin.DecisionsRequest{{Login: of}, {Sender: of}}
		data.Usage = partOf[admin.UsageAnswer](d, r)(d.Backend.Usage(r.Context(), admin.UsageRequest{Login: of}))
		data.Reset = r.Form.Get("reset") != "" && data.Usage.Error == "" && data.Usage.Value.Messages == 0
		data.Blocks = d.blocksBy(r, of, admin.BlocksRequest{Login: of})
	}
	data.Refusals = d.refusalsOf(r, since, requests)
	data.Lifted = d.lifted(r)
	d.render(w, http.StatusOK, "subject", data)
}

// isClient tells an address or a network from a login.
func isClient(of string) bool {
	if _, err := netip.ParseAddr(of); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(of)
	return err == nil
}

// blocksBy lists the blocks that a login's failures have led to, or a network's.
func (d *desk) blocksBy(r *http.Request, of string, q admin.BlocksRequest) part[blockList] {
	status, err := d.Backend.Status(r.Context())
	if err != nil {
		return part[blockList]{Error: d.sentence(r, err)}
	}
	list := d.listBlocks(r, q, status.Blocked, subjectRows)
	list.Value.Back = lookLink(of)
	return list
}

// refusalsOf joins what several questions find, newest first.
func (d *desk) refusalsOf(r *http.Request, since time.Time, requests []admin.DecisionsRequest) part[[]journal.Entry] {
	var (
		all  []journal.Entry
		errs []error
	)
	for _, q := range requests {
		q.Since, q.Limit = since, subjectRows+1
		found, err := d.Backend.Decisions(r.Context(), q)
		errs = append(errs, err)
		for _, e := range found {
			if !slices.ContainsFunc(all, func(known journal.Entry) bool { return known.ID == e.ID }) {
				all = append(all, e)
			}
		}
	}
	slices.SortFunc(all, func(a, b journal.Entry) int { return strings.Compare(b.ID, a.ID) }) // an id begins with its time
	return part[[]journal.Entry]{Value: all, Error: d.sentence(r, errors.Join(errs...))}
}

// MoreRefusals tells whether there are more than are shown.
func (s subjectData) MoreRefusals() bool { return len(s.Refusals.Value) > subjectRows }

// Shown are the refusals of the table.
func (s subjectData) Shown() []journal.Entry {
	return s.Refusals.Value[:min(len(s.Refusals.Value), subjectRows)]
}

// Blocked tells whether the client is blocked now.
func (s subjectData) Blocked() bool { return s.Client && s.Failures.Value.Until != nil }

// reset starts an account's hour afresh.
func (d *desk) reset(w http.ResponseWriter, r *http.Request) {
	login := r.PostForm.Get("login")
	answer, err := d.Backend.Reset(r.Context(), admin.UsageRequest{Login: login})
	if err != nil {
		d.backendError(w, r, err)
		return
	}
	d.Log.Info("sending limits reset on the help-desk page", "login", answer.Login, "by", origin(r), "peer", r.RemoteAddr)
	redirect(w, withQuery(lookLink(login), "reset", "done"))
}

// attempt is what failed for one login from one client.
type attempt struct {
	Login, Client string
	Count         int
	First, Last   time.Time
}

// tallied joins failed logins, in the order in which they come.
func tallied(list []gate.FailureFact) []*attempt {
	var all []*attempt
	for _, f := range list {
		i := slices.IndexFunc(all, func(a *attempt) bool { return a.Login == f.Login && a.Client == f.Client })
		if i < 0 {
			i = len(all)
			all = append(all, &attempt{Login: f.Login, Client: f.Client, First: f.Time, Last: f.Time})
		}
		one := all[i]
		one.Count++
		if f.Time.Before(one.First) {
			one.First = f.Time
		}
		if f.Time.After(one.Last) {
			one.Last = f.Time
		}
	}
	return all
}

// failures is a table of failed logins of one address or login.
type failures struct {
	List            []gate.FailureFact
	Now             time.Time
	More            bool
	Logins, Clients bool // the columns that say more than the page's heading
}

func newFailures(s subjectData) failures {
	list := s.Failures.Value.Failures
	f := failures{List: list[:min(len(list), subjectRows)], Now: s.Now, More: len(list) > subjectRows}
	for _, one := range f.List {
		f.Logins = f.Logins || !strings.EqualFold(one.Login, s.Of)
		f.Clients = f.Clients || one.Client != s.Of
	}
	return f
}
