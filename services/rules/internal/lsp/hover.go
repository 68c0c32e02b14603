package lsp

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// token finds the token at an offset and its index; ok is false between tokens.
func (d *document) token(offset int) (index int, ok bool) {
	index, ok = slices.BinarySearchFunc(d.tokens, offset, func(t syntax.Token, offset int) int {
		switch {
		case int(t.Span.End) <= offset:
			return -1
		case int(t.Span.Start) > offset:
			return 1
		}
		return 0
	})
	if ok && (d.tokens[index].Kind != syntax.SignToken || int(d.tokens[index].Span.Start) < offset) {
		return index, true
	}
	if index > 0 && int(d.tokens[index-1].Span.End) == offset && d.tokens[index-1].Kind != syntax.SignToken {
		return index - 1, true // at its end
	}
	return index, ok
}

func (s *Server) hover(params *placeParams) (any, error) {
	d, err := s.document(params.TextDocument)
	if err != nil {
		return nil, err
	}
	if err := s.resolve(d); err != nil {
		d.schema = nil
	}
	index, ok := d.token(d.offset(params.Position))
	if !ok {
		return nil, nil
	}
	text := d.explain(index)
	if text == "" {
		return nil, nil
	}
	return hover{markup{"markdown", text}, d.span(d.tokens[index].Span)}, nil
}

// explain tells what a token is, in Markdown.
func (d *document) explain(index int) string {
	t := d.tokens[index]
	switch t.Kind {
	case syntax.LiteralToken:
		return d.explainConstant(t)
	case syntax.ListToken:
		return d.explainList(t.Text)
	case syntax.NameToken:
		return d.explainName(index)
	case syntax.SignToken, syntax.BadToken:
	}
	return ""
}

func (d *document) explainName(index int) string {
	t := d.tokens[index]
	p := d.at(int(t.Span.Start))
	p.before = append(slices.Clone(p.before), t)
	if rule := d.rule(t.Text); rule != nil && d.namesRule(index) {
		return explainRule(rule)
	}
	called := index+1 < len(d.tokens) && d.tokens[index+1].Text == "("
	if doc := functionDocs[t.Text]; called && doc != "" {
		return d.explainFunction(t.Text)
	}
	names := p.path(1)
	if found, ok := d.resolvePath(names, p.before[:len(p.before)-1]); ok {
		return d.explainField(names, found)
	}
	if doc := keywordDocs[t.Word]; doc != "" {
		return "**" + t.Text + "**\n\n" + doc
	}
	if q := elementsOf(t.Text, p.before[:len(p.before)-1]); q != nil {
		return "**" + t.Text + "**: element of " + strings.Join(q.path, ".")
	}
	return ""
}

func (d *document) explainFunction(name string) string {
	text := "**" + name + "**\n\n" + functionDocs[name] + "\n"
	for _, fn := range check.Functions() {
		if fn.Name == name {
			text += "\n`" + fn.Example + "`\n"
		}
	}
	return text
}

func (d *document) explainField(names []string, found field) string {
	text := "**" + strings.Join(names, ".") + "**"
	if found.descriptor == nil {
		return text
	}
	kind := check.FieldType(d.schema, found.descriptor)
	element := found.descriptor.IsList() && !found.list
	if element {
		kind = strings.TrimPrefix(kind, "list of ")
		text += ": element of " + string(found.descriptor.Name()) + ", " + kind
	} else {
		text += ": " + kind
	}
	switch {
	case found.list:
		text += ", empty when it was not set"
	case found.missing:
		text += ", may be missing"
	case !element:
		text += ", zero when it was not set"
	}
	if enum := found.descriptor.Enum(); enum != nil {
		text += "\n\nmembers: " + strings.Join(check.Members(enum), ", ")
	}
	if d.schema.ElemKind(found.descriptor) == fact.Invalid {
		text += "\n\nrules cannot read it"
	}
	if doc := docOf(found.descriptor); doc != "" && !element {
		text += "\n\n" + doc
	}
	return text
}

func explainRule(rule *syntax.Rule) string {
	text := "**" + rule.Name.Name + "**: " + rule.State.String() + ", " + rule.Action.String()
	if rule.HasScore {
		text += fmt.Sprintf(", score %d", rule.Score)
	}
	if name := title(rule); name != "" {
		text += "\n\n" + name
	}
	return text + "\n\n`" + syntax.Text(rule.When) + "`"
}

func (d *document) explainList(name string) string {
	for _, decl := range d.file.Lists {
		if decl.Name.Name == name {
			return "**@" + name + "**: list of this source, " + count(len(decl.Entries))
		}
	}
	if d.lists != nil {
		if ref, ok := d.lists.Ref(name); ok {
			return "**@" + name + "**: list, " + count(ref.Get().Len())
		}
	}
	return ""
}

// explainConstant says a constant in words, where that says more.
func (d *document) explainConstant(t syntax.Token) string {
	file, faults := syntax.Parse(`test "t" given { a: ` + t.Text + ` } expect allow`)
	if len(faults) > 0 || len(file.Tests) != 1 || len(file.Tests[0].Given.Fields) != 1 {
		return ""
	}
	literal, ok := file.Tests[0].Given.Fields[0].Value.(*syntax.Literal)
	if !ok {
		return ""
	}
	switch literal.Kind {
	case syntax.DurationLit:
		return "duration: " + inWords(literal.Int)
	case syntax.MoneyLit:
		return fmt.Sprintf("money: %s, %d minor units", money.Amount{Minor: literal.Int, Currency: literal.Str}, literal.Int)
	case syntax.TimeLit:
		const layout = "Monday, 2 January 2006, 15:04:05"
		text := "time: " + time.UnixMicro(literal.Int).UTC().Format(layout) + " UTC"
		if _, zone, ok := strings.Cut(t.Text, "+"); ok {
			if at, err := time.Parse("Z07:00", "+"+zone); err == nil {
				text += "; " + time.UnixMicro(literal.Int).In(at.Location()).Format(layout) + " +" + zone
			}
		}
		return text
	default:
		return ""
	}
}

// inWords is a duration in microseconds as "1 hour 30 minutes".
func inWords(micros int64) string {
	var parts []string
	for _, unit := range []struct {
		name string
		size time.Duration
	}{
		{"day", 24 * time.Hour},
		{"hour", time.Hour},
		{"minute", time.Minute},
		{"second", time.Second},
		{"millisecond", time.Millisecond},
		{"microsecond", time.Microsecond},
	} {
		size := unit.size.Microseconds()
		if n := micros / size; n > 0 {
			name := unit.name
			if n > 1 {
				name += "s"
			}
			parts = append(parts, fmt.Sprintf("%d %s", n, name))
			micros %= size
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, " ")
}
