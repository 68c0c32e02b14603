package lsp

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/lint"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/rate"
)

// document is an open source and what is known of it.
type document struct {
	uri     string
	version int
	text    string
	starts  []int // of lines
	dirty   bool  // its diagnostics are not yet published

	tokens   []syntax.Token
	comments []syntax.Comment
	language syntax.Language
	file     *syntax.File
	schema   *fact.Schema // nil where it is not known
	lists    *list.Registry
	rates    *rate.Ref
	notes    []note
	noted    bool // notes are those of text
}

// note is a fault or a finding.
type note struct {
	syntax.Fault
	severity int
	code     string
}

// set gives a document its text.
func (d *document) set(text string) {
	d.text, d.dirty, d.noted = text, true, false
	d.starts = []int{0}
	for i := range len(text) {
		if text[i] == '\n' {
			d.starts = append(d.starts, i+1)
		}
	}
	d.tokens, d.comments = syntax.Tokens(text)
	d.language = syntax.LanguageOf(d.tokens)
	d.file, _ = syntax.Parse(text)
}

// replace puts text in place of a range.
func (d *document) replace(r span, text string) error {
	start, end := d.offset(r.Start), d.offset(r.End)
	if start > end {
		return fmt.Errorf("range ends before it begins")
	}
	if len(d.text)-(end-start)+len(text) > 2*syntax.MaxSource {
		return fmt.Errorf("the document is too long")
	}
	d.text = d.text[:start] + text + d.text[end:]
	d.starts = nil
	d.index()
	return nil
}

// index finds the lines again.
func (d *document) index() {
	d.starts = append(d.starts[:0], 0)
	for i := range len(d.text) {
		if d.text[i] == '\n' {
			d.starts = append(d.starts, i+1)
		}
	}
}

// offset is the byte at a position; what is outside is moved to the nearest
// place within.
func (d *document) offset(p position) int {
	if p.Line < 0 {
		return 0
	}
	if p.Line >= len(d.starts) {
		return len(d.text)
	}
	at := d.starts[p.Line]
	for units := p.Character; units > 0 && at < len(d.text) && d.text[at] != '\n'; {
		r, size := utf8.DecodeRuneInString(d.text[at:])
		units -= unitsOf(r)
		if units < 0 { // within a pair of surrogates
			break
		}
		at += size
	}
	return at
}

// position is the place of a byte, of the character that it is in.
func (d *document) position(offset int) position {
	offset = min(max(offset, 0), len(d.text))
	for offset < len(d.text) && !utf8.RuneStart(d.text[offset]) {
		offset--
	}
	line, found := slices.BinarySearch(d.starts, offset)
	if !found {
		line--
	}
	units := 0
	for _, r := range d.text[d.starts[line]:offset] {
		units += unitsOf(r)
	}
	return position{line, units}
}

func (d *document) span(s syntax.Span) span {
	return span{d.position(int(s.Start)), d.position(int(s.End))}
}

// unitsOf is the number of UTF-16 units of a character.
func unitsOf(r rune) int {
	if r > 0xFFFF {
		return 2
	}
	return 1
}

// notesOf finds the faults of a document or, where it has none, what is likely
// wrong.
func (s *Server) notesOf(d *document) []note {
	if d.noted {
		return d.notes
	}
	d.notes, d.noted = nil, true
	if err := s.resolve(d); err != nil {
		d.notes = []note{{syntax.Fault{Span: d.factSpan(), Message: err.Error()}, severityError, ""}}
		_, faults := syntax.Parse(d.text)
		for _, fault := range faults {
			d.notes = append(d.notes, note{fault, severityError, ""})
		}
		return d.notes
	}
	file, faults := syntax.Parse(d.text)
	set, found := check.Check(file, d.schema, d.lists)
	if len(faults) > 0 { // what does not parse may define what others name
		found = slices.DeleteFunc(found, func(f syntax.Fault) bool {
			return strings.HasPrefix(f.Message, "unknown rule ") || strings.HasPrefix(f.Message, "unknown list ") || strings.HasPrefix(f.Message, "no rule uses ")
		})
	}
	faults = append(faults, found...)
	for _, fault := range faults {
		d.notes = append(d.notes, note{fault, severityError, ""})
	}
	if len(faults) > 0 {
		return d.notes
	}
	for _, f := range lint.Check(file, set, d.schema) {
		severity := severityWarning
		if f.Severity == lint.Info {
			severity = severityHint
		}
		d.notes = append(d.notes, note{syntax.Fault{Span: f.Span, Message: f.Message, Help: f.Help}, severity, f.Name})
	}
	d.failures(file)
	return d.notes
}

// maxTried bounds the rules times tests that are run while somebody types.
const maxTried = 100_000

// failures adds the tests that fail.
func (d *document) failures(file *syntax.File) {
	if len(file.Tests) == 0 || len(file.Tests)*len(file.Rules) > maxTried {
		return
	}
	program, err := rules.Compile("source", d.text, d.schema, &rules.Options{Lists: d.lists, Rates: d.rates})
	if err != nil {
		return // over its budget, which the release tells
	}
	for i, result := range program.Test() {
		if result.Failure != "" {
			d.notes = append(d.notes, note{syntax.Fault{Span: file.Tests[i].Name.Span, Message: "the test fails: " + result.Failure}, severityError, ""})
		}
	}
}

// resolve finds what a document is compiled with.
func (s *Server) resolve(d *document) error {
	found, err := s.config.Resolve(d.uri, d.text)
	d.schema, d.lists, d.rates = found.Schema, found.Lists, found.Rates
	return err
}

// factSpan is the comment that names the fact type, or the document's begin.
func (d *document) factSpan() syntax.Span {
	for _, comment := range d.comments {
		if strings.HasPrefix(strings.TrimSpace(strings.TrimPrefix(comment.Text, "#")), "fact:") {
			return comment.Span
		}
	}
	return syntax.Span{}
}

func (d *document) diagnostic(n note) diagnostic {
	text := n.Message
	if n.Help != "" {
		text += "\n" + n.Help
	}
	return diagnostic{Range: d.span(n.Span), Severity: n.severity, Code: n.code, Source: "rules", Message: text}
}
