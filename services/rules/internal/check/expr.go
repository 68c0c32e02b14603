package check

import (
	"fmt"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

var boolean = Type{Kind: fact.Bool}

// unknowable stands for a condition that has a fault.
var unknowable = &Node{Op: Const, Type: boolean}

// compared maps the operators that compare; 0 for the others.
var compared = [syntax.OpDefault + 1]Op{
	syntax.OpEq: Eq, syntax.OpNe: Ne, syntax.OpLt: Lt, syntax.OpLe: Le, syntax.OpGt: Gt, syntax.OpGe: Ge,
	syntax.OpContains: Contains, syntax.OpStartsWith: StartsWith, syntax.OpEndsWith: EndsWith,
}

// cond checks an expression that must be a condition.
func (c *checker) cond(x syntax.Expr) *Node {
	switch x := x.(type) {
	case *syntax.Paren:
		return c.cond(x.X)
	case *syntax.Logic:
		node := c.node(And, boolean, x)
		node.Args = c.made.args.Slice(len(x.Terms))
		if x.Op == syntax.OpOr {
			node.Op = Or
		}
		for _, term := range x.Terms {
			node.Args = append(node.Args, c.cond(term))
		}
		return node
	case *syntax.Not:
		return c.node(Not, boolean, x, c.cond(x.X))
	case *syntax.Missing:
		return c.missing(x)
	case *syntax.In:
		return c.in(x)
	case *syntax.Quantifier:
		return c.quantifier(x)
	case *syntax.Binary:
		if compared[x.Op] != 0 || x.Op == syntax.OpMatches {
			return c.comparison(x)
		}
	}
	node := c.value(x)
	if node == nil {
		return unknowable
	}
	if node.Type.Kind != fact.Bool {
		c.fault(x.ExprSpan(), fmt.Sprintf("expected a condition, found %s '%s'", node.Type.describe(), shortText(x)), "compare it, as in "+shortText(x)+" > ...")
		return unknowable
	}
	return node
}

func shortText(x syntax.Expr) string {
	text := []rune(syntax.Text(x))
	if len(text) > 40 {
		return string(text[:40]) + "..."
	}
	return string(text)
}

// isCond reports whether an expression is a condition by its form.
func isCond(x syntax.Expr) bool {
	switch x := x.(type) {
	case *syntax.Paren:
		return isCond(x.X)
	case *syntax.Logic, *syntax.Not, *syntax.Missing, *syntax.In, *syntax.Quantifier:
		return true
	case *syntax.Binary:
		return compared[x.Op] != 0 || x.Op == syntax.OpMatches
	}
	return false
}

func (c *checker) comparison(x *syntax.Binary) *Node {
	if x.Op == syntax.OpMatches {
		return c.matches(x)
	}
	left, right := c.value(x.X), c.value(x.Y)
	if left == nil || right == nil {
		return unknowable
	}
	op := compared[x.Op]
	if !c.unify(&left, &right) {
		c.fault(x.Span, fmt.Sprintf("cannot compare %s with %s", left.Type.describe(), right.Type.describe()), compareHelp(left, right))
		return unknowable
	}
	kind := left.Type.Kind
	switch {
	case op >= Contains && kind == fact.List:
		c.fault(x.OpSpan, fmt.Sprintf("'%s' is for strings", x.Op), "to look into a list write: value in list_field")
	case op >= Contains && kind != fact.String:
		c.fault(x.OpSpan, fmt.Sprintf("'%s' is for strings, found %s", x.Op, left.Type.describe()), "")
	case kind == fact.List || kind == fact.Message:
		c.fault(x.Span, fmt.Sprintf("%s cannot be compared", left.Type.describe()), "name a field of it, or use any and all")
	case op >= Lt && op <= Ge && (kind == fact.Bool || kind == fact.Enum):
		c.fault(x.OpSpan, left.Type.describe()+" has no order", "use == or !=")
	case kind == fact.Bool:
		return c.equal(x, op, left, right)
	default:
		return c.node(op, boolean, x, left, right)
	}
	return unknowable
}

// equal compares two conditions: both true or both false.
func (c *checker) equal(x syntax.Expr, op Op, left, right *Node) *Node {
	c.doubles = true
	negate := func(n *Node) *Node { return c.node(Not, boolean, nil, n) }
	both := c.node(And, boolean, nil, left, right)
	neither := c.node(And, boolean, nil, negate(left), negate(right))
	same := c.node(Or, boolean, x, both, neither)
	if op == Ne {
		return c.node(Not, boolean, x, same)
	}
	return same
}

func compareHelp(left, right *Node) string {
	for _, pair := range [2][2]*Node{{left, right}, {right, left}} {
		a, b := pair[0].Type.Kind, pair[1].Type.Kind
		switch {
		case a == fact.Money && (b == fact.Int || b == fact.Float):
			return "write an amount with its currency, as in 500.00 CNY"
		case a == fact.Duration && b == fact.Int:
			return "write a duration with its unit, as in 7d or 1h30m"
		case a == fact.Time && b == fact.String:
			return "write a time as 2026-11-22T02:00+08:00"
		case a == fact.Time && b == fact.Int:
			return "did you mean hour(field, \"Asia/Shanghai\")?"
		case a == fact.String && (b == fact.Int || b == fact.Float):
			return "write a string in double quotes"
		case a == fact.List:
			return "to look into a list write: value in list_field"
		}
	}
	return ""
}

// unify brings two operands to one type where the language allows it: whole
// numbers become decimals, strings become members of an enum.
func (c *checker) unify(a, b **Node) bool {
	x, y := (*a).Type, (*b).Type
	switch {
	case x.Kind == y.Kind:
		return x.Kind != fact.Enum || x.Enum == y.Enum
	case x.Kind == fact.Int && y.Kind == fact.Float:
		*a = c.toFloat(*a)
		return true
	case y.Kind == fact.Int && x.Kind == fact.Float:
		*b = c.toFloat(*b)
		return true
	case x.Kind == fact.Enum && y.Kind == fact.String && (*b).Op == Const:
		*b = c.member(*b, x)
		return true
	case y.Kind == fact.Enum && x.Kind == fact.String && (*a).Op == Const:
		*a = c.member(*a, y)
		return true
	}
	return false
}

func (c *checker) toFloat(n *Node) *Node {
	if n.Op == Const {
		return c.floatConst(float64(n.Value.N), n.Source)
	}
	return c.node(ToFloat, Type{Kind: fact.Float}, nil, n)
}

func (c *checker) missing(x *syntax.Missing) *Node {
	node := c.value(x.X)
	if node == nil {
		return unknowable
	}
	if node.Type.Kind == fact.Message {
		node.Slot = c.slot(node.Depth, node.fields...)
	}
	if node.Op == Field && len(node.fields) > 0 && !node.Opt {
		help := "it is 0 or false when it was not set"
		if node.Type.Kind == fact.List {
			help = "an empty list has length(" + shortText(x.X) + ") == 0"
		}
		c.fault(x.Span, "'"+shortText(x.X)+"' is never missing", help)
	}
	c.doubles = c.doubles || node.Type.Kind == fact.Bool
	test := c.node(IsMissing, boolean, x, node)
	if x.Not {
		return c.node(Not, boolean, x, test)
	}
	return test
}

func (c *checker) quantifier(x *syntax.Quantifier) *Node {
	list, elem := c.listPath(x.List)
	if list == nil {
		return unknowable
	}
	if len(c.scopes) > MaxNesting {
		c.fault(x.Span, fmt.Sprintf("any and all nested deeper than %d", MaxNesting), "")
		return unknowable
	}
	elem.name = x.Var.Name
	if c.schema.Descriptor().Fields().ByName(fieldName(elem.name)) != nil {
		c.fault(x.Var.Span, "'"+elem.name+"' is a field of the fact", "choose another name for the element")
	}
	for _, outer := range c.scopes[1:] {
		if outer.name == elem.name {
			c.fault(x.Var.Span, "'"+elem.name+"' is already the name of an element", "")
		}
	}
	depth := len(c.scopes)
	c.scopes = append(c.scopes, *elem)
	body := c.cond(x.Body)
	c.scopes = c.scopes[:depth]
	node := c.node(Any, boolean, x, list, body)
	node.Depth = depth
	if x.All {
		node.Op = All
	}
	return node
}
