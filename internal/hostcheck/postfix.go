// Package hostcheck looks at the Postfix of this host for what the
// configuration cannot know.
package hostcheck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"

	"portreeve/internal/config"
	"portreeve/internal/tomlfile"
)

// Service is one smtpd of Postfix's master.cf that listens on a port.
type Service struct {
	Name string // as master.cf has it: smtp, 2525, 192.0.2.1:submission
	Port uint16
	Args string // its -o options, unparsed
}

// Postconf lists master.cf's services (postconf -M). It returns exec.ErrNotFound
// where there is no Postfix.
func Postconf(ctx context.Context) ([]byte, error) {
	path, err := exec.LookPath("postconf")
	if err != nil {
		return nil, exec.ErrNotFound
	}
	out, err := exec.CommandContext(ctx, path, "-M").Output()
	if err != nil {
		return nil, fmt.Errorf("postconf -M: %w", err)
	}
	return out, nil
}

// Services reads the output of postconf -M (master(5)).
func Services(listing string) []Service {
	var list []Service
	for line := range strings.Lines(listing) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "inet" || f[7] != "smtpd" {
			continue
		}
		name := f[0]
		if i := strings.LastIndexByte(name, ':'); i >= 0 {
			name = name[i+1:]
		}
		port, err := net.LookupPort("tcp", name)
		if err != nil {
			continue // a name that this host's services file does not know; Postfix says so itself
		}
		list = append(list, Service{Name: f[0], Port: uint16(port), Args: strings.Join(f[8:], " ")})
	}
	return list
}

// Ports names the services that ask Portreeve but whose port is in neither
// list of [ports]: they count as submission (SPEC.md section 3, rule 1).
func Ports(c *config.Config, services []Service) []tomlfile.Problem {
	var problems []tomlfile.Problem
	for _, s := range services {
		if slices.Contains(c.Ports.Submission, s.Port) || slices.Contains(c.Ports.Mixed, s.Port) || !asks(c, s) {
			continue
		}
		problems = append(problems, tomlfile.Problem{
			File: c.Path, Key: "ports",
			What:   fmt.Sprintf("Postfix's service %s asks Portreeve, but port %d is neither in ports.submission nor in ports.mixed, so it counts as submission", s.Name, s.Port),
			Remedy: fmt.Sprintf("add %d to one of the two", s.Port),
		})
	}
	return problems
}

// asks tells whether a service's own options name one of our sockets. What it
// takes from main.cf is not seen; the fragments in contrib/postfix set both here.
func asks(c *config.Config, s Service) bool {
	if strings.Contains(s.Args, "portreeve") {
		return true
	}
	for _, a := range []string{c.Listen.Policy.Addr, c.Listen.Milter.Addr} {
		if a != "" && strings.Contains(s.Args, a) {
			return true
		}
	}
	return false
}

// Postfix checks the configuration against this host's Postfix. Where there is
// none, there is nothing to check.
func Postfix(ctx context.Context, c *config.Config) []tomlfile.Problem {
	listing, err := Postconf(ctx)
	if errors.Is(err, exec.ErrNotFound) {
		return nil
	}
	if err != nil {
		return []tomlfile.Problem{{
			File: c.Path, What: "this host's Postfix could not be asked for its services (" + err.Error() + ")",
			Remedy: "run `postconf -M` by hand and mend what it says",
		}}
	}
	return Ports(c, Services(string(listing)))
}
