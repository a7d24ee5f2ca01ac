// Package pages holds the documentation to what it says: every command that a
// page shows is run, in the page's order, on a mail host that was made for that
// page, and what the page shows of its output is compared. README.md beside
// integration/ explains how a page is written.
package pages
