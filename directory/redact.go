package directory

import (
	"errors"
	"net/url"
	"strings"
	"unicode"
)

// stars stand where a secret would.
const stars = "***"

// secrets are the texts that must never be seen: connection strings, passwords.
type secrets []string

// newSecrets takes each secret in the forms in which a driver may quote it.
func newSecrets(list ...string) secrets {
	var s secrets
	for _, one := range list {
		for _, form := range []string{one, url.QueryEscape(one), url.PathEscape(one)} {
			if form != "" {
				s = append(s, form)
			}
		}
	}
	return s
}

// hide is the error with stars for every secret, on one line; nil for nil.
func (s secrets) hide(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*sourceError](err); ok {
		return err
	}
	text := err.Error()
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, stars)
	}
	text = strings.Join(strings.FieldsFunc(text, unicode.IsSpace), " ")
	return &sourceError{text: strings.ToValidUTF8(text, "?"), cause: err}
}

// sourceError is a driver's error that may be shown.
type sourceError struct {
	text  string
	cause error
}

func (e *sourceError) Error() string { return e.text }

// Is finds what the cause is, but gives nobody the cause: its text is not ours.
func (e *sourceError) Is(target error) bool { return errors.Is(e.cause, target) }

// As likewise.
func (e *sourceError) As(target any) bool { return errors.As(e.cause, target) }
