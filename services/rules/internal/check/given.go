package check

import (
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// test checks a test and builds its fact.
func (c *checker) test(test *syntax.Test, rules *names) {
	checked := &Test{Test: test, Windows: map[int]fact.Slot{}}
	message := dynamicpb.NewMessage(c.schema.Descriptor())
	for _, field := range test.Given.Fields {
		if window, ok := field.Key.(*syntax.Window); ok {
			c.givenWindow(checked, window, field.Value)
			continue
		}
		c.given(message, field.Key.(*syntax.Path), field.Value)
	}
	for _, name := range test.Because {
		if !rules.has(name.Name) {
			c.fault(name.Span, "unknown rule '"+name.Name+"'", syntax.Suggest(name.Name, slices.Clone(rules.texts)))
		}
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		c.fault(test.Given.Span, "the fact cannot be encoded: "+err.Error(), "")
	}
	checked.Fact = data
	c.set.Tests = append(c.set.Tests, checked)
}

// givenWindow sets what a velocity function returns in a test.
func (c *checker) givenWindow(test *Test, x *syntax.Window, value syntax.Expr) {
	node, ok := c.windows[syntax.Text(x)]
	if !ok {
		c.fault(x.Span, "no rule uses '"+shortText(x)+"'", "")
		return
	}
	literal, ok := value.(*syntax.Literal)
	if !ok {
		c.fault(value.ExprSpan(), "expected a constant", "")
		return
	}
	constant := c.literal(literal)
	if constant == nil {
		return
	}
	if node.Type.Kind == fact.Float && constant.Type.Kind == fact.Int {
		constant = c.toFloat(constant)
	}
	if constant.Type.Kind != node.Type.Kind {
		c.fault(literal.Span, fmt.Sprintf("'%s' is %s, found %s", shortText(x), node.Type.describe(), constant.Type.describe()), compareHelp(node, constant))
		return
	}
	test.Windows[node.Slot] = constant.Value
}

// given sets the field that a path leads to, making the messages on its way.
func (c *checker) given(message protoreflect.Message, path *syntax.Path, value syntax.Expr) {
	for i, part := range path.Parts {
		field := message.Descriptor().Fields().ByName(protoreflect.Name(part.Name))
		if field == nil {
			c.unknown(part, message.Descriptor(), len(path.Parts) == 1)
			return
		}
		if i == len(path.Parts)-1 {
			c.assign(message, field, value)
			return
		}
		if c.schema.KindOf(field) != fact.Message {
			c.fault(path.Parts[i+1].Span, "'"+part.Name+"' has no fields", "")
			return
		}
		message = message.Mutable(field).Message()
	}
}

func (c *checker) assign(message protoreflect.Message, field protoreflect.FieldDescriptor, value syntax.Expr) {
	switch c.schema.KindOf(field) {
	case fact.Invalid:
		c.fault(value.ExprSpan(), fmt.Sprintf("field '%s' is %s, which rules cannot read", field.Name(), unreadable(field)), "")
	case fact.List:
		array, ok := value.(*syntax.Array)
		if !ok {
			c.fault(value.ExprSpan(), fmt.Sprintf("'%s' is a list", field.Name()), "as in ["+shortText(value)+"]")
			return
		}
		list := message.Mutable(field).List()
		for _, elem := range array.Elems {
			if v, ok := c.wire(list.NewElement(), field, elem); ok {
				list.Append(v)
			}
		}
	default:
		if v, ok := c.wire(message.NewField(field), field, value); ok {
			message.Set(field, v)
		}
	}
}

// wire converts a constant to the value of a field or of its elements. fresh
// is an empty value of that type.
func (c *checker) wire(fresh protoreflect.Value, field protoreflect.FieldDescriptor, value syntax.Expr) (protoreflect.Value, bool) {
	want := Type{Kind: c.schema.ElemKind(field), Enum: field.Enum()}
	if want.Kind == fact.Message {
		object, ok := value.(*syntax.Object)
		if !ok {
			c.fault(value.ExprSpan(), fmt.Sprintf("'%s' is a message", field.Name()), "write its fields in braces, as in { name: value }")
			return fresh, false
		}
		for _, entry := range object.Fields {
			if path, ok := entry.Key.(*syntax.Path); ok {
				c.given(fresh.Message(), path, entry.Value)
			} else {
				c.fault(entry.Key.ExprSpan(), "velocity belongs to the fact itself", "")
			}
		}
		return fresh, true
	}
	literal, ok := value.(*syntax.Literal)
	if !ok {
		c.fault(value.ExprSpan(), fmt.Sprintf("'%s' is %s", field.Name(), want.describe()), "")
		return fresh, false
	}
	constant := c.literal(literal)
	if constant == nil {
		return fresh, false
	}
	if target := (&Node{Op: Field, Type: want}); want.Kind != constant.Type.Kind {
		if want.Kind == fact.Int || !c.unify(&target, &constant) {
			c.fault(literal.Span, fmt.Sprintf("'%s' is %s, found %s", field.Name(), want.describe(), constant.Type.describe()), compareHelp(target, constant))
			return fresh, false
		}
	}
	encoded, ok := encode(fresh, field, constant.Value, want.Kind)
	if !ok {
		c.fault(literal.Span, fmt.Sprintf("out of range of '%s'", field.Name()), "")
	}
	return encoded, ok
}

// encode turns a slot's value into that of a protobuf field.
func encode(fresh protoreflect.Value, field protoreflect.FieldDescriptor, v fact.Slot, kind fact.Kind) (protoreflect.Value, bool) {
	if field.Kind() == protoreflect.MessageKind {
		message, fields := fresh.Message(), field.Message().Fields()
		if kind == fact.Money {
			message.Set(fields.ByName("minor"), protoreflect.ValueOfInt64(v.N))
			message.Set(fields.ByName("currency"), protoreflect.ValueOfString(v.S))
			return fresh, true
		}
		seconds, micros := v.N/1_000_000, v.N%1_000_000
		if kind == fact.Time && micros < 0 {
			seconds, micros = seconds-1, micros+1_000_000
		}
		message.Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(seconds))
		message.Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(int32(micros*1000)))
		return fresh, true
	}
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(v.N != 0), true
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(v.S), true
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(v.N)), true
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(math.Float64frombits(uint64(v.N))), true
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(math.Float64frombits(uint64(v.N)))), true
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(v.N)), v.N == int64(int32(v.N))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(v.N)), v.N == int64(uint32(v.N))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(v.N)), v.N >= 0
	default:
		return protoreflect.ValueOfInt64(v.N), true
	}
}
