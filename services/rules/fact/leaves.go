package fact

import "google.golang.org/protobuf/reflect/protoreflect"

// Leaf is a field that holds one value: of the fact, or of each element of a
// list of the fact.
type Leaf struct {
	Path string // as rules write it, `billing.country`; of elements `items[].category`
	Kind Kind
	Slot int
	List int // slot of the list, -1: none
}

// Elements is the path of what elements of a list hold; inner is empty for
// lists of values.
func Elements(list, inner string) string {
	if inner == "" {
		return list + "[]"
	}
	return list + "[]." + inner
}

// maxLeafDepth bounds how deep messages are followed; they may be recursive.
const maxLeafDepth = 4

// Leaves gives every leaf a slot, up to MaxSlots, and lists them.
func (l *Layout) Leaves() []Leaf {
	v := leaves{layout: l}
	v.visit(l.root, -1, l.schema.desc, nil, "")
	return v.all
}

type leaves struct {
	layout *Layout
	all    []Leaf
}

// visit lists the leaves of a message that path leads to from scope, which is
// that of the elements of list, if it is not -1.
func (v *leaves) visit(scope *Scope, list int, message protoreflect.MessageDescriptor, path []protoreflect.FieldDescriptor, prefix string) {
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		within, name := append(path[:len(path):len(path)], field), prefix+string(field.Name())
		switch kind := v.layout.schema.KindOf(field); kind {
		case Invalid:
		case List:
			if list < 0 {
				v.elements(field, within, name)
			}
		case Message:
			if len(within) < maxLeafDepth {
				v.visit(scope, list, field.Message(), within, name+".")
			}
		default:
			if slot, err := v.layout.Slot(scope, within...); err == nil {
				v.all = append(v.all, Leaf{name, kind, slot, list})
			}
		}
	}
}

func (v *leaves) elements(field protoreflect.FieldDescriptor, path []protoreflect.FieldDescriptor, name string) {
	list, err := v.layout.Slot(v.layout.root, path...)
	if err != nil {
		return
	}
	scope := v.layout.Elem(v.layout.root, path...)
	switch kind := v.layout.schema.ElemKind(field); kind {
	case Invalid, List:
	case Message:
		v.visit(scope, list, field.Message(), nil, Elements(name, "")+".")
	default:
		v.all = append(v.all, Leaf{Elements(name, ""), kind, 0, list})
	}
}
