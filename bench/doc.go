// Command bench measures Portreeve against a floor: the least that a policy
// server can do. `make bench` runs it; docs/performance.md says what it found.
//
// Machines are noisy, so nothing is compared but what was measured in one run,
// in turn: every target is started, then each is measured in every round, and
// the medians of the rounds are divided by each other.
package main
