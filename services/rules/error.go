package rules

import (
	"fmt"
	"slices"
	"strings"

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

	text  string // the line
	width int    // of the marked part, in characters
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
func (e *Error) Rendered() string {
	var b strings.Builder
	b.WriteString(e.Error())
	var pad, mark strings.Builder
	for i, r := range []rune(e.text) {
		switch {
		case i < e.Column-1 && r == '\t':
			pad.WriteByte('\t')
		case i < e.Column-1:
			pad.WriteString(strings.Repeat(" ", syntax.RuneWidth(r)))
		case i < e.Column-1+e.width:
			mark.WriteString(strings.Repeat("^", syntax.RuneWidth(r)))
		}
	}
	if mark.Len() == 0 {
		mark.WriteByte('^')
	}
	fmt.Fprintf(&b, "\n%6d | %s\n       | %s%s", e.Line, e.text, pad.String(), mark.String())
	if e.Help != "" {
		b.WriteString("\n       = help: " + e.Help)
	}
	return b.String()
}

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
	lines := newLineIndex(source)
	errs := make(Errors, len(faults))
	for i, fault := range faults {
		errs[i] = lines.locate(file, fault)
	}
	return errs
}

// maxShown bounds the part of a line that an error shows, in characters.
const maxShown = 160

// lineIndex finds lines by offset.
type lineIndex struct {
	source string
	starts []int
}

func newLineIndex(source string) *lineIndex {
	index := &lineIndex{source: source, starts: []int{0}}
	for i := range len(source) {
		if source[i] == '\n' {
			index.starts = append(index.starts, i+1)
		}
	}
	return index
}

// line is the number of the line that offset is in, from 1.
func (l *lineIndex) line(offset int32) int {
	n, found := slices.BinarySearch(l.starts, int(offset))
	if found {
		return n + 1
	}
	return n
}

func (l *lineIndex) locate(file string, fault syntax.Fault) *Error {
	line := l.line(fault.Span.Start)
	start := l.starts[line-1]
	end := len(l.source)
	if line < len(l.starts) {
		end = l.starts[line] - 1
	}
	text := strings.TrimRight(l.source[start:end], "\r")
	before := min(int(fault.Span.Start)-start, len(text))
	after := max(before, min(int(fault.Span.End)-start, len(text)))
	e := &Error{
		File: file, Line: line, Column: len([]rune(text[:before])) + 1, Message: fault.Message, Help: fault.Help,
		width: len([]rune(text[before:after])),
	}
	if shown := []rune(text); len(shown) > maxShown {
		text = string(shown[:max(maxShown, min(e.Column+20, len(shown)))])
	}
	e.text = strings.ToValidUTF8(text, "\uFFFD")
	return e
}
