// Package directory knows the accounts and the domains of this server
// (SPEC.md section 7).
//
// Everything that goes in and comes out is canonical: logins and addresses are
// NFC and case-folded, domains are A-labels in lower case (rules.CanonicalDomain,
// rules.Logins). Whatever form a source keeps, its implementation translates.
// All implementations pass the suite in directorytest.
package directory

import (
	"context"

	"portreeve/rules"
)

// Directory answers questions about accounts and domains. Its methods are
// called concurrently.
//
// An error means that the directory cannot answer now; the other results then
// mean nothing. "There is none" is an answer: found is false, or the list is
// empty, and the error nil. The two must never be confused, since one refuses a
// client for good and the other asks it to come back.
//
// What is returned may be shared with other callers: nobody changes it.
type Directory interface {
	// Account looks a login up.
	Account(ctx context.Context, login string) (account *rules.Account, found bool, err error)

	// Domains lists the alias group of a domain, itself included: every domain
	// that an account of one of them may use in its sender. found is false for
	// a domain that is not this server's.
	Domains(ctx context.Context, domain string) (group []string, found bool, err error)

	// Addresses lists further addresses of the account (sender.match =
	// "address"). It is empty for an unknown login.
	Addresses(ctx context.Context, login string) ([]string, error)

	// Senders lists the external addresses that the account may use as its
	// sender, and "@domain" for all of a domain. It is empty for an unknown login.
	Senders(ctx context.Context, login string) ([]string, error)

	// Local tells whether this server takes mail for the domain.
	Local(ctx context.Context, domain string) (bool, error)
}
