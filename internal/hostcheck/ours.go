package hostcheck

import (
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"portreeve/internal/hostcheck/postfix"
	"portreeve/internal/listen"
)

// Ours tells whether a socket that a service names is one of our listeners.
func Ours(s *postfix.Service, endpoint string, l listen.Address) bool {
	network, addr, err := s.Endpoint(endpoint)
	return err == nil && SameAddress(network, addr, l)
}

// SameAddress compares a place to connect to with a listener.
func SameAddress(network, addr string, l listen.Address) bool {
	if l.Addr == "" || network != l.Network {
		return false
	}
	if network == "unix" {
		return filepath.Clean(addr) == filepath.Clean(l.Addr)
	}
	host, port, err := net.SplitHostPort(addr)
	ours, ourPort, err2 := net.SplitHostPort(l.Addr)
	if err != nil || err2 != nil || port != ourPort {
		return false
	}
	a, b := hostAddress(host), hostAddress(ours)
	// A listener at all addresses is reached by each of them.
	return a == b || ours == "" || b.IsUnspecified() && b.IsValid()
}

// hostAddress knows one name; others are somebody else's to define.
func hostAddress(host string) netip.Addr {
	if host == "localhost" {
		host = "127.0.0.1"
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}

// Meant tells whether a socket is Portreeve's by its name, though perhaps not
// where it listens.
func Meant(endpoint string) bool { return strings.Contains(endpoint, "portreeve") }

// policyIndex finds our policy service in a list: with a context, or without.
// It is -1 if the list does not ask it.
func (h *Host) policyIndex(s *postfix.Service, list []postfix.Restriction, context string) int {
	for i, r := range list {
		p, ok := r.Policy()
		if ok && p.Context == context && Ours(s, p.Endpoint, h.Config.Listen.Policy) {
			return i
		}
	}
	return -1
}

// list reads a restriction list; what cannot be read is checkReadable's.
func (h *Host) list(s *postfix.Service, name string) []postfix.Restriction {
	list, err := s.List(name)
	if err != nil {
		return nil
	}
	return list
}

// milterIndex finds our milter, or -1.
func (h *Host) milterIndex(s *postfix.Service, list []postfix.Milter) int {
	for i, m := range list {
		if Ours(s, m.Endpoint, h.Config.Listen.Milter) {
			return i
		}
	}
	return -1
}

// milters reads smtpd_milters; what cannot be read is checkReadable's.
func (h *Host) milters(s *postfix.Service) []postfix.Milter {
	list, err := s.Milters()
	if err != nil {
		return nil
	}
	return list
}

// restrictionLists are all lists of an smtpd, in the order of a session.
var restrictionLists = []string{
	"smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions",
	"smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions",
}

// asks tells whether a service asks Portreeve anything.
func (h *Host) asks(s *postfix.Service) bool {
	for _, m := range h.milters(s) {
		if Meant(m.Endpoint) || Ours(s, m.Endpoint, h.Config.Listen.Milter) {
			return true
		}
	}
	for _, name := range restrictionLists {
		for _, r := range h.list(s, name) {
			if p, ok := r.Policy(); ok && (Meant(p.Endpoint) || Ours(s, p.Endpoint, h.Config.Listen.Policy)) {
				return true
			}
		}
	}
	return false
}

// Connected tells whether any service asks Portreeve.
func (h *Host) Connected() bool {
	if h.Postfix == nil {
		return false
	}
	for _, s := range h.Postfix.Services {
		if h.asks(s) {
			return true
		}
	}
	return false
}
