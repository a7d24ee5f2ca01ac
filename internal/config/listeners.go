package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"

	"portreeve/internal/listen"
)

// listener is one key of [listen].
type listener struct {
	key  string
	addr listen.Address
}

// active lists the listeners that are on.
func (l Listen) active() []listener {
	var on []listener
	for _, one := range []listener{
		{"listen.policy", l.Policy},
		{"listen.milter", l.Milter},
		{"listen.auth", l.Auth},
		{"listen.sasl", l.SASL},
		{"listen.admin", l.Admin},
		{"listen.web", l.Web},
	} {
		if one.addr.Addr != "" {
			on = append(on, one)
		}
	}
	return on
}

// empty tells whether a key was left empty, not merely misspelt.
func (k *checker) empty(key, value string) bool {
	return value == "" && !k.unreadable(key)
}

// listeners checks [listen] and what its keys need.
func (k *checker) listeners() {
	l := k.c.Listen
	if k.empty("listen.policy", l.Policy.Addr) && k.empty("listen.milter", l.Milter.Addr) &&
		k.empty("listen.auth", l.Auth.Addr) && k.empty("listen.sasl", l.SASL.Addr) {
		k.add("listen", "has nothing that Postfix or Dovecot could ask", "set policy or milter, or leave them out for their defaults")
	}
	if k.c.AuthFailures.RefuseAt == RefuseAtHelo && k.empty("listen.milter", l.Milter.Addr) {
		k.add("auth_failures.refuse_at", `= "helo" needs the milter, since nobody else is asked at HELO`, `set listen.milter, or write "mail"`)
	}
	if l.SASL.Addr != "" {
		if k.empty("sasl.upstream", k.c.SASL.Upstream.Addr) {
			k.add("listen.sasl", "needs sasl.upstream, since somebody has to check the passwords", "name Dovecot's auth-client socket in sasl.upstream")
		}
		if clash(l.SASL, k.c.SASL.Upstream) {
			k.add("sasl.upstream", "is Portreeve's own listen.sasl", "name Dovecot's auth-client socket there")
		}
	}
	if l.Admin.Network == "tcp" {
		k.add("listen.admin", fmt.Sprintf("= %q could be reached by everybody on this host, and nobody is asked for a password there", l.Admin),
			"use a unix socket, whose owner and group decide")
	}
	on := l.active()
	for i, one := range on {
		if len(l.Allow) == 0 && !loopback(one.addr) && !k.unreadable("listen.allow") {
			k.add(one.key, fmt.Sprintf("= %q can be reached from other hosts, but listen.allow is empty", one.addr),
				"name the networks that may reach it in listen.allow, or listen at 127.0.0.1")
		}
		for _, other := range on[:i] {
			if clash(one.addr, other.addr) {
				k.add(one.key, fmt.Sprintf("= %q is the address of %s, too", one.addr, other.key), "give each listener an address of its own")
			}
		}
	}
}

// loopback tells whether only this host can reach the address. A host name
// other than localhost is somebody else's to define, so it is not.
func loopback(a listen.Address) bool {
	if a.Network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return host == "localhost"
}

// clash tells whether only one of the two can be listened at. All addresses of
// the host clash with each of them.
func clash(a, b listen.Address) bool {
	if a.Network != b.Network || a.Addr == "" {
		return false
	}
	if a.Network == "unix" {
		return filepath.Clean(a.Addr) == filepath.Clean(b.Addr)
	}
	hostA, portA, errA := net.SplitHostPort(a.Addr)
	hostB, portB, errB := net.SplitHostPort(b.Addr)
	if errA != nil || errB != nil {
		return a.Addr == b.Addr
	}
	// Port 0 is a free port, chosen when the socket is opened.
	return portA == portB && portA != "0" && (hostA == hostB || wildcard(hostA) || wildcard(hostB))
}

func wildcard(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}
