package lsp

import (
	"regexp"
	"slices"
	"strings"

	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

func (s *Server) formatting(params *documentParams) (any, error) {
	d, err := s.document(params.TextDocument)
	if err != nil {
		return nil, err
	}
	file, faults := syntax.Parse(d.text)
	if len(faults) > 0 {
		return []textEdit{}, nil // the diagnostics tell why
	}
	formatted := syntax.Format(file, d.language)
	if formatted == d.text {
		return []textEdit{}, nil
	}
	return []textEdit{{span{position{}, d.position(len(d.text))}, formatted}}, nil
}

// meant finds the suggestion in the help of a fault.
var meant = regexp.MustCompile(`^did you mean '([^']+)'\?$`)

// actions offers to write what a fault's help suggests, and to ignore findings.
func (s *Server) actions(params *actionParams) (any, error) {
	d, err := s.document(params.TextDocument)
	if err != nil {
		return nil, err
	}
	start, end := d.offset(params.Range.Start), d.offset(params.Range.End)
	all := []codeAction{}
	for _, n := range s.notesOf(d) {
		if int(n.Span.Start) > end || int(n.Span.End) < start {
			continue
		}
		if found := meant.FindStringSubmatch(n.Help); found != nil && int(n.Span.End) <= len(d.text) {
			name := found[1]
			if strings.HasPrefix(d.text[n.Span.Start:n.Span.End], `"`) {
				name = `"` + name + `"`
			}
			all = append(all, d.fix("write "+name, n, textEdit{d.span(n.Span), name}, true))
		}
		if n.code != "" {
			all = append(all, d.ignore(n))
		}
	}
	return all, nil
}

func (d *document) fix(title string, n note, edit textEdit, preferred bool) codeAction {
	return codeAction{
		Title: title, Kind: "quickfix", Diagnostics: []diagnostic{d.diagnostic(n)}, IsPreferred: preferred,
		Edit: workspaceEdit{map[string][]textEdit{d.uri: {edit}}},
	}
}

// ignore adds the comment that takes a finding away above its item.
func (d *document) ignore(n note) codeAction {
	at := n.Span.Start
	index := slices.IndexFunc(d.file.Items, func(item syntax.Item) bool { return item.ItemSpan().End > n.Span.Start })
	if index >= 0 {
		at = d.file.Items[index].ItemSpan().Start
	}
	place := d.position(int(at))
	place.Character = 0
	return d.fix("ignore "+n.code+" here", n, textEdit{span{place, place}, "# lint:ignore " + n.code + " it is meant\n"}, false)
}

// windows are the velocity functions that the rules of a file use.
func windows(file *syntax.File) []string {
	var all []string
	for _, rule := range file.Rules {
		visitWindows(rule.When, func(w *syntax.Window) {
			if text := syntax.Text(w); !slices.Contains(all, text) {
				all = append(all, text)
			}
		})
	}
	return all
}

func visitWindows(x syntax.Expr, fn func(*syntax.Window)) {
	switch x := x.(type) {
	case *syntax.Window:
		fn(x)
	case *syntax.Logic:
		for _, term := range x.Terms {
			visitWindows(term, fn)
		}
	case *syntax.Binary:
		visitWindows(x.X, fn)
		visitWindows(x.Y, fn)
	case *syntax.Not:
		visitWindows(x.X, fn)
	case *syntax.Neg:
		visitWindows(x.X, fn)
	case *syntax.Paren:
		visitWindows(x.X, fn)
	case *syntax.Call:
		for _, arg := range x.Args {
			visitWindows(arg, fn)
		}
	case *syntax.Quantifier:
		visitWindows(x.Body, fn)
	case *syntax.Missing:
		visitWindows(x.X, fn)
	case *syntax.In:
		visitWindows(x.X, fn)
	}
}
