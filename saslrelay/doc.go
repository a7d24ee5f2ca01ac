// Package saslrelay is the front between Postfix's smtpd_sasl_path and Dovecot's
// auth-client socket (SPEC.md rule 12). Both sides speak Dovecot's auth client
// protocol (https://doc.dovecot.org/ "Dovecot Authentication Protocol"; what the
// two really send is in FACTS.md 2.10 and testdata). Lines are passed on as they
// are, but a blocked client is refused without asking Dovecot, a failure is
// recorded before it is answered, and every refusal carries the reply's text:
//
//	Postfix > AUTH 1 PLAIN service=smtp … rip=… resp=…
//	  blocked, unknown or disabled: < FAIL 1 user=… reason=TEXT
//	  otherwise Dovecot is asked
//	    < CONT 1 …  passed on; the first answer to it names the login
//	    < OK 1 …    passed on, unless the client has been blocked since
//	    < FAIL 1 …  recorded, then < FAIL 1 user=… reason=TEXT
//
// What a client sent to prove itself is passed on and overwritten. Only the
// login in it is looked at.
package saslrelay
