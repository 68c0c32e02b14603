package lint

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/program"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// builder makes formulas of one set, whose variables are shared.
type builder struct{ variables map[string]*variable }

// build makes the formula that is true where a condition is known to be true,
// or with negate where it is known to be false.
func (b *builder) build(n *check.Node, negate bool) *formula {
	switch n.Op {
	case check.Not:
		f := b.build(n.Args[0], !negate)
		if n.Source != nil {
			f.node, f.negated = n, negate
		}
		return f
	case check.And, check.Or:
		f := &formula{junction: some, node: n, negated: negate}
		if (n.Op == check.And) != negate {
			f.junction = all
		}
		for _, arg := range n.Args {
			f.parts = append(f.parts, b.build(arg, negate))
		}
		return f
	case check.IsMissing:
		v := b.variable(n.Args[0])
		missing := set{true, v.none()}
		f := &formula{variable: v, set: missing, presence: true, node: n, negated: negate}
		if negate {
			f.set = missing.complement()
		}
		return f
	default:
	}
	f := b.test(n, negate)
	f.node, f.negated = n, negate
	return f
}

// test makes the formula of a condition without parts.
func (b *builder) test(n *check.Node, negate bool) *formula {
	if !reads(n) {
		holds := program.Compile(n)
		if negate {
			holds = program.Refute(n)
		}
		if holds(program.NewFrame(0)) {
			return &formula{junction: all}
		}
		return &formula{junction: some}
	}
	switch n.Op {
	case check.Eq, check.Ne, check.Lt, check.Le, check.Gt, check.Ge:
		return b.comparison(n, negate)
	case check.InInts:
		return restrict(b.variable(n.Args[0]), numbers{points(slices.Collect(maps.Keys(n.Ints)))}, negate)
	case check.InStrings:
		return restrict(b.variable(n.Args[0]), texts{only: n.Strings()}, negate)
	case check.Contains, check.StartsWith, check.EndsWith:
		if part := n.Args[1]; part.Op == check.Const {
			return restrict(b.variable(n.Args[0]), textTests(n, part.Value.S), negate)
		}
	case check.Matches, check.InList, check.InNets:
		return restrict(b.variable(n.Args[0]), textTests(n, ""), negate)
	case check.Field:
		return restrict(b.variable(n), numbers{between(1, 1)}, negate)
	default:
	}
	return restrict(b.whole(key(n), between(0, 1)), numbers{between(1, 1)}, negate)
}

func textTests(n *check.Node, part string) texts {
	return texts{tests: []textTest{{op: n.Op, part: part, node: n, key: key(&check.Node{
		Op: n.Op, Regex: n.Regex, List: n.List, Nets: n.Nets, Value: fact.Slot{S: part},
	}), want: true}}}
}

// restrict is a leaf for `variable in yes`, or for its negation. Either is
// false where the variable is missing.
func restrict(v *variable, yes values, negate bool) *formula {
	f := &formula{variable: v, set: set{values: yes}}
	if money, ok := yes.(amounts); ok && negate { // other currencies are unknown
		no := amounts{by: map[string]ints{}}
		for currency, set := range money.by {
			no.by[currency] = set.complement()
		}
		f.set.values = no
		return f
	}
	if negate {
		f.set.values = yes.complement()
	}
	return f
}

// whole is the variable of a test that is not understood: what is known of it
// is that the same test has the same outcome.
func (b *builder) whole(key string, outcomes ints) *variable {
	v := b.variables[key]
	if v == nil {
		v = &variable{id: len(b.variables), key: key, domain: set{true, numbers{outcomes}}}
		b.variables[key] = v
	}
	return v
}

var orders = map[check.Op]ints{
	check.Eq: between(0, 0), check.Ne: {{-1, -1}, {1, 1}}, check.Lt: between(-1, -1), check.Le: between(-1, 0),
	check.Gt: between(1, 1), check.Ge: between(0, 1),
}

var mirrored = map[check.Op]check.Op{
	check.Eq: check.Eq, check.Ne: check.Ne, check.Lt: check.Gt, check.Le: check.Ge, check.Gt: check.Lt, check.Ge: check.Le,
}

func (b *builder) comparison(n *check.Node, negate bool) *formula {
	x, y, op := n.Args[0], n.Args[1], n.Op
	if !reads(x) {
		x, y, op = y, x, mirrored[op]
	}
	if y.Op == check.Const {
		if yes := compared(x.Type.Kind, op, y.Value); yes != nil {
			return restrict(b.variable(x), yes, negate)
		}
	}
	left, right := key(x), key(y)
	if left > right {
		left, right, op = right, left, mirrored[op]
	}
	outcomes := between(-1, 1)
	if left == right { // one value with itself
		outcomes = between(0, 0)
	}
	return restrict(b.whole("compare("+left+","+right+")", outcomes), numbers{orders[op]}, negate)
}

// compared holds the values that compare with a constant like that; nil where
// the kind has no such sets.
func compared(kind fact.Kind, op check.Op, c fact.Slot) values {
	n := c.N
	if kind == fact.Float {
		n = ordinal(math.Float64frombits(uint64(n)))
	}
	if kind == fact.String {
		switch only := (texts{only: map[string]struct{}{c.S: {}}}); op {
		case check.Eq:
			return only
		case check.Ne:
			return only.complement()
		default:
			return nil
		}
	}
	var yes ints
	switch op {
	case check.Eq:
		yes = between(n, n)
	case check.Ne:
		yes = between(n, n).complement()
	case check.Lt:
		yes = below(n)
	case check.Le:
		yes = atMost(n)
	case check.Gt:
		yes = above(n)
	default:
		yes = atLeast(n)
	}
	if kind == fact.Money {
		return amounts{by: map[string]ints{c.S: yes}}
	}
	return numbers{yes}
}

// reads tells whether the value of a node depends on the fact, or on the
// exchange rates of its judgement.
func reads(n *check.Node) bool {
	return n.Op == check.Field || n.Op == check.Convert || slices.ContainsFunc(n.Args, reads)
}

// key is equal for nodes that have equal values. Those of the elements of
// different lists may have equal keys too.
func key(n *check.Node) string {
	var b strings.Builder
	writeKey(&b, n)
	return b.String()
}

func writeKey(b *strings.Builder, n *check.Node) {
	fmt.Fprintf(b, "%d", n.Op)
	switch n.Op {
	case check.Field:
		fmt.Fprintf(b, ".%d.%d", n.Depth, n.Slot)
	case check.InInts:
		fmt.Fprintf(b, "%v", slices.Sorted(maps.Keys(n.Ints)))
	case check.InStrings:
		fmt.Fprintf(b, "%q", n.Set)
	case check.InList:
		fmt.Fprintf(b, "%p", n.List)
	case check.InNets:
		fmt.Fprintf(b, "%v", n.Nets)
	case check.Matches:
		fmt.Fprintf(b, "%q", n.Regex)
	case check.Hour, check.Weekday, check.Day, check.Month:
		fmt.Fprintf(b, "%q", n.Zone)
	default:
		fmt.Fprintf(b, "%d%q", n.Value.N, n.Value.S)
	}
	b.WriteByte('(')
	for i, arg := range n.Args {
		if i > 0 {
			b.WriteByte(',')
		}
		writeKey(b, arg)
	}
	b.WriteByte(')')
}

// variable returns the variable of an operand.
func (b *builder) variable(n *check.Node) *variable {
	k := key(n)
	if v := b.variables[k]; v != nil {
		return v
	}
	v := &variable{id: len(b.variables), key: k, domain: set{missing: true, values: everything(n)}}
	named := n
	if n.Op == check.ToFloat {
		named = n.Args[0]
	}
	if named.Source != nil {
		v.text = syntax.Text(named.Source)
	}
	limit(v, n)
	b.variables[k] = v
	return v
}

// everything holds all values of the kind of a node.
func everything(n *check.Node) values {
	switch n.Type.Kind {
	case fact.String:
		return texts{}
	case fact.Money:
		return amounts{rest: true}
	case fact.Bool:
		return numbers{between(0, 1)}
	default:
		return numbers{allInts}
	}
}

// none holds no value of the kind of a variable.
func (v *variable) none() values {
	switch v.domain.values.(type) {
	case texts:
		return texts{only: map[string]struct{}{}}
	case amounts:
		return amounts{}
	default:
		return numbers{ints{}}
	}
}

// limit narrows the domain of a variable to what its operand can be.
func limit(v *variable, n *check.Node) {
	var lo int64
	hi := int64(math.MaxInt64)
	switch n.Op {
	case check.Hour:
		lo, hi = 0, 23
	case check.Weekday:
		lo, hi = 1, 7
	case check.Day:
		lo, hi = 1, 31
	case check.Month:
		lo, hi = 1, 12
	case check.Length:
		lo = 0
	case check.Convert:
		v.domain.values = amounts{by: map[string]ints{n.Value.S: allInts}}
		v.limits = v.text + " is in " + n.Value.S
		return
	case check.Abs:
		if n.Type.Kind == fact.Float || n.Type.Kind == fact.Money {
			return
		}
		lo = 0
	case check.Field:
		v.domain.missing = n.Opt || n.Leaf() == nil || unfit(n)
		lo, hi = limitField(v, n)
	default:
		return
	}
	if lo == math.MinInt64 && hi == math.MaxInt64 {
		return
	}
	v.domain.values = numbers{between(lo, hi)}
	v.limits = fmt.Sprintf("%s is between %d and %d", v.text, lo, hi)
	if hi == math.MaxInt64 {
		v.limits = fmt.Sprintf("%s is never below %d", v.text, lo)
	}
}

// unfit tells that some values of a field are missing in the language: NaN, and
// what is above int64.
func unfit(n *check.Node) bool {
	kind := n.Leaf().Kind()
	return n.Type.Kind == fact.Float || kind == protoreflect.Uint64Kind || kind == protoreflect.Fixed64Kind
}

// limitField narrows the domain of a field by its protobuf type.
func limitField(v *variable, n *check.Node) (lo, hi int64) {
	lo, hi = math.MinInt64, math.MaxInt64
	if window, ok := n.Source.(*syntax.Window); ok {
		if name := window.Func.Name; name == "count" || name == "distinct" {
			lo = 0
		}
		return lo, hi
	}
	field := n.Leaf()
	if field == nil || n.Type.Kind == fact.Float || n.Type.Kind == fact.Bool {
		return lo, hi
	}
	if n.Type.Kind == fact.String && !field.HasPresence() {
		v.domain.values = texts{not: map[string]struct{}{"": {}}}
		v.limits = "an empty " + v.text + " counts as missing"
		return lo, hi
	}
	switch field.Kind() {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return math.MinInt32, math.MaxInt32
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return 0, math.MaxUint32
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return 0, math.MaxInt64
	case protoreflect.EnumKind:
		if field.HasPresence() {
			return lo, hi
		}
		v.domain.values = numbers{between(0, 0).complement()}
	default:
	}
	return lo, hi
}
