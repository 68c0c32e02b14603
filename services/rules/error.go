package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/backlot-video/backlot/services/rules/internal/snippet"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Error is one fault of a source. Line and Column count from 1, columns in
// characters.
type Error struct {
	File    string
	Line    int
	Column  int
	Message string
	Help    string // what to do; may be empty

	rendered string
}

// Error returns the position and message on one line.
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: error: %s", e.File, e.Line, e.Column, e.Message)
}

// Rendered shows the fault with its line, a mark under it and help, as in
//
//	risk.rules:2:6: error: unknown field 'amuont'
//	     2 | when amuont > 500
//	       |      ^^^^^^
//	       = help: did you mean 'amount'?
func (e *Error) Rendered() string { return e.rendered }

// Errors holds the faults of a source in order, at least one.
type Errors []*Error

// Error renders all faults.
func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, fault := range e {
		texts[i] = fault.Rendered()
	}
	return strings.Join(texts, "\n")
}

// Unwrap gives the single faults to errors.As.
func (e Errors) Unwrap() []error {
	list := make([]error, len(e))
	for i, fault := range e {
		list[i] = fault
	}
	return list
}

func newErrors(file, source string, faults []syntax.Fault) Errors {
	slices.SortStableFunc(faults, func(a, b syntax.Fault) int { return int(a.Span.Start - b.Span.Start) })
	lines := snippet.NewLines(source)
	errs := make(Errors, len(faults))
	for i, fault := range faults {
		line, column := lines.Place(fault.Span.Start)
		errs[i] = &Error{
			File: file, Line: line, Column: column, Message: fault.Message, Help: fault.Help,
			rendered: lines.Render(file, "error", fault.Message, fault.Help, fault.Span),
		}
	}
	return errs
}
