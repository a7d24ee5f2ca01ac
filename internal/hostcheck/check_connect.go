package hostcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"portreeve/internal/hostcheck/postfix"
	"portreeve/internal/listen"
)

const remedySetup = "look at what `portreeve setup postfix` proposes"

func checkConnected(h *Host, r *Report) {
	if h.Postfix != nil && !h.Connected() {
		r.problem(h.masterCF(), "Postfix asks Portreeve on no port, so no rule holds", remedySetup)
	}
}

// checkPorts: what is in neither list counts as submission (SPEC.md section 3, rule 1);
// where people log in and nobody asks Portreeve, no rule holds.
func checkPorts(h *Host, r *Report) {
	if h.Postfix == nil {
		return
	}
	served := map[uint16]bool{}
	for _, s := range h.Postfix.Services {
		served[s.Port] = true
		_, listed := Kind(h.Config, s)
		switch {
		case listed:
		case h.asks(s):
			r.problem(h.Config.Path,
				fmt.Sprintf("Postfix's service %s asks Portreeve, but port %d is neither in ports.submission nor in ports.mixed, so it counts as submission", s.Name, s.Port),
				fmt.Sprintf("add %d to one of the two", s.Port))
		case h.Connected() && s.Yes("smtpd_sasl_auth_enable") && !Loopback(s):
			add := r.advice // main.cf turns AUTH on for everybody: perhaps nobody logs in there
			if s.Own("smtpd_sasl_auth_enable") {
				add = r.problem
			}
			add(h.masterCF(), fmt.Sprintf("Postfix's service %s offers AUTH, but port %d is neither in ports.submission nor in ports.mixed, and Portreeve is not asked there, so no rule holds", s.Name, s.Port),
				fmt.Sprintf("add %d to ports.submission in %s, run `portreeve reload`, and %s; or set -o smtpd_sasl_auth_enable=no for it", s.Port, h.Config.Path, remedySetup))
		}
	}
	for _, port := range slices.Concat(h.Config.Ports.Submission, h.Config.Ports.Mixed) {
		if !served[port] {
			r.advice(h.Config.Path, fmt.Sprintf("port %d is listed in [ports], but Postfix serves nobody there", port),
				remedySetup+", or take the port out of the list")
		}
	}
}

// Loopback tells whether only this host reaches a service, as one of re-injection.
func Loopback(s *postfix.Service) bool {
	return strings.HasPrefix(s.Name, "127.") || strings.HasPrefix(s.Name, "localhost:") || strings.HasPrefix(s.Name, "[::1]:")
}

// checkReadable: the other checks take what cannot be read for empty.
func checkReadable(h *Host, r *Report) {
	for _, sentence := range h.failed {
		i := strings.LastIndex(sentence, ": ")
		r.problem(h.Config.Path, sentence[:i], sentence[i+2:])
	}
	for _, s := range h.guarded() {
		if s.Stray != "" {
			r.problem(h.masterCF(), fmt.Sprintf("%s has the argument %q, which is no option, so that it does not start", s.ID(), s.Stray),
				"comment the line out, or write -o before it")
		}
		_, err := s.Milters()
		errs := []error{err}
		for _, name := range restrictionLists {
			_, err := s.List(name)
			errs = append(errs, err)
		}
		for _, err := range errs {
			switch {
			case errors.Is(err, postfix.ErrExpand):
				r.skipped(err.Error())
			case err != nil:
				r.problem(h.masterCF(), err.Error(), "Postfix complains of it in its log as well")
			}
		}
	}
}

// use is one place where a service names a socket.
type use struct {
	service  *postfix.Service
	where    string // the parameter
	endpoint string
	key      string         // ours: listen.…
	ours     listen.Address // which it should be
}

// uses lists what the services ask of Portreeve, by the names of the sockets.
func (h *Host) uses() []use {
	if h.Postfix == nil {
		return nil
	}
	var list []use
	l := h.Config.Listen
	add := func(s *postfix.Service, where, endpoint, key string, ours listen.Address) {
		if Meant(endpoint) || Ours(s, endpoint, ours) {
			list = append(list, use{s, where, endpoint, key, ours})
		}
	}
	for _, s := range h.Postfix.Services {
		for _, m := range h.milters(s) {
			add(s, "smtpd_milters", m.Endpoint, "listen.milter", l.Milter)
		}
		for _, name := range restrictionLists {
			for _, e := range h.list(s, name) {
				if p, ok := e.Policy(); ok {
					add(s, name, p.Endpoint, "listen.policy", l.Policy)
				}
			}
		}
		if s.Yes("smtpd_sasl_auth_enable") && s.Get("smtpd_sasl_type") == "dovecot" {
			add(s, "smtpd_sasl_path", s.Get("smtpd_sasl_path"), "listen.sasl", l.SASL)
		}
	}
	return list
}

func checkAddresses(h *Host, r *Report) {
	for _, u := range h.uses() {
		if Ours(u.service, u.endpoint, u.ours) {
			continue
		}
		network, addr, err := u.service.Endpoint(u.endpoint)
		if err != nil {
			r.problem(h.masterCF(), fmt.Sprintf("%s of %s: %v", u.where, u.service.ID(), err), remedySetup)
			continue
		}
		there := listen.Address{Network: network, Addr: addr}
		if u.ours.Addr == "" {
			r.problem(h.masterCF(), fmt.Sprintf("%s of %s asks at %s, but %s is off", u.where, u.service.ID(), there, u.key),
				fmt.Sprintf("set %s = %q in %s and restart Portreeve, or %s", u.key, there, h.Config.Path, remedySetup))
			continue
		}
		r.problem(h.masterCF(), fmt.Sprintf("%s of %s asks at %s, but %s is %s", u.where, u.service.ID(), there, u.key, u.ours),
			"name the same place in both; "+remedySetup)
	}
}

// checkSockets walks as Postfix's user to each socket that is asked, Dovecot's
// included, and knocks.
func checkSockets(h *Host, r *Report) {
	type place struct {
		addr     listen.Address
		chrooted bool
	}
	seen := map[place]bool{}
	for _, u := range h.uses() {
		at := place{u.ours, u.service.Chrooted()}
		if seen[at] || !Ours(u.service, u.endpoint, u.ours) {
			continue
		}
		seen[at] = true
		h.reach(r, u)
		h.knock(r, u.key, u.ours)
	}
	h.authSockets(r)
}

// authSockets: a service that offers AUTH and has nobody to ask about it ends
// before it greets ("no SASL authentication mechanisms"), on port 25 too.
func (h *Host) authSockets(r *Report) {
	seen := map[string]bool{}
	for _, s := range h.guarded() {
		path := s.Get("smtpd_sasl_path")
		network, addr, err := s.Endpoint(path)
		if !s.Yes("smtpd_sasl_auth_enable") || s.Get("smtpd_sasl_type") != "dovecot" || err != nil || seen[addr] ||
			Meant(path) || Ours(s, path, h.Config.Listen.SASL) || h.Dovecot != nil && network == "unix" && !h.dovecotListens(addr) {
			continue // what is ours is knocked at; of what Dovecot does not make, checkSASL tells
		}
		seen[addr] = true
		const name = "Dovecot's auth socket, and greets nobody"
		h.reachable(r, listen.Address{Network: network, Addr: addr}, name, "give that unix_listener mode = 0660 and user = postfix, and reload Dovecot")
		if err := h.Dial(network, addr); err != nil && !denied(err) {
			r.problem(addr, fmt.Sprintf("nobody answers at smtpd_sasl_path of %s (%v), and Postfix greets nobody on a port that offers AUTH", s.ID(), err),
				"start Dovecot: systemctl start dovecot")
		}
	}
}

func (h *Host) reach(r *Report, u use) {
	h.reachable(r, u.ours, u.key, "restart Portreeve, which makes its sockets 0666")
}

// reachable walks to a unix socket as Postfix's user; remedy is for a socket
// that it may not write to.
func (h *Host) reachable(r *Report, at listen.Address, name, remedy string) {
	if at.Network != "unix" {
		return
	}
	owner := h.Postfix.Main["mail_owner"]
	who, err := h.Who(owner)
	if err != nil {
		r.skipped(fmt.Sprintf("whether Postfix reaches its sockets (%v): is Postfix's mail_owner, %s, a user of this host?", err, owner))
		return
	}
	err = ReachFrom(h.Postfix.Main["queue_directory"], at.Addr, who)
	var barrier *Barrier
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist): // knock tells
	case errors.As(err, &barrier) && barrier.Mode.IsDir():
		r.problem(barrier.Path, barrier.Error()+", so Postfix cannot ask at "+name,
			fmt.Sprintf("chgrp postfix %s && chmod 0750 %s", barrier.Path, barrier.Path))
	case errors.As(err, &barrier):
		r.problem(barrier.Path, barrier.Error()+", so Postfix cannot ask at "+name, remedy)
	default:
		r.skipped(fmt.Sprintf("whether %s reaches %s (%v): run this as root", owner, at.Addr, err))
	}
}

// knock tells whether anybody listens.
func (h *Host) knock(r *Report, key string, addr listen.Address) {
	err := h.Dial(addr.Network, addr.Addr)
	switch {
	case err == nil:
	case denied(err):
		r.skipped(fmt.Sprintf("whether anybody answers at %s (%v): run this as root", addr, err))
	default:
		r.problem(h.Config.Path, fmt.Sprintf("nobody answers at %s = %q (%v), and mail is deferred", key, addr, err),
			"start Portreeve: systemctl start portreeve")
	}
}
