// Package policyd is the front for Postfix's policy delegation protocol
// (https://www.postfix.org/SMTPD_POLICY_README.html). It only translates: a
// request becomes a rules.Request, the decision becomes one action. One
// connection carries any number of requests, each answered in its turn.
package policyd
