// Package maillog tells of logins by what mail servers log about them, on hosts
// where Dovecot's auth policy is not used: failed AUTH from Postfix, POP3 and
// IMAP logins from Dovecot, Courier and Cyrus.
//
// A Parser reads one line and knows nothing of files; a Follower reads files, or
// systemd's journal, as they grow, and tells the gate.
//
// Half of such a line was chosen by a client: the login (which can hold
// anything), the mechanism, and through its reverse DNS the host's name. So no
// line is searched for an address. Each is read from its first byte by the
// grammar of the program that wrote it, fields of a client's text are bounded by
// what stands to their left, and by a tail that such text cannot imitate to
// their right. What does not fit as a whole tells nothing.
package maillog
