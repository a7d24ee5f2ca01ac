// Package listen opens the sockets that Postfix and Dovecot talk to, and keeps
// them open: an accept loop that survives a lack of file descriptors, a cap on
// connections, a guard on peers, and a drain at the end.
package listen
