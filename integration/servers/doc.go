// Package servers runs Debian's own database servers for tests: each in a
// directory and on a loopback port of its own, beside whatever the machine runs.
// It needs root, since PostgreSQL will not run as root and is given another user.
package servers
