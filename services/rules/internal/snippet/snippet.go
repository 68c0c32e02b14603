// Package snippet shows people a place in a source: its line with a mark below
// it. It is pure; its Lines are safe for concurrent use.
package snippet

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// maxShown bounds the part of a line that is shown, in characters.
const maxShown = 160

// Lines finds lines of a source by offset.
type Lines struct {
	source string
	starts []int
}

// NewLines returns the lines of a source.
func NewLines(source string) *Lines {
	lines := &Lines{source: source, starts: []int{0}}
	for i := range len(source) {
		if source[i] == '\n' {
			lines.starts = append(lines.starts, i+1)
		}
	}
	return lines
}

// Place is the line and the column of an offset, from 1, columns in characters.
func (l *Lines) Place(offset int32) (line, column int) {
	line = l.Line(offset)
	return line, utf8.RuneCountInString(l.source[l.starts[line-1]:offset]) + 1
}

// Line is the number of the line that offset is in, from 1.
func (l *Lines) Line(offset int32) int {
	n, found := slices.BinarySearch(l.starts, int(offset))
	if found {
		return n + 1
	}
	return n
}

// Text is a line, from 1, without its end.
func (l *Lines) Text(line int) string {
	end := len(l.source)
	if line < len(l.starts) {
		end = l.starts[line] - 1
	}
	return strings.TrimRight(l.source[l.starts[line-1]:end], "\r")
}

// Render shows a span of a file with what is said of it, as in
//
//	risk.rules:2:6: error: unknown field 'amuont'
//	     2 | when amuont > 500
//	       |      ^^^^^^
//	       = help: did you mean 'amount'?
func (l *Lines) Render(file, severity, message, help string, span syntax.Span) string {
	line, column := l.Place(span.Start)
	text := l.Text(line)
	before := min(int(span.Start)-l.starts[line-1], len(text))
	after := max(before, min(int(span.End)-l.starts[line-1], len(text)))
	width := utf8.RuneCountInString(text[before:after])
	if shown := []rune(text); len(shown) > maxShown {
		text = string(shown[:max(maxShown, min(column+20, len(shown)))])
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	var pad, mark strings.Builder
	for i, r := range []rune(text) {
		switch {
		case i < column-1 && r == '\t':
			pad.WriteByte('\t')
		case i < column-1:
			pad.WriteString(strings.Repeat(" ", syntax.RuneWidth(r)))
		case i < column-1+width:
			mark.WriteString(strings.Repeat("^", syntax.RuneWidth(r)))
		}
	}
	if mark.Len() == 0 {
		mark.WriteByte('^')
	}
	out := fmt.Sprintf("%s:%d:%d: %s: %s\n%6d | %s\n       | %s%s", file, line, column, severity, message, line, text, pad.String(), mark.String())
	if help != "" {
		out += "\n       = help: " + help
	}
	return out
}
