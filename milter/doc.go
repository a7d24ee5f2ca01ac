// Package milter is the front for Postfix's milter protocol
// (https://www.postfix.org/MILTER_README.html). The conversation is
// github.com/emersion/go-milter's; nothing reaches that library that has not
// been vetted first, since FACTS.md section 3 lists what it believes.
//
//	bytes → guard (one frame, vetted) → go-milter → session → rules.Request
//
// Only continue and custom replies are answered: after any other answer the
// library forgets the client's address (FACTS.md 3.3).
package milter
