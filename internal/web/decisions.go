package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"portreeve/internal/admin"
	"portreeve/journal"
	"portreeve/rules"
)

// pageRefusals bounds the refusals of one page.
const pageRefusals = 100

// reach is one choice of how far back to look.
type reach struct {
	Key, Name string
	Back      time.Duration
}

// reaches are the choices; the second is taken unless another is named.
var reaches = []reach{
	{"1h", "the last hour", time.Hour},
	{"24h", "the last 24 hours", 24 * time.Hour},
	{"7d", "the last 7 days", 7 * 24 * time.Hour},
	{"30d", "the last 30 days", 30 * 24 * time.Hour},
}

func reachOf(key string) reach {
	for _, one := range reaches {
		if one.Key == key {
			return one
		}
	}
	return reaches[1]
}

// decisionsData is the page of refusals.
type decisionsData struct {
	frame
	Login, IP, Sender, Rule, Outcome string
	Since                            reach
	Refusals                         part[[]journal.Entry]
	Older                            string // link to those before; empty if there are none
	Newest                           bool   // nothing newer is left out
	Renewed                          string // link to the page that renews itself, or stops to
}

// Reaches, Rules and Outcomes are the choices of the form.
func (decisionsData) Reaches() []reach { return reaches }

// Rules lists what a refusal may be by.
func (decisionsData) Rules() []rules.Rule { return counted[:] }

// Outcomes lists what may have become of a client.
func (decisionsData) Outcomes() [][2]string {
	return [][2]string{{"", "any"}, {"refused", "refused"}, {"observed", "would be refused"}}
}

// refusals is a table of them.
type refusals struct {
	List []journal.Entry
	Now  time.Time
}

func (d *desk) decisions(w http.ResponseWriter, r *http.Request) {
	field := func(name string) string { return strings.TrimSpace(r.Form.Get(name)) }
	data := decisionsData{
		frame: d.frame(r, "Recent refusals"),
		Login: field("login"), IP: field("ip"), Sender: field("sender"), Rule: field("rule"), Outcome: field("outcome"),
		Since: reachOf(field("since")),
	}
	q := admin.DecisionsRequest{
		Login: data.Login, Client: data.IP, Sender: strings.Trim(data.Sender, "<>"), Rule: data.Rule,
		Since: d.Now().Add(-data.Since.Back), Limit: pageRefusals + 1,
	}
	if data.Outcome == "refused" || data.Outcome == "observed" {
		observed := data.Outcome == "observed"
		q.Observed = &observed
	}
	if before, err := strconv.ParseInt(field("before"), 10, 64); err == nil && before > 0 {
		q.Until = time.Unix(0, before)
	}
	data.Newest = q.Until.IsZero()
	data.Live = data.Newest && field("live") != ""
	data.Refusals = partOf[[]journal.Entry](d, r)(d.Backend.Decisions(r.Context(), q))
	here := relative(r)
	if list := data.Refusals.Value; len(list) > pageRefusals {
		data.Refusals.Value = list[:pageRefusals]
		if id, err := journal.ParseID(list[pageRefusals-1].ID); err == nil {
			data.Older = withQuery(withQuery(here, "before", strconv.FormatInt(id.Time().UnixNano(), 10)), "live", "")
		}
	}
	data.Renewed = withQuery(here, "live", "")
	if !data.Live {
		data.Renewed = withQuery(withQuery(here, "live", "on"), "before", "")
	}
	d.render(w, http.StatusOK, "decisions", data)
}
