package ledger

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// FieldError says which field of a request an error is about.
type FieldError struct {
	Field string // its path, such as `transfers[3].postings[1].amount`
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap gives the error without its place.
func (e *FieldError) Unwrap() error { return e.Err }

// within puts the path of what holds the field before it.
func within(path string, err error) error {
	if inner, placed := err.(*FieldError); placed { //nolint:errorlint // one that is wrapped has a place of its own in its text
		return &FieldError{path + "." + inner.Field, inner.Err}
	}
	return &FieldError{path, err}
}

func atPosting(i int, field string, err error) error {
	return &FieldError{fmt.Sprintf("postings[%d].%s", i, field), err}
}

// checkText refuses what the stores do not take.
func checkText(field, text string) error {
	switch {
	case len(text) > MaxText:
		return &FieldError{field, fmt.Errorf("%w: %d bytes, at most %d", ErrTransfer, len(text), MaxText)}
	case !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0:
		return &FieldError{field, fmt.Errorf("%w: no valid UTF-8 without zero bytes", ErrTransfer)}
	}
	return nil
}
