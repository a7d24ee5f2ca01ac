// Package rules decides. It is pure: a request, the policy in force and the
// facts that the rules ask for go in, a decision comes out. Time is part of
// the request; nothing here reads a clock, a socket or a file.
//
// Every rule is one file with one step function. decide.go holds the order in
// which the steps run at each stage; the first step that refuses gives the
// reply. A step asks for a fact only when it needs it, so that a request which
// passes early costs no look-up.
package rules
