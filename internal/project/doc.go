// Package project holds the files that no compiler reads to what they speak of: make's
// targets, the workflows, the links between pages.
package project
