package check

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/services/rules/fact"
)

// Function is a function that the language has, with an example of its use.
// Velocity functions aggregate over a window.
type Function struct {
	Name, Example string
	Velocity      bool
}

// Functions returns all functions by name.
func Functions() []Function {
	var all []Function
	for name, fn := range functions {
		all = append(all, Function{Name: name, Example: fn.example})
	}
	for name, fn := range measures { // max is both
		all = append(all, Function{Name: name, Example: fn.example, Velocity: true})
	}
	slices.SortFunc(all, func(a, b Function) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Example, b.Example)) })
	return all
}

// FieldType is the type of a field, as messages name it.
func FieldType(schema *fact.Schema, field protoreflect.FieldDescriptor) string {
	t := Type{Kind: schema.ElemKind(field), Enum: field.Enum()}
	if schema.KindOf(field) == fact.List {
		if t.Kind == fact.Message {
			return "list of " + string(field.Message().Name())
		}
		return "list of " + t.describe()
	}
	if t.Kind == fact.Message {
		return "message " + string(field.Message().Name())
	}
	return t.describe()
}

// Members are the names of an enum's members as rules write them: without the
// prefix that all share.
func Members(enum protoreflect.EnumDescriptor) []string {
	prefix := enumPrefix(enum)
	var all []string
	for i := range enum.Values().Len() {
		all = append(all, strings.TrimPrefix(string(enum.Values().Get(i).Name()), prefix))
	}
	return all
}
