// Package trial does what contrib/docker/README.md says and compares the answers.
package trial
