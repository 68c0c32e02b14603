package lsp

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// place is a place in a document, told by the tokens before it: sources in
// which somebody types rarely parse.
type place struct {
	offset int
	// typed is what is being written there: the begin of a name, of a list's
	// name after '@', of a string after its quote.
	typed    syntax.Span
	inList   bool // after '@'
	inString bool
	before   []syntax.Token // of the item, but for typed
}

// at finds the place of an offset.
func (d *document) at(offset int) place {
	p := place{offset: offset, typed: syntax.Span{Start: int32(offset), End: int32(offset)}}
	n, _ := slices.BinarySearchFunc(d.tokens, offset, func(t syntax.Token, offset int) int {
		if int(t.Span.End) < offset {
			return -1
		}
		return 1
	})
	// d.tokens[n] is the first token that ends at offset or later.
	if n < len(d.tokens) && int(d.tokens[n].Span.Start) < offset {
		switch t := d.tokens[n]; {
		case t.Kind == syntax.NameToken:
			p.typed = t.Span
		case t.Kind == syntax.ListToken:
			p.typed, p.inList = syntax.Span{Start: t.Span.Start + 1, End: t.Span.End}, true
		case t.Kind == syntax.LiteralToken && t.Literal == syntax.StringLit && int(t.Span.End) > offset:
			p.typed, p.inString = t.Span, true
		case t.Kind == syntax.BadToken && strings.HasPrefix(t.Text, `"`):
			p.typed, p.inString = syntax.Span{Start: t.Span.Start, End: int32(offset)}, true
		case t.Kind == syntax.BadToken && t.Text == "@":
			p.inList = true
		default:
			n++
		}
	}
	begin := 0
	for i := n - 1; i >= 0; i-- {
		if t := d.tokens[i]; t.First && (t.Word == "rule" || t.Word == "list" || t.Word == "test") {
			begin = i
			break
		}
	}
	p.before = d.tokens[begin:n]
	return p
}

// last is the i-th token from the end, an empty one where there is none.
func (p *place) last(i int) syntax.Token {
	if len(p.before) < i {
		return syntax.Token{}
	}
	return p.before[len(p.before)-i]
}

// section is the part of an item that a place is in.
type section int

const (
	outside   section = iota // where an item may begin
	head                     // of a rule, before `when`
	condition                // of a rule
	effect                   // of a rule, after `then`
	entries                  // of a list
	name                     // of a test
	given                    // of a test
	expect                   // of a test
)

// section finds the part of the item by its keywords.
func (p *place) section() section {
	if len(p.before) == 0 {
		return outside
	}
	at := map[string]section{"rule": head, "list": entries, "test": name}[p.before[0].Word]
	for _, t := range p.before[1:] {
		switch {
		case at == head && t.Word == "when":
			at = condition
		case at == condition && t.Word == "then":
			at = effect
		case at == name && t.Word == "given":
			at = given
		case at == given && t.Word == "expect":
			at = expect
		}
	}
	return at
}

// path are the names of the path that ends before token i from the end:
// `billing.` before the place is [billing].
func (p *place) path(i int) []string {
	var names []string
	for {
		t := p.last(i)
		if t.Kind != syntax.NameToken {
			return nil
		}
		names = append(names, t.Text)
		if p.last(i+1).Text != "." {
			slices.Reverse(names)
			return names
		}
		i += 2
	}
}

// field is what a path leads to.
type field struct {
	descriptor protoreflect.FieldDescriptor // nil for an element
	message    protoreflect.MessageDescriptor
	list       bool // the path's end is the list, not an element
	missing    bool // may be
}

// resolvePath follows a path from the fact or from an element of an enclosing
// any or all.
func (d *document) resolvePath(names []string, before []syntax.Token) (field, bool) {
	if d.schema == nil || len(names) == 0 {
		return field{}, false
	}
	at := field{message: d.schema.Descriptor()}
	if list := elementsOf(names[0], before); list != nil {
		elements, ok := d.resolvePath(list.path, list.before)
		if !ok || !elements.list {
			return field{}, false
		}
		at, names = field{descriptor: elements.descriptor, message: elements.message}, names[1:]
	}
	for _, name := range names {
		if at.message == nil || at.list {
			return field{}, false
		}
		next := at.message.Fields().ByName(protoreflect.Name(name))
		if next == nil {
			return field{}, false
		}
		kind := d.schema.ElemKind(next)
		at = field{
			descriptor: next, list: next.IsList(),
			missing: at.missing || next.HasPresence() || kind == fact.String || kind == fact.Enum || kind == fact.Time,
		}
		if kind == fact.Message {
			at.message = next.Message()
		}
	}
	return at, true
}

// quantified is a list that an any or all goes through.
type quantified struct {
	name   string
	path   []string
	before []syntax.Token // the tokens before it
}

// quantifiers are the any and all that enclose the end of tokens, outermost
// first.
func quantifiers(tokens []syntax.Token) []quantified {
	var open []*quantified // by parenthesis; nil for others
	var pending *quantified
	for i := 0; i < len(tokens); i++ {
		switch t := tokens[i]; {
		case (t.Word == "any" || t.Word == "all") && i+2 < len(tokens) && tokens[i+2].Word == "in":
			pending = &quantified{name: tokens[i+1].Text, before: tokens[:i]}
			i += 2
			for i+1 < len(tokens) && tokens[i+1].Kind == syntax.NameToken {
				pending.path = append(pending.path, tokens[i+1].Text)
				i++
				if i+1 < len(tokens) && tokens[i+1].Text == "." {
					i++
				}
			}
		case t.Kind == syntax.SignToken && t.Text == "(":
			open = append(open, pending)
			pending = nil
		case t.Kind == syntax.SignToken && t.Text == ")" && len(open) > 0:
			open = open[:len(open)-1]
		}
	}
	var found []quantified
	for _, q := range open {
		if q != nil {
			found = append(found, *q)
		}
	}
	return found
}

// elementsOf is the innermost any or all whose element has a name.
func elementsOf(name string, before []syntax.Token) *quantified {
	all := quantifiers(before)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].name == name {
			return &all[i]
		}
	}
	return nil
}

// compared is the field that a constant at the place would be compared with:
// that before `==` or before `in [`.
func (d *document) compared(p *place) (field, bool) {
	i := 1
	for i < len(p.before) && p.last(i).Text != "[" && (p.last(i).Text == "," || p.last(i).Kind == syntax.LiteralToken) {
		i++ // within a list of constants
	}
	switch t := p.last(i); {
	case t.Text == "[" && p.last(i+1).Word == "in":
		i += 2
		if p.last(i).Word == "not" {
			i++
		}
	case i == 1 && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">=", ":"}, t.Text):
		i++
	default:
		return field{}, false
	}
	return d.resolvePath(p.path(i), p.before)
}
