package fact

import "google.golang.org/protobuf/reflect/protoreflect"

// Leaf is a field of a fact that holds one value: not a list, not within one.
type Leaf struct {
	Path string // as rules write it, `billing.country`
	Kind Kind
	Slot int
}

// maxLeafDepth bounds how deep messages are followed; they may be recursive.
const maxLeafDepth = 4

// Leaves gives every leaf a slot, up to MaxSlots, and lists them.
func (l *Layout) Leaves() []Leaf {
	var leaves []Leaf
	var visit func(message protoreflect.MessageDescriptor, path []protoreflect.FieldDescriptor, prefix string)
	visit = func(message protoreflect.MessageDescriptor, path []protoreflect.FieldDescriptor, prefix string) {
		for i := range message.Fields().Len() {
			field := message.Fields().Get(i)
			within := append(path[:len(path):len(path)], field)
			switch kind := l.schema.KindOf(field); kind {
			case Invalid, List:
			case Message:
				if len(within) < maxLeafDepth {
					visit(field.Message(), within, prefix+string(field.Name())+".")
				}
			default:
				if slot, err := l.Slot(l.root, within...); err == nil {
					leaves = append(leaves, Leaf{prefix + string(field.Name()), kind, slot})
				}
			}
		}
	}
	visit(l.schema.desc, nil, "")
	return leaves
}
