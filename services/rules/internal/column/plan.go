package column

import (
	"cmp"
	"slices"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Scope lists the fields that are read of a fact, or of the elements of a
// list.
type Scope struct {
	Fields []*Field // by slot
	width  int
}

// Field is a field that is read.
type Field struct {
	Path []string // from the scope's message; empty: the element itself, or velocity
	Type check.Type
	Slot int
	Elem *Scope // of a list
	// Counted tells that velocity fills it.
	Counted bool
}

// NewPlan lists the fields that the rules of a set read.
func NewPlan(set *check.Set, time string) *Scope {
	root := &Scope{}
	scopes := []*Scope{root}
	for _, rule := range set.Rules {
		addFields(scopes, rule.When)
		if rule.Canary != nil {
			addFields(scopes, rule.Canary)
		}
	}
	for _, counter := range set.Counters {
		addFields(scopes, counter.By)
		if counter.Of != nil {
			addFields(scopes, counter.Of)
		}
		for _, output := range counter.Outputs {
			root.field(&Field{Type: output.Type, Slot: output.Slot, Counted: true})
		}
	}
	if set.Time >= 0 {
		root.field(&Field{Path: []string{time}, Type: check.Type{Kind: fact.Time}, Slot: set.Time})
	}
	root.sort()
	return root
}

func (s *Scope) sort() {
	slices.SortFunc(s.Fields, func(a, b *Field) int { return cmp.Compare(a.Slot, b.Slot) })
	for _, f := range s.Fields {
		s.width = max(s.width, f.Slot+1)
		if f.Elem != nil {
			f.Elem.sort()
		}
	}
}

// field returns the field of the same slot, or adds this one.
func (s *Scope) field(f *Field) *Field {
	for _, known := range s.Fields {
		if known.Slot == f.Slot {
			return known
		}
	}
	if f.Type.Kind == fact.List {
		f.Elem = &Scope{}
		if f.Type.Elem.Kind != fact.Message {
			f.Elem.Fields = []*Field{{Type: *f.Type.Elem}}
		}
	}
	s.Fields = append(s.Fields, f)
	return f
}

// addFields adds what a node reads. scopes has the fact and the elements of
// the enclosing any and all.
func addFields(scopes []*Scope, n *check.Node) {
	switch n.Op {
	case check.Field:
		scopes[n.Depth].field(fieldOf(n))
	case check.Any, check.All:
		list := scopes[n.Args[0].Depth].field(fieldOf(n.Args[0]))
		addFields(append(slices.Clone(scopes[:n.Depth]), list.Elem), n.Args[1])
	default:
		for _, arg := range n.Args {
			addFields(scopes, arg)
		}
	}
}

func fieldOf(n *check.Node) *Field {
	f := &Field{Type: n.Type, Slot: n.Slot}
	switch source := n.Source.(type) {
	case *syntax.Path:
		parts := source.Parts
		if n.Depth > 0 {
			parts = parts[1:]
		}
		for _, part := range parts {
			f.Path = append(f.Path, part.Name)
		}
	case *syntax.Window:
		f.Counted = true
	}
	return f
}

// Width is the first slot that no field has.
func (s *Scope) Width() int { return s.width }
