package lsp

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// completer gathers the items for one place.
type completer struct {
	d     *document
	p     place
	edit  span
	items []completionItem
}

func (s *Server) completion(params *placeParams) (any, error) {
	d, err := s.document(params.TextDocument)
	if err != nil {
		return nil, err
	}
	if err := s.resolve(d); err != nil {
		d.schema = nil // keywords still complete
	}
	c := &completer{d: d, p: d.at(d.offset(params.Position)), items: []completionItem{}}
	if d.commented(c.p.offset) {
		return c.items, nil
	}
	c.edit = d.span(c.p.typed)
	c.complete()
	return c.items, nil
}

// commented tells whether an offset is within a comment.
func (d *document) commented(offset int) bool {
	return slices.ContainsFunc(d.comments, func(c syntax.Comment) bool {
		return int(c.Span.Start) < offset && offset <= int(c.Span.End)
	})
}

// add adds an item; rank orders the groups of items.
func (c *completer) add(rank int, kind int, label, detail, doc string) {
	c.addText(rank, kind, label, label, detail, doc)
}

func (c *completer) addText(rank int, kind int, label, text, detail, doc string) {
	item := completionItem{
		Label: label, Kind: kind, Detail: detail, Documentation: doc,
		SortText: fmt.Sprintf("%d%s", rank, label), TextEdit: textEdit{c.edit, text},
	}
	if c.p.inString {
		item.FilterText = text
	}
	c.items = append(c.items, item)
}

// keywords adds keywords in the language of the document.
func (c *completer) keywords(rank int, words ...string) {
	for _, keyword := range syntax.Keywords() {
		if slices.Contains(words, keyword.English) {
			c.add(rank, kindKeyword, c.d.word(keyword), "", keywordDocs[keyword.English])
		}
	}
}

func (c *completer) complete() {
	p := &c.p
	switch {
	case p.inList:
		c.lists()
		return
	case p.inString:
		c.members()
		c.zones()
		return
	}
	switch p.section() {
	case outside:
		c.keywords(0, "rule", "list", "test")
	case head:
		c.head()
	case condition:
		c.condition()
	case effect:
		c.effect()
	case entries:
		c.entries()
	case name:
		c.keywords(0, "given")
	case given:
		c.given()
	case expect:
		c.expect()
	}
}

func (c *completer) head() {
	switch last := c.p.last(1); {
	case len(c.p.before) == 1: // the name of a rule is the author's
	case last.Word == "by":
		c.fields(nil, func(kind fact.Kind) bool { return kind == fact.String || kind == fact.Int || kind == fact.Enum })
	case last.Text == "%":
		c.keywords(0, "by")
	case last.Word == "priority" || last.Word == "canary" || last.Word == "tags" || last.Text == ",":
	default:
		c.keywords(0, "when", "priority", "tags", "live", "shadow", "canary")
	}
}

func (c *completer) condition() {
	p := &c.p
	last := p.last(1)
	switch {
	case last.Text == ".":
		c.fields(p.path(2), nil)
	case last.Word == "by" || p.window() && last.Text == "(":
		c.windowField(last)
	case last.Text == "," && p.call() == "convert":
		c.currencies()
	case last.Word == "over":
		for _, length := range []string{"1m", "10m", "1h", "24h", "7d", "30d"} {
			c.add(0, kindValue, length, "window", "")
		}
	case p.window() && p.last(2).Word == "by":
		c.keywords(0, "over")
	case last.Word == "is":
		c.keywords(0, "missing", "not")
	case last.Word == "not" && p.last(2).Word == "is":
		c.keywords(0, "missing")
	case last.Word == "in" && (p.last(3).Word == "any" || p.last(3).Word == "all"):
		c.fields(nil, func(kind fact.Kind) bool { return kind == fact.List })
	case last.Word == "any" || last.Word == "all":
	case p.last(2).Word == "any" || p.last(2).Word == "all":
		c.keywords(0, "in")
	case last.Word == "in":
		c.keywords(0, "list", "cidr")
		c.fields(nil, func(kind fact.Kind) bool { return kind == fact.List })
	case last.Word == "list" || last.Word == "cidr" || last.Word == "matches":
	case last.Kind == syntax.LiteralToken && (last.Literal == syntax.IntLit || last.Literal == syntax.FloatLit) && int(last.Span.End) < p.offset && c.upper():
		c.currencies()
	case operand(last):
		c.keywords(0, "and", "or", "then")
		c.keywords(1, "in", "not", "is", "contains", "starts_with", "ends_with", "matches", "default")
	default:
		c.operands()
	}
}

// upper tells that what is typed looks like a currency.
func (c *completer) upper() bool {
	typed := c.d.text[c.p.typed.Start:c.p.typed.End]
	return typed == "" || typed == strings.ToUpper(typed)
}

// operand tells that a token ends an operand.
func operand(t syntax.Token) bool {
	switch t.Kind {
	case syntax.LiteralToken, syntax.ListToken:
		return true
	case syntax.SignToken:
		return t.Text == ")" || t.Text == "]"
	case syntax.NameToken:
		switch t.Word {
		case "when", "and", "or", "not", "in", "contains", "starts_with", "ends_with", "matches", "default", "is":
			return false
		}
		return true
	case syntax.BadToken:
	}
	return false
}

// window tells that the place is within the parentheses of a velocity function.
func (p *place) window() bool {
	name := p.call()
	return slices.ContainsFunc(check.Functions(), func(f check.Function) bool {
		return f.Velocity && f.Name == name && f.Name != "max" // max is a plain function too
	})
}

// call is the name before the parenthesis that the place is in.
func (p *place) call() string {
	depth := 0
	for i := 1; i < len(p.before); i++ {
		switch t := p.last(i); {
		case t.Text == ")":
			depth++
		case t.Text == "(" && depth > 0:
			depth--
		case t.Text == "(":
			return p.last(i + 1).Text
		}
	}
	return ""
}

// windowField completes what a window counts, and by what.
func (c *completer) windowField(last syntax.Token) {
	if last.Word == "by" {
		c.fields(nil, func(kind fact.Kind) bool { return kind == fact.String || kind == fact.Int || kind == fact.Enum })
		return
	}
	if c.p.last(2).Text == "count" {
		if c.d.schema != nil {
			c.add(0, kindValue, c.d.schema.Event(), "event", "what these facts are counted as")
		}
		return
	}
	c.fields(nil, func(kind fact.Kind) bool { return kind != fact.List && kind != fact.Message && kind != fact.Float })
}

// operands completes what can begin a value or a condition.
func (c *completer) operands() {
	want := fact.Invalid
	if compared, ok := c.d.compared(&c.p); ok && compared.descriptor != nil {
		c.members()
		want = c.d.schema.ElemKind(compared.descriptor)
		if want == fact.Bool {
			c.keywords(0, "true", "false")
		}
	}
	for _, q := range quantifiers(c.p.before) {
		c.add(1, kindVariable, q.name, "element of "+strings.Join(q.path, "."), "")
	}
	c.fields(nil, nil)
	if want != fact.Invalid { // those of the same type first
		for i := range c.items {
			item := &c.items[i]
			if item.Kind == kindField && !strings.HasPrefix(item.Detail, want.String()) {
				item.SortText = "4" + item.Label
			}
		}
	}
	for _, fn := range check.Functions() {
		c.addText(5, kindFunction, fn.Name, fn.Name+"(", fn.Example, functionDocs[fn.Name])
	}
	c.keywords(6, "not", "any", "all", "true", "false")
}

func (c *completer) effect() {
	last := c.p.last(1)
	switch last.Word {
	case "then":
		c.keywords(0, "allow", "challenge", "review", "deny")
	case "score", "reason":
	default:
		c.keywords(0, "score", "reason")
		c.keywords(1, "rule", "list", "test")
	}
}

func (c *completer) entries() {
	if c.p.last(1).Kind == syntax.ListToken {
		c.keywords(0, "exact", "prefix", "cidr")
	} else if c.p.last(1).Text == "]" {
		c.keywords(0, "rule", "list", "test")
	}
}

// given completes the fact of a test: fields and the windows of the rules.
func (c *completer) given() {
	switch last := c.p.last(1); {
	case last.Text == ":" || last.Text == "[":
		c.members()
		if compared, ok := c.d.compared(&c.p); ok && compared.descriptor != nil && compared.descriptor.Kind() == protoreflect.BoolKind {
			c.keywords(0, "true", "false")
		}
	case last.Text == ".":
		c.fields(c.p.path(2), nil)
	case last.Text == "{" || last.Text == ",":
		path := c.p.object()
		c.fieldsWithin(path)
		if path == nil {
			for _, window := range windows(c.d.file) {
				c.add(3, kindFunction, window, "velocity", "")
			}
		}
	case last.Text == "}":
		c.keywords(0, "expect")
	case last.Kind == syntax.LiteralToken && c.upper():
		c.currencies()
	}
}

// object is the path of the message whose braces the place is in; nil for the
// fact itself.
func (p *place) object() []string {
	var path []string
	depth := 0
	for i := 1; i <= len(p.before); i++ {
		switch t := p.last(i); {
		case t.Text == "}":
			depth++
		case t.Text == "{" && depth > 0:
			depth--
		case t.Text == "{":
			i = p.listBegin(i + 1)
			if p.last(i).Text != ":" {
				return path
			}
			path = append(p.path(i+1), path...)
		}
	}
	return path
}

// listBegin passes by the objects before one in a list, from token i from the
// end on, and the list's bracket.
func (p *place) listBegin(i int) int {
	depth := 0
	for j := i; j <= len(p.before); j++ {
		switch t := p.last(j); {
		case t.Text == "}":
			depth++
		case t.Text == "{":
			depth--
		case t.Text == "[" && depth == 0:
			return j + 1
		case t.Text == ":" && depth == 0:
			return i
		}
	}
	return i
}

func (c *completer) expect() {
	last := c.p.last(1)
	switch {
	case last.Word == "expect":
		c.keywords(0, "allow", "challenge", "review", "deny")
	case last.Word == "because" || last.Text == ",":
		for _, rule := range c.d.file.Rules {
			c.add(0, kindReference, rule.Name.Name, rule.Action.String(), title(rule))
		}
	case last.Word == "score":
	default:
		c.keywords(0, "score", "because")
		c.keywords(1, "rule", "list", "test")
	}
}
