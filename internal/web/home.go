package web

import (
	"net/http"

	"portreeve/internal/admin"
	"portreeve/journal"
)

const (
	// homeRefusals and homeBlocks bound what the first page lists.
	homeRefusals = 15
	homeBlocks   = 8
	// mostBlocks is the number of blocks above which they are not listed: all of
	// them are copied for it while mail waits for the same lock.
	mostBlocks = 20000
)

// homeData is the first page.
type homeData struct {
	frame
	Status   part[admin.Status]
	Chart    chart
	Blocks   part[blockList]
	Refusals part[[]journal.Entry]
}

func (d *desk) home(w http.ResponseWriter, r *http.Request) {
	data := homeData{frame: d.frame(r, "Help desk"), Chart: newChart(d.Hour.counts(d.Now()), d.Zone)}
	data.Box = true
	data.Status = partOf[admin.Status](d, r)(d.Backend.Status(r.Context()))
	data.Blocks = d.listBlocks(r, admin.BlocksRequest{}, data.Status.Value.Blocked, homeBlocks)
	data.Refusals = partOf[[]journal.Entry](d, r)(d.Backend.Decisions(r.Context(), admin.DecisionsRequest{Limit: homeRefusals}))
	d.render(w, http.StatusOK, "home", data)
}

// blockList is the blocks that are shown, of how many.
type blockList struct {
	Shown   []admin.Block
	Total   int  // in force, or that the filter found
	TooMany bool // to be listed
	Back    string
}

// Cut tells whether there are more than are shown.
func (l blockList) Cut() bool { return l.Total > len(l.Shown) }

// listBlocks lists the latest blocks, unless there are too many of them.
func (d *desk) listBlocks(r *http.Request, q admin.BlocksRequest, blocked, most int) part[blockList] {
	list := blockList{Total: blocked, Back: relative(r)}
	if blocked > mostBlocks {
		list.TooMany = true
		return part[blockList]{Value: list}
	}
	found, err := d.Backend.Blocks(r.Context(), q)
	if err != nil {
		return part[blockList]{Value: list, Error: d.sentence(r, err)}
	}
	list.Total, list.Shown = len(found), found[:min(len(found), most)]
	return part[blockList]{Value: list}
}
