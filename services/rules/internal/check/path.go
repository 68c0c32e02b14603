package check

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// path resolves a field to a node of Op Field, or reports why it cannot.
func (c *checker) path(x *syntax.Path) *Node {
	depth, parts := 0, x.Parts
	for i := len(c.scopes) - 1; i > 0; i-- {
		if c.scopes[i].name == parts[0].Name {
			depth, parts = i, parts[1:]
			break
		}
	}
	scope := &c.scopes[depth]
	var key [2]string
	if scope.message != nil && (len(parts) == 1 || len(parts) == 2) {
		key[0] = parts[0].Name
		if len(parts) == 2 {
			key[1] = parts[1].Name
		}
		if known := scope.known[key]; known != nil {
			node := c.made.nodes.Get()
			*node = *known
			node.Depth, node.Source = depth, x
			return node
		}
	}
	node := c.resolve(x, depth, parts)
	if node != nil && key[0] != "" {
		known := *node
		scope.known[key] = &known
	}
	return node
}

// resolve looks up what c.path has not met yet.
func (c *checker) resolve(x *syntax.Path, depth int, parts []syntax.Ident) *Node {
	scope := &c.scopes[depth]
	if scope.message == nil {
		if len(parts) > 0 {
			c.fault(parts[0].Span, fmt.Sprintf("'%s' is %s and has no fields", scope.name, scope.value.describe()), "")
			return nil
		}
		node := c.node(Field, scope.value, x)
		node.Depth = depth
		return node
	}
	if len(parts) == 0 {
		c.fault(x.Span, fmt.Sprintf("'%s' is a message; name one of its fields", scope.name), exampleField(scope))
		return nil
	}
	return c.descend(x, depth, parts)
}

func exampleField(s *scope) string {
	if s.message.Fields().Len() == 0 {
		return ""
	}
	return fmt.Sprintf("as in %s.%s", s.name, s.message.Fields().Get(0).Name())
}

// descend follows parts from the message of a scope.
func (c *checker) descend(x *syntax.Path, depth int, parts []syntax.Ident) *Node {
	message := c.scopes[depth].message
	var fields []protoreflect.FieldDescriptor
	missing := false
	for i, part := range parts {
		field := message.Fields().ByName(protoreflect.Name(part.Name))
		if field == nil {
			c.unknown(part, message, i == 0)
			return nil
		}
		fields = append(fields, field)
		missing = missing || field.HasPresence()
		kind := c.schema.KindOf(field)
		last := i == len(parts)-1
		switch {
		case kind == fact.Invalid:
			c.fault(part.Span, fmt.Sprintf("field '%s' is %s, which rules cannot read", part.Name, unreadable(field)), "")
			return nil
		case last:
			missing = missing || kind == fact.String || kind == fact.Enum || kind == fact.Time
			node := c.node(Field, c.typeOf(field), x)
			node.Depth, node.Opt, node.fields = depth, missing, fields
			if kind != fact.Message {
				node.Slot = c.slot(depth, fields...)
			}
			return node
		case kind == fact.List:
			c.fault(part.Span, fmt.Sprintf("'%s' is a list", part.Name), fmt.Sprintf("as in any x in %s (x.%s ...)", part.Name, parts[i+1].Name))
			return nil
		case kind != fact.Message:
			c.fault(parts[i+1].Span, fmt.Sprintf("'%s' is %s and has no fields", part.Name, kind), "")
			return nil
		}
		message = field.Message()
	}
	return nil
}

func unreadable(field protoreflect.FieldDescriptor) string {
	if field.IsMap() {
		return "a map"
	}
	return field.Kind().String()
}

func (c *checker) typeOf(field protoreflect.FieldDescriptor) Type {
	t := Type{Kind: c.schema.ElemKind(field), Enum: field.Enum()}
	if field.IsList() {
		return Type{Kind: fact.List, Elem: &t}
	}
	return t
}

// unknown reports a field that a message does not have.
func (c *checker) unknown(part syntax.Ident, message protoreflect.MessageDescriptor, first bool) {
	var known []string
	for i := range message.Fields().Len() {
		known = append(known, string(message.Fields().Get(i).Name()))
	}
	for _, scope := range c.scopes[1:] {
		if first {
			known = append(known, scope.name)
		}
	}
	text := "unknown field '" + part.Name + "'"
	if !first {
		text += " of " + string(message.Name())
	}
	help := syntax.Suggest(part.Name, known)
	if help == "" && len(known) <= 12 && len(known) > 0 {
		help = "known fields: " + strings.Join(known, ", ")
	}
	c.fault(part.Span, text, help)
}

// listPath resolves a path to a list and the scope of its elements.
func (c *checker) listPath(x *syntax.Path) (*Node, *scope) {
	node := c.path(x)
	if node == nil {
		return nil, nil
	}
	if node.Type.Kind != fact.List {
		c.fault(x.Span, fmt.Sprintf("'%s' is %s, not a list", x, node.Type.describe()), "")
		return nil, nil
	}
	slots := c.set.Layout.Elem(c.scopes[node.Depth].slots, node.fields...)
	if c.elements[slots] == nil {
		c.elements[slots] = fieldsByName{}
	}
	elem := &scope{slots: slots, value: *node.Type.Elem, known: c.elements[slots]}
	if elem.value.Kind == fact.Message {
		elem.message = node.fields[len(node.fields)-1].Message()
	}
	return node, elem
}
