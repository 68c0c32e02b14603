package backtest

import (
	"fmt"
	"math"
	"strings"

	"github.com/parquet-go/parquet-go"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/column"
)

// parquetPlan tells how the columns of a file become those of a batch.
type parquetPlan struct {
	leaves []*leaf
	schema *fact.Schema
}

// node is a column or group of a file with the levels of its values.
type node struct {
	*parquet.Column
	def, rep int
	levels   []level
}

func (n node) child(name string) (node, bool) {
	c := n.Column.Column(name)
	if c == nil {
		return node{}, false
	}
	return n.down(c), true
}

func (n node) down(c *parquet.Column) node {
	down := node{c, n.def, n.rep, n.levels}
	if !c.Required() {
		down.def++
	}
	if c.Repeated() {
		down.rep++
	}
	return down
}

// leaf is a column within, which tells whether a group is present.
func (n node) leaf() node {
	for !n.Leaf() {
		n = n.down(n.Columns()[0])
	}
	return n
}

func (n node) name() string { return strings.Join(n.Path(), ".") }

// newParquetPlan finds the fields that rules read in a file.
func newParquetPlan(root *parquet.Column, config *Config, fields *column.Scope) (*parquetPlan, error) {
	p := &parquetPlan{schema: config.Schema}
	top := node{Column: root}
	if err := p.scope(top, config.Schema.Descriptor(), fields); err != nil {
		return nil, err
	}
	if config.Live != nil {
		return p, nil
	}
	verdict, ok := top.child(config.VerdictField)
	if !ok || !verdict.Leaf() || verdict.Type().Kind() != parquet.ByteArray {
		return nil, fmt.Errorf("%w: no column %q of strings for the recorded verdict", ErrInput, config.VerdictField)
	}
	p.sink(verdict, nil, sink{slot: fields.Width(), how: asText, max: verdict.def})
	return p, nil
}

// scope plans the fields of a message.
func (p *parquetPlan) scope(group node, message protoreflect.MessageDescriptor, scope *column.Scope) error {
	var absent []*column.Field
	for _, f := range scope.Fields {
		if f.Counted {
			continue
		}
		found, err := p.field(group, message, f)
		if err != nil {
			return err
		}
		if !found {
			absent = append(absent, f)
		}
	}
	for _, f := range absent {
		if group.Leaf() || len(group.Columns()) == 0 {
			return fmt.Errorf("%w: no column %s", ErrInput, strings.Join(f.Path, "."))
		}
		p.absent(group, message, f)
	}
	return nil
}

// field plans one field; found is false when the file does not have it.
func (p *parquetPlan) field(at node, message protoreflect.MessageDescriptor, f *column.Field) (found bool, err error) {
	var desc protoreflect.FieldDescriptor
	present, top := at.def, at
	for i, name := range f.Path {
		desc = message.Fields().ByName(protoreflect.Name(name))
		next, ok := at.child(name)
		if !ok {
			// a file without groups may name its columns by their paths
			if next, ok = top.child(strings.Join(f.Path, ".")); !ok {
				return false, nil
			}
			for _, rest := range f.Path[i+1:] {
				desc = desc.Message().Fields().ByName(protoreflect.Name(rest))
			}
			at, present = next, top.def
			break
		}
		if message = desc.Message(); i < len(f.Path)-1 {
			present = next.def
		}
		at = next
	}
	if f.Type.Kind == fact.List {
		return true, p.list(at, present, desc, f)
	}
	return true, p.place(at, present, desc, f)
}

// list plans a repeated field: repeated itself, or a group around one as
// Parquet's LIST has it.
func (p *parquetPlan) list(at node, present int, desc protoreflect.FieldDescriptor, f *column.Field) error {
	elem := at
	if !at.Repeated() {
		if at.Leaf() || len(at.Columns()) != 1 || !at.Columns()[0].Repeated() {
			return fmt.Errorf("%w: column %s is no list", ErrInput, at.name())
		}
		elem = at.down(at.Columns()[0])
	}
	around := level{slot: f.Slot, rep: elem.rep, def: elem.def, present: present}
	single := !at.Repeated() && !elem.Leaf() && len(elem.Columns()) == 1
	if single && elem.Name() != "array" && elem.Name() != at.Name()+"_tuple" {
		if inner := elem.down(elem.Columns()[0]); !inner.Repeated() {
			elem = inner
		}
	}
	elem.levels = append(append([]level{}, at.levels...), around)
	before := len(p.leaves)
	if len(f.Elem.Fields) == 1 && len(f.Elem.Fields[0].Path) == 0 {
		if err := p.place(elem, elem.def, desc, f.Elem.Fields[0]); err != nil {
			return err
		}
	} else if err := p.scope(elem, desc.Message(), f.Elem); err != nil {
		return err
	}
	var owner *leaf
	if len(p.leaves) > before {
		owner = p.leaves[before]
	} else {
		owner = p.find(elem.leaf(), elem.levels)
	}
	owner.levels[len(elem.levels)-1].owner = true
	return nil
}

// find returns the leaf that reads a column within lists, made if need be.
func (p *parquetPlan) find(at node, levels []level) *leaf {
	for _, known := range p.leaves {
		if known.index != at.Index() {
			continue
		}
		if len(levels) > len(known.levels) {
			known.levels = append(known.levels, levels[len(known.levels):]...)
		}
		return known
	}
	l := &leaf{name: at.name(), index: at.Index(), levels: append([]level{}, levels...)}
	p.leaves = append(p.leaves, l)
	return l
}

func (p *parquetPlan) sink(at node, levels []level, s sink) {
	l := p.find(at, levels)
	s.level = len(levels)
	l.sinks = append(l.sinks, s)
}

// absent fills a field that the file does not have, beside some column of the
// same message.
func (p *parquetPlan) absent(group node, message protoreflect.MessageDescriptor, f *column.Field) {
	s := sink{slot: f.Slot, max: math.MaxInt, present: group.def}
	if len(f.Path) == 1 {
		s.zero = zero(p.schema, message.Fields().ByName(protoreflect.Name(f.Path[0])))
	}
	at := group.leaf()
	switch f.Type.Kind {
	case fact.String:
		s.how = asText
	case fact.Message, fact.List:
		s.how, s.present = asPresence, math.MaxInt
	case fact.Money:
		s.how, s.present = asMinor, math.MaxInt
		p.sink(at, group.levels, sink{slot: f.Slot, how: asCurrency, max: math.MaxInt})
	default:
	}
	p.sink(at, group.levels, s)
}

// zero reports whether a field is zero rather than missing when it is not set.
func zero(schema *fact.Schema, desc protoreflect.FieldDescriptor) bool {
	switch schema.ElemKind(desc) {
	case fact.Bool, fact.Int, fact.Float, fact.Duration:
		return !desc.HasPresence()
	default:
		return false
	}
}

// place plans a field that has one value, or an element of a list.
func (p *parquetPlan) place(at node, present int, desc protoreflect.FieldDescriptor, f *column.Field) error {
	element := desc.IsList()
	s := sink{slot: f.Slot, max: at.def, present: present, zero: zero(p.schema, desc) && !element}
	s.nonzero = !desc.HasPresence() && !element
	switch kind := f.Type.Kind; {
	case kind == fact.Message:
		s.how, s.present = asPresence, at.def
		p.sink(at.leaf(), at.levels, s)
		return nil
	case kind == fact.Money:
		return p.pair(at, s, "minor", "currency")
	case (kind == fact.Time || kind == fact.Duration) && !at.Leaf():
		return p.pair(at, s, "seconds", "nanos")
	case !at.Leaf():
		return fmt.Errorf("%w: column %s is a group, the fact has %s", ErrInput, at.name(), kind)
	case kind == fact.String:
		if at.Type().Kind() != parquet.ByteArray {
			return mismatch(at, f)
		}
		s.how = asText
	default:
		s.nonzero = s.nonzero && (kind == fact.Enum || kind == fact.Time)
		if s.number = conversion(at, desc, f.Type.Kind); s.number == nil {
			return mismatch(at, f)
		}
	}
	p.sink(at, at.levels, s)
	return nil
}

func mismatch(at node, f *column.Field) error {
	return fmt.Errorf("%w: column %s is %s, which cannot be read as %s", ErrInput, at.name(), at.Type(), f.Type.Kind)
}

// pair plans a message of two numbers, or a number and a string.
func (p *parquetPlan) pair(at node, s sink, first, second string) error {
	a, okA := node{}, false
	b, okB := node{}, false
	if !at.Leaf() {
		a, okA = at.child(first)
		b, okB = at.child(second)
	}
	if !okA || !okB || !a.Leaf() || !b.Leaf() || number(a) == nil {
		return fmt.Errorf("%w: column %s must be a group of %s and %s", ErrInput, at.name(), first, second)
	}
	s.max, s.present, s.how = a.def, at.def, asMinor
	s.number = number(a)
	if first == "minor" {
		if b.Type().Kind() != parquet.ByteArray {
			return fmt.Errorf("%w: column %s must hold strings", ErrInput, b.name())
		}
		p.sink(a, at.levels, s)
		p.sink(b, at.levels, sink{slot: s.slot, how: asCurrency, max: b.def})
		return nil
	}
	nanos := number(b)
	if nanos == nil {
		return fmt.Errorf("%w: column %s must hold numbers", ErrInput, b.name())
	}
	seconds := s.number
	s.number = func(v *parquet.Value) (int64, bool) { n, ok := seconds(v); return n * 1_000_000, ok }
	p.sink(a, at.levels, s)
	p.sink(b, at.levels, sink{slot: s.slot, how: asNanos, max: b.def, number: nanos})
	return nil
}
