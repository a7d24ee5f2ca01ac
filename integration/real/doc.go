// Package real runs stories on the real programs: private instances of Postfix
// and Dovecot, each on a loopback address of its own, beside whatever mail
// server the machine may have. They load the files of contrib/, byte for byte;
// what differs for the test stands in postfix.go and dovecot.go, with the
// reason. Portreeve is a fresh process with fresh state for every story. All
// instances that log to the journal share one systemd-journald.
//
// Postfix's master and Dovecot switch users and bind ports below 1024, so all
// of this needs root: integration/run.sh gives it a container.
package real
