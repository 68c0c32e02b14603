package schema

import (
	"regexp"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// oneOfTwo is the expression that is known: one of two lists has an element.
var oneOfTwo = regexp.MustCompile(`^size\(this\.(\w+)\) \+ size\(this\.(\w+)\) > 0$`)

// some is a rule of messages: one of the lists has an element.
type some []protoreflect.FieldDescriptor

// someOf is nil where the message has another rule, or none.
func someOf(message protoreflect.MessageDescriptor) rule {
	rules, err := protovalidate.ResolveMessageRules(message)
	if err != nil || rules == nil || !only(rules, "cel") || len(rules.GetCel()) != 1 {
		return nil
	}
	names := oneOfTwo.FindStringSubmatch(rules.GetCel()[0].GetExpression())
	if names == nil {
		return nil
	}
	var lists some
	for _, name := range names[1:] {
		field := message.Fields().ByName(protoreflect.Name(name))
		if field == nil || !field.IsList() {
			return nil
		}
		lists = append(lists, field)
	}
	return lists
}

func (s some) holds(value protoreflect.Value) bool {
	for _, list := range s {
		if value.Message().Has(list) {
			return true
		}
	}
	return false
}
