// Package mimic stands in for Postfix 3.7 and Dovecot 2.3 where a story is
// played in-process. It speaks SMTP, POP3 and IMAP to the story's client, and
// the milter, policy and auth policy protocols to Portreeve, and behaves
// towards both as FACTS.md says that the real programs do; each imitated quirk
// names its fact. It delivers nothing, and what no story needs it does not have.
package mimic
