// Package check gives a parsed source its types: check.go rules and lists,
// expr.go conditions, operand.go values, set.go `in`, function.go calls,
// window.go velocity, given.go tests. Its result is a tree of typed nodes whose
// fields are slots of one fact.Layout; package program turns it into closures.
//
// Conditions are three-valued: true, false or, where a value is missing,
// unknown. Only true fires a rule.
package check

import (
	"net/netip"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/pattern"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
)

// MaxNesting is how deep any and all can be nested.
const MaxNesting = 3

// Type is the type of a node. Enum and Elem refine their kinds.
type Type struct {
	Kind fact.Kind
	Enum protoreflect.EnumDescriptor
	Elem *Type
}

// Op is what a node does.
type Op uint8

// The operations. Those up to IsMissing are conditions, of kind Bool.
const (
	And Op = iota + 1 // Args
	Or                // Args
	Not               // Args[0]
	Eq                // Args[0], Args[1], of the same kind
	Ne
	Lt
	Le
	Gt
	Ge
	Contains   // strings
	StartsWith // strings
	EndsWith   // strings
	Matches    // Args[0] by Regex
	InInts     // Args[0] in Ints
	InStrings  // Args[0] in Strings
	InList     // Args[0] in List
	InNets     // Args[0] is an address within Nets
	InElements // Args[0] in the list Args[1]
	Any        // list Args[0], body Args[1]
	All
	IsMissing // Args[0]

	Const   // Value
	Field   // Slot at Depth
	Add     // numbers, money, durations, times
	Sub     // as Add
	Mul     // a number or money or duration by a number
	Div     // as Mul, or a ratio (Float) of two of a kind
	Mod     // Int
	Neg     // Args[0]
	Default // Args[0], where that is missing Args[1]
	ToFloat // an Int as Float
	Hour    // of the time Args[0] in Zone, 0 to 23
	Weekday // 1 Monday to 7 Sunday
	Day     // of the month
	Month
	Length // of a string in characters, of a list in elements
	Lower
	Abs
	Min
	Max
	Convert // money Args[0] into the currency Value.S
)

// Node is an expression with its type.
type Node struct {
	Op      Op
	Type    Type
	Args    []*Node
	Value   fact.Slot // of Const, as in a slot
	Slot    int       // of Field
	Depth   int       // of Field: 0 the fact, n the n-th enclosing element; of Any and All: of their element
	Opt     bool      // of Field: can be missing
	Addr    int       // of a Field used as an IP address: 1 + its number, 0 if it is none
	Regex   *pattern.Pattern
	Literal string // of Matches: what every match contains; may be empty
	Nets    []netip.Prefix
	List    *list.Ref
	Zone    *time.Location
	Ints    map[int64]struct{}
	Set     []string    // ascending, each once
	Source  syntax.Expr // nil for nodes that the source does not have
	Shape   int32       // the number of a test of a stencil, from 1; 0: it is none
	Varies  bool        // of those: its constant is another one each time

	fields []protoreflect.FieldDescriptor // of Field: from its scope's message
}

// Leaf is the field that a Field node reads; nil for elements that are values
// and for velocity.
func (n *Node) Leaf() protoreflect.FieldDescriptor {
	if len(n.fields) == 0 {
		return nil
	}
	return n.fields[len(n.fields)-1]
}

// Strings is the Set as a map.
func (n *Node) Strings() map[string]struct{} {
	set := make(map[string]struct{}, len(n.Set))
	for _, member := range n.Set {
		set[member] = struct{}{}
	}
	return set
}

// Rule is a checked rule.
type Rule struct {
	*syntax.Rule
	When   *Node // nil where the rule was read by stencils
	Canary *Node // Field that chooses; nil if the rule is no canary
}

// Set is a checked ruleset.
type Set struct {
	Rules    []*Rule
	Tests    []*Test
	Counters []*Counter
	Layout   *fact.Layout
	Time     int // slot of the event's time, or -1
	Addrs    int // number of fields used as IP addresses
	Lists    []string
	Exact    map[int]bool // slots of velocity that need more than a lower bound

	state *checker // how Continue goes on
}

// Measure is what a velocity function reads from a counter.
type Measure uint8

// The measures.
const (
	Count Measure = iota
	Sum
	Avg
	Largest
	Distinct
)

// Counter is a velocity counter that a set needs, and where its measures go.
type Counter struct {
	Of      *Node // field aggregated; nil where events are counted
	OfName  string
	By      *Node
	Window  time.Duration
	Hash    bool // different values are counted
	Outputs []Output
}

// Output puts a measure of a counter into a slot.
type Output struct {
	Measure Measure
	Type    Type
	Slot    int
}

// Test is a checked test: its fact on the wire and velocity as given.
type Test struct {
	*syntax.Test
	Fact    []byte
	Windows map[int]fact.Slot // by slot
}

// kept returns a field that outlives the rule that it was checked for.
func (n *Node) kept() *Node {
	if n == nil {
		return nil
	}
	kept := *n
	if path, ok := n.Source.(*syntax.Path); ok {
		kept.Source = path.Clone()
	}
	return &kept
}
