package lsp

import (
	"slices"

	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// The kinds of semantic tokens, as the protocol numbers them: by their place in
// the legend.
var legend = []string{"keyword", "string", "number", "comment", "function", "property", "variable", "operator", "regexp"}

const (
	paintKeyword = iota
	paintString
	paintNumber
	paintComment
	paintFunction
	paintProperty
	paintVariable
	paintOperator
	paintPattern
)

type tokensResult struct {
	Data []int `json:"data"`
}

// painted is a part of a line with its kind.
type painted struct {
	span syntax.Span
	kind int
}

// semanticTokens tells editors, which know no grammar of rules, what to colour.
func (s *Server) semanticTokens(params *documentParams) (any, error) {
	d, err := s.document(params.TextDocument)
	if err != nil {
		return nil, err
	}
	var all []painted
	for i := range d.tokens {
		if kind, ok := d.paint(i); ok {
			all = append(all, painted{d.tokens[i].Span, kind})
		}
	}
	for _, comment := range d.comments {
		all = append(all, painted{comment.Span, paintComment})
	}
	slices.SortFunc(all, func(a, b painted) int { return int(a.span.Start - b.span.Start) })
	result := tokensResult{Data: make([]int, 0, 5*len(all))}
	var last position
	for _, p := range all {
		start, end := d.position(int(p.span.Start)), d.position(int(p.span.End))
		if start.Line != end.Line { // no token has more than one line
			continue
		}
		column := start.Character
		if start.Line == last.Line {
			column -= last.Character
		}
		result.Data = append(result.Data, start.Line-last.Line, column, end.Character-start.Character, p.kind, 0)
		last = start
	}
	return result, nil
}

// paint is the kind of a token; ok is false for brackets and what is bad.
func (d *document) paint(i int) (kind int, ok bool) {
	t := d.tokens[i]
	switch t.Kind {
	case syntax.LiteralToken:
		switch t.Literal {
		case syntax.StringLit:
			return paintString, true
		case syntax.RegexLit:
			return paintPattern, true
		default:
			return paintNumber, true
		}
	case syntax.ListToken:
		return paintVariable, true
	case syntax.NameToken:
		switch {
		case i+1 < len(d.tokens) && d.tokens[i+1].Text == "(" && functionDocs[t.Text] != "":
			return paintFunction, true
		case d.namesRule(i):
			return paintVariable, true
		case t.Word != "" && (i == 0 || d.tokens[i-1].Text != "."):
			return paintKeyword, true
		}
		return paintProperty, true
	case syntax.SignToken:
		return paintOperator, len(t.Text) > 1 || slices.Contains([]string{"<", ">", "+", "-", "*", "/", "%"}, t.Text)
	case syntax.BadToken:
	}
	return 0, false
}
