package listen

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Address is a place to listen at.
type Address struct {
	Network string // "unix" or "tcp"
	Addr    string // a path, or host:port as package net takes it; an empty host is all addresses
}

// Parse reads Postfix's notation (postconf(5), smtpd_milters):
// unix:/path or inet:host:port, an IPv6 host in brackets.
func Parse(s string) (Address, error) {
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "unix":
		if !strings.HasPrefix(rest, "/") {
			return Address{}, fmt.Errorf("address %q: the path is not absolute: write unix:/path", s)
		}
		// sockaddr_un holds 108 bytes with the final NUL (unix(7)).
		if len(rest) > 107 {
			return Address{}, fmt.Errorf("address %q: the path is longer than the 107 bytes of a unix socket: choose a shorter one", s)
		}
		if strings.IndexByte(rest, 0) >= 0 {
			return Address{}, fmt.Errorf("address %q: the path contains a NUL: remove it", s)
		}
		return Address{Network: "unix", Addr: rest}, nil
	case "inet":
		return parseInet(s, rest)
	default:
		return Address{}, fmt.Errorf("address %q: unknown kind of socket: write unix:/path or inet:host:port", s)
	}
}

func parseInet(s, rest string) (Address, error) {
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w: write inet:host:port, an IPv6 host in brackets", s, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return Address{}, fmt.Errorf("address %q: the port %q is no number from 0 to 65535: correct it", s, port)
	}
	if strings.ContainsAny(host, " \t\r\n\x00/") {
		return Address{}, fmt.Errorf("address %q: the host %q is no host name and no address: correct it", s, host)
	}
	return Address{Network: "tcp", Addr: net.JoinHostPort(host, port)}, nil
}

// String is the address in Postfix's notation.
func (a Address) String() string {
	if a.Network == "tcp" {
		return "inet:" + a.Addr
	}
	return a.Network + ":" + a.Addr
}
