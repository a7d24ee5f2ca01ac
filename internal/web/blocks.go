package web

import (
	"net/http"
	"net/url"
	"strings"

	"portreeve/internal/admin"
)

// pageBlocks bounds the blocks of their own page.
const pageBlocks = 200

// blocksData is the page of blocked clients.
type blocksData struct {
	frame
	IP, Login string // what is looked for
	Lifted    string // what has just been unblocked
	Blocks    part[blockList]
}

func (d *desk) blocks(w http.ResponseWriter, r *http.Request) {
	data := blocksData{
		frame: d.frame(r, "Blocked clients"),
		IP:    strings.TrimSpace(r.Form.Get("ip")), Login: strings.TrimSpace(r.Form.Get("login")),
	}
	status, err := d.Backend.Status(r.Context())
	if err != nil {
		d.backendError(w, r, err)
		return
	}
	data.Blocks = d.listBlocks(r, admin.BlocksRequest{Client: data.IP, Login: data.Login}, status.Blocked, pageBlocks)
	data.Lifted = d.lifted(r)
	d.render(w, http.StatusOK, "blocks", data)
}

// None is said of an empty list: those that were not asked for may be blocked.
func (b blocksData) None() string {
	if b.IP+b.Login != "" {
		return "No such client is blocked."
	}
	return "Nobody is blocked."
}

// unblock lifts a client's block.
func (d *desk) unblock(w http.ResponseWriter, r *http.Request) {
	address := r.PostForm.Get("address")
	result, err := d.Backend.Unblock(r.Context(), admin.UnblockRequest{Addresses: []string{address}})
	if err != nil {
		d.backendError(w, r, err)
		return
	}
	for _, one := range result {
		d.Log.Info("unblocked on the help-desk page", "client", one.Address, "lifted", one.Lifted, "by", origin(r), "peer", r.RemoteAddr)
	}
	redirect(w, withQuery(safe(r.PostForm.Get("back")), "lifted", address))
}

// lifted is the address that the browser was sent back for, if it is true that
// nothing holds it any more: anybody can write a link.
func (d *desk) lifted(r *http.Request) string {
	address := r.Form.Get("lifted")
	if address == "" {
		return ""
	}
	f, err := d.Backend.Failures(r.Context(), admin.FailuresRequest{Of: address, Limit: 1})
	if err != nil || !f.Client || f.Until != nil {
		return ""
	}
	return f.Of
}

// lookLink is the page of an address or a login.
func lookLink(of string) string { return "./look?q=" + url.QueryEscape(of) }

// withQuery sets one value of a link's query, or removes it.
func withQuery(link, key, value string) string {
	path, query, _ := strings.Cut(link, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		values = url.Values{}
	}
	values.Set(key, value)
	if value == "" {
		values.Del(key)
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}
