package check

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/arena"
	"github.com/backlot-video/backlot/services/rules/internal/pattern"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
)

// Check gives types to a source that parsed without fault. lists may be nil.
// The set is complete only when there are no faults.
func Check(file *syntax.File, schema *fact.Schema, lists *list.Registry) (*Set, []syntax.Fault) {
	c := New(schema, lists, file.Lists, len(file.Rules))
	set := &Set{}
	for _, rule := range file.Rules {
		if c.Full() {
			break
		}
		set.Rules = append(set.Rules, c.Rule(rule))
	}
	rules := set.Rules
	set, faults := c.Finish(file.Tests)
	set.Rules = rules
	return set, faults
}

// Checker checks a source rule by rule.
type Checker struct{ checker }

// New returns a checker of rules that may refer to the lists of a registry,
// which may be nil, and to those declared beside them. rules is about how many
// there are.
func New(schema *fact.Schema, lists *list.Registry, declared []*syntax.List, rules int) *Checker {
	layout := fact.NewLayout(schema)
	c := &Checker{checker{
		schema: schema, registry: lists, own: map[string]*list.Ref{}, windows: map[string]*Node{},
		addrs: map[int]int{}, patterns: newNames(rules / 8), set: &Set{Layout: layout, Time: -1, Exact: map[int]bool{}},
		names: newNames(rules), elements: map[*fact.Scope]fieldsByName{}, made: &nodes{},
		scopes: []scope{{slots: layout.Root(), message: schema.Descriptor(), known: fieldsByName{}}},
	}}
	for _, decl := range declared {
		c.list(decl)
	}
	return c
}

// Full reports whether there are as many faults as are told.
func (c *Checker) Full() bool { return len(c.faults) >= syntax.MaxFaults }

// Rule checks the next rule.
func (c *Checker) Rule(rule *syntax.Rule) *Rule {
	if _, added := c.names.add(rule.Name.Name); !added {
		c.fault(rule.Name.Span, "rule '"+rule.Name.Name+"' is defined twice", "")
	}
	return c.rule(rule)
}

// Release takes the memory of the rule checked last back for the next one:
// nothing of that rule must be used any more.
func (c *Checker) Release() { c.made.Reset() }

// nodes holds what checked rules are made of. It is for one goroutine at a
// time.
type nodes struct {
	nodes   arena.Pool[Node]
	args    arena.Pool[*Node]
	checked arena.Pool[Rule]
}

// Reset takes the memory of the rules back for the next ones: nothing of those
// rules must be used any more.
func (n *nodes) Reset() {
	n.nodes.Reset()
	n.args.Reset()
	n.checked.Reset()
}

// Finish checks the tests and returns the set, without its rules.
func (c *Checker) Finish(tests []*syntax.Test) (*Set, []syntax.Fault) {
	if len(c.set.Counters) > 0 && c.schema.Time() != nil {
		c.set.Time = c.slot(0, c.schema.Time())
	}
	if !c.Full() {
		for _, test := range tests {
			c.test(test, c.names)
		}
	}
	c.set.Addrs = len(c.addrs)
	c.set.Layout.Seal()
	c.set.state = &checker{schema: c.schema, registry: c.registry, own: c.own, windows: c.windows, addrs: c.addrs, named: c.named}
	if c.named == nil {
		c.set.state.named = c.names
	}
	return c.set, c.faults
}

// Continue returns a checker of more rules for a finished set, which stays as
// it is: what the set and the rules have in common has the same slots. Finish
// returns the set of both. Names of rules are not compared with the set's.
func (s *Set) Continue() *Checker {
	set := *s
	set.Layout, set.Exact, set.Lists, set.Counters = s.Layout.Clone(), maps.Clone(s.Exact), slices.Clone(s.Lists), nil
	for _, counter := range s.Counters {
		own := *counter
		own.Outputs = slices.Clone(counter.Outputs)
		set.Counters = append(set.Counters, &own)
	}
	return &Checker{checker{
		schema: s.state.schema, registry: s.state.registry, own: s.state.own, windows: maps.Clone(s.state.windows),
		addrs: maps.Clone(s.state.addrs), patterns: newNames(0), set: &set,
		named: s.state.named, names: newNames(0), elements: map[*fact.Scope]fieldsByName{}, made: &nodes{},
		scopes: []scope{{slots: set.Layout.Root(), message: s.state.schema.Descriptor(), known: fieldsByName{}}},
	}}
}

// Named reports whether a rule of the set has a name; not those of checkers that
// continued it.
func (s *Set) Named(name string) bool { return s.state.named.has(name) }

// checker holds what is known while a source is checked. scopes[0] is the
// fact, the rest are the elements of the enclosing any and all.
type checker struct {
	schema   *fact.Schema
	registry *list.Registry
	own      map[string]*list.Ref // lists of the source
	windows  map[string]*Node     // velocity by canonical text
	addrs    map[int]int          // number of an IP address by slot
	patterns *names               // numbers in compiled, by text
	compiled []*pattern.Pattern
	compiler pattern.Compiler
	names    *names // of rules
	named    *names // of rules of the set that is continued
	elements map[*fact.Scope]fieldsByName
	scopes   []scope
	counted  bool // this rule uses velocity
	set      *Set
	faults   []syntax.Fault
	doubles  bool // the rule at hand has what parts counts twice
	made     *nodes

	templates []template               // by the number of their stencil
	nets      arena.Pool[netip.Prefix] // of what fills them
	shapes    int32                    // how many tests they have
}

// node returns a node of this rule.
func (c *checker) node(op Op, t Type, source syntax.Expr, args ...*Node) *Node {
	n := c.made.nodes.Get()
	n.Op, n.Type, n.Source = op, t, source
	if len(args) > 0 {
		n.Args = append(c.made.args.Slice(len(args)), args...)
	}
	return n
}

// fieldsByName holds fields by one name, or by two for those of a message.
type fieldsByName map[[2]string]*Node

type scope struct {
	name    string // of the element
	slots   *fact.Scope
	message protoreflect.MessageDescriptor // nil for elements that are values
	value   Type                           // of those
	known   fieldsByName                   // met so far
}

func (c *checker) fault(span syntax.Span, message, help string) {
	if len(c.faults) < syntax.MaxFaults {
		c.faults = append(c.faults, syntax.Fault{Span: span, Message: message, Help: help})
	}
}

func (c *checker) rule(rule *syntax.Rule) *Rule {
	c.counted, c.doubles = false, false
	checked := c.made.checked.Get()
	checked.Rule = rule
	if rule.When != nil {
		c.when(checked)
	}
	if rule.State == syntax.Canary {
		checked.Canary = c.keyField(rule.CanaryBy, "a canary is chosen by").kept()
	}
	return checked
}

// when checks the condition of a rule.
func (c *checker) when(rule *Rule) {
	rule.When = c.bounded(rule.Rule, c.cond(rule.Rule.When))
	if c.counted {
		c.noteBounds(rule.When)
	}
}

// When checks the condition of a rule that has its tree only now.
func (c *Checker) When(rule *Rule) { c.when(rule) }

// keyField checks a top-level field whose value names something: a string, a
// whole number or an enum.
func (c *checker) keyField(path *syntax.Path, purpose string) *Node {
	node := c.path(path)
	if node == nil {
		return nil
	}
	switch node.Type.Kind {
	case fact.String, fact.Int, fact.Enum:
		return node
	default:
	}
	c.fault(path.Span, fmt.Sprintf("%s a string, int or enum; '%s' is %s", purpose, path, node.Type.describe()), "")
	return nil
}

func (c *checker) list(decl *syntax.List) {
	match, _ := list.ParseMatch(decl.MatchName())
	entries := list.NewBuilder(list.Config{Match: match})
	for _, entry := range decl.Entries {
		if err := entries.AddString(entry.Str); err != nil {
			c.fault(entry.Span, strings.TrimPrefix(err.Error(), list.ErrEntry.Error()+": "), "")
			return
		}
	}
	built, err := entries.Build()
	if err != nil {
		c.fault(decl.Span, err.Error(), "")
		return
	}
	if _, twice := c.own[decl.Name.Name]; twice {
		c.fault(decl.Name.Span, "list '@"+decl.Name.Name+"' is defined twice", "")
	}
	c.own[decl.Name.Name] = list.NewRef(built)
}

// slot returns the slot of a field at a depth.
func (c *checker) slot(depth int, path ...protoreflect.FieldDescriptor) int {
	slot, err := c.set.Layout.Slot(c.scopes[depth].slots, path...)
	if err != nil {
		c.fault(syntax.Span{}, err.Error(), "")
	}
	return slot
}

// describe names a type in messages, with its article where it has one.
func (t Type) describe() string {
	switch t.Kind {
	case fact.Enum:
		return "enum " + string(t.Enum.Name())
	case fact.List:
		return "a list"
	case fact.Message:
		return "a message"
	default:
		return t.Kind.String()
	}
}
