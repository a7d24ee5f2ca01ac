// Package authpolicy is the front for Dovecot's auth policy protocol
// (https://doc.dovecot.org/2.3/configuration_manual/authentication/auth_policy/;
// what Dovecot really sends is in FACTS.md section 2). Dovecot asks before it
// checks a password ("allow"), and tells afterwards how it went ("report").
package authpolicy
