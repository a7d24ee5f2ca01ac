package hostcheck

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"portreeve/internal/admin"
)

func checkDaemon(h *Host, r *Report) {
	s := h.Status
	if s == nil {
		return
	}
	if s.Config != h.Config.Path {
		r.advice(h.Config.Path, "the daemon that answers runs with "+s.Config, "name that file with --config, or restart the daemon with this one")
		return
	}
	if changed, err := h.Stat(h.Config.Path); err == nil && changed.After(s.Loaded) {
		r.advice(h.Config.Path, fmt.Sprintf("the file has been changed since the daemon read it (its mode is %q)", s.Mode), "portreeve reload")
	}
	if !s.Store.Up {
		r.problem(s.Store.Path, "the store cannot be written ("+s.Store.Error+")", "make room, or see the daemon's log")
	}
}

// A host without a single login: a quiet hour is likely, a quiet day is not.
const (
	quietAdvice  = time.Hour
	quietProblem = 24 * time.Hour
)

func checkReports(h *Host, r *Report) {
	s := h.Status
	if s == nil || h.Config.Listen.Auth.Addr == "" || s.Counts.AuthReports > 0 {
		return
	}
	up := s.Now.Sub(s.Since).Round(time.Minute)
	what := fmt.Sprintf("the daemon runs for %s, and Dovecot has told it of no login", up)
	const remedy = "see whether Dovecot's log complains of the auth policy server; reload Dovecot, then Postfix"
	switch {
	case up >= quietProblem:
		r.problem(h.Config.Path, what, remedy)
	case up >= quietAdvice:
		r.advice(h.Config.Path, what, remedy)
	}
}

// What makes an address worth a look. Below minReports chance decides.
const (
	minReports    = 100
	manyAccounts  = 5 // behind one address: a household or a small office has fewer
	largeOneFifth = 5
)

// checkTalkers: an address that stands for many people is listed as such, or
// its wrong passwords block all of them.
func checkTalkers(h *Host, r *Report) {
	if h.Status == nil || h.Status.Talkers.Reports < minReports {
		return
	}
	all := h.Status.Talkers.Reports
	for _, t := range h.Status.Talkers.Top {
		if h.known(t) {
			continue
		}
		share := fmt.Sprintf("%d of the %d logins since %s came from %s", t.Reports, all, h.Status.Talkers.Since.Local().Format("2006-01-02 15:04"), t.Client)
		switch {
		case t.Logins >= manyAccounts && t.Failures*10 < t.Reports:
			r.advice(h.Config.Path, fmt.Sprintf("%s, for at least %d accounts and mostly with the right password: is it a webmail server, a proxy or a NAT?", share, t.Logins),
				fmt.Sprintf("add %q to networks.webmail if it is your webmail, else to networks.shared", t.Client))
		case t.Reports*largeOneFifth > all:
			r.advice(h.Config.Path, share+", more than a fifth: is it a proxy, or somebody who guesses?",
				fmt.Sprintf("add %q to networks.shared if it stands for many people; see `portreeve failures %s`", t.Client, t.Client))
		}
	}
}

// known tells whether the address is listed as one that stands for many.
func (h *Host) known(t admin.Talker) bool {
	a, err := netip.ParseAddr(t.Client)
	if err != nil {
		return true // nobody could list it
	}
	n := h.Config.Networks
	return slices.ContainsFunc(slices.Concat(n.Trusted, n.Webmail, n.Shared), func(p netip.Prefix) bool { return p.Contains(a) })
}

// slack is what clocks of one host and its file server may differ.
const slack = 2 * time.Minute

// checkClock: windows, blocks and ids follow the clock. Whether it is right
// cannot be told from here; whether somebody keeps it, and whether it has
// visibly gone back, can.
func checkClock(h *Host, r *Report) {
	if known, synchronised := h.Synced(); known && !synchronised {
		r.advice(h.Config.Path, "the kernel's clock is not synchronised", "run an NTP client, such as systemd-timesyncd or chrony")
	}
	for what, at := range h.moments() {
		if ahead := at.Sub(h.Now).Round(time.Second); ahead > slack {
			r.problem(h.Config.Path, fmt.Sprintf("the clock says %s, but %s %s later: it was set back", h.Now.UTC().Format(time.RFC3339), what, ahead),
				"set the clock; failures and grants of the future count as of now")
		}
	}
}

func (h *Host) moments() map[string]time.Time {
	all := map[string]time.Time{}
	if at, err := h.Stat(h.Config.Store.Path); err == nil {
		all["the store was written"] = at
	}
	if h.Status != nil {
		all["the daemon was started"] = h.Status.Since
	}
	return all
}

// kernelClock asks the kernel (adjtimex(2)); reading needs no rights.
func kernelClock() (known, synchronised bool) {
	const timeError, unsynchronised = 5, 0x40
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	if err != nil {
		return false, false
	}
	return true, state != timeError && t.Status&unsynchronised == 0
}
