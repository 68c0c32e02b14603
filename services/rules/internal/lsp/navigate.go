package lsp

import (
	"fmt"

	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// rule finds a rule by name.
func (d *document) rule(name string) *syntax.Rule {
	for _, rule := range d.file.Rules {
		if rule.Name.Name == name {
			return rule
		}
	}
	return nil
}

// namesRule tells whether a token is the name of a rule: after `rule`, or in
// what follows `because`.
func (d *document) namesRule(index int) bool {
	t := d.tokens[index]
	if t.Kind != syntax.NameToken || t.First {
		return false
	}
	if index > 0 && d.tokens[index-1].Word == "rule" && d.tokens[index-1].First {
		return true
	}
	for i := index - 1; i >= 0; i-- {
		switch before := d.tokens[i]; {
		case before.Word == "because":
			return true
		case before.Kind != syntax.NameToken && before.Text != "," || before.First:
			return false
		}
	}
	return false
}

// occurrences are the places where the rule or list at an offset is named, its
// definition first. Lists are without '@'. where is that at the offset.
func (d *document) occurrences(offset int) (all []syntax.Span, where syntax.Span, name string) {
	index, ok := d.token(offset)
	if !ok {
		return nil, syntax.Span{}, ""
	}
	t := d.tokens[index]
	list := t.Kind == syntax.ListToken
	if !list && !d.namesRule(index) {
		return nil, syntax.Span{}, ""
	}
	for i, other := range d.tokens {
		if other.Text != t.Text || other.Kind != t.Kind || !list && !d.namesRule(i) {
			continue
		}
		defines := i > 0 && d.tokens[i-1].First && (d.tokens[i-1].Word == "rule" || d.tokens[i-1].Word == "list")
		span := other.Span
		if list {
			span.Start++
		}
		if i == index {
			where = span
		}
		if defines {
			all = append([]syntax.Span{span}, all...)
		} else {
			all = append(all, span)
		}
	}
	return all, where, t.Text
}

func (s *Server) definition(params *placeParams) (any, error) {
	d, err := s.document(params.TextDocument)
	if err != nil {
		return nil, err
	}
	_, _, name := d.occurrences(d.offset(params.Position))
	for _, decl := range d.file.Lists {
		if index, ok := d.token(d.offset(params.Position)); ok && decl.Name.Name == name && d.tokens[index].Kind == syntax.ListToken {
			return location{d.uri, d.span(decl.Name.Span)}, nil
		}
	}
	if rule := d.rule(name); rule != nil {
		return location{d.uri, d.span(rule.Name.Span)}, nil
	}
	return nil, nil
}

func (s *Server) references(params *placeParams) (any, error) {
	d, err := s.document(params.TextDocument)
	if err != nil {
		return nil, err
	}
	all, _, _ := d.occurrences(d.offset(params.Position))
	locations := make([]location, len(all))
	for i, span := range all {
		locations[i] = location{d.uri, d.span(span)}
	}
	return locations, nil
}

func (s *Server) prepareRename(params *placeParams) (any, error) {
	d, err := s.document(params.TextDocument)
	if err != nil {
		return nil, err
	}
	all, where, name := d.occurrences(d.offset(params.Position))
	if len(all) == 0 {
		return nil, nil
	}
	return map[string]any{"range": d.span(where), "placeholder": name}, nil
}

func (s *Server) rename(params *placeParams) (any, error) {
	d, err := s.document(params.TextDocument)
	if err != nil {
		return nil, err
	}
	all, _, _ := d.occurrences(d.offset(params.Position))
	if len(all) == 0 {
		return nil, fmt.Errorf("only rules and lists can be renamed")
	}
	tokens, _ := syntax.Tokens(params.NewName)
	if len(tokens) != 1 || tokens[0].Kind != syntax.NameToken || tokens[0].Text != params.NewName {
		return nil, fmt.Errorf("%.60q is no name: letters, digits and '_'", params.NewName)
	}
	edits := make([]textEdit, len(all))
	for i, span := range all {
		edits[i] = textEdit{d.span(span), params.NewName}
	}
	return workspaceEdit{map[string][]textEdit{d.uri: edits}}, nil
}

func (s *Server) symbols(params *documentParams) (any, error) {
	d, err := s.document(params.TextDocument)
	if err != nil {
		return nil, err
	}
	all := []symbol{}
	for _, item := range d.file.Items {
		switch item := item.(type) {
		case *syntax.Rule:
			all = append(all, symbol{item.Name.Name, title(item), symbolRule, d.span(item.Span), d.span(item.Name.Span)})
		case *syntax.List:
			all = append(all, symbol{"@" + item.Name.Name, count(len(item.Entries)), symbolList, d.span(item.Span), d.span(item.Name.Span)})
		case *syntax.Test:
			all = append(all, symbol{item.Name.Str, "test", symbolTest, d.span(item.Span), d.span(item.Name.Span)})
		}
	}
	return all, nil
}
