package check

import (
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

func fieldName(name string) protoreflect.Name { return protoreflect.Name(name) }

func (c *checker) intConst(kind fact.Kind, n int64, source syntax.Expr) *Node {
	return c.constant(Type{Kind: kind}, fact.Slot{N: n, OK: true}, source)
}

func (c *checker) constant(t Type, value fact.Slot, source syntax.Expr) *Node {
	node := c.node(Const, t, source)
	node.Value = value
	return node
}

func (c *checker) floatConst(v float64, source syntax.Expr) *Node {
	return c.intConst(fact.Float, floatBits(v), source)
}

func floatBits(v float64) int64 { return int64(math.Float64bits(v)) }

// value checks an expression of any kind. It returns nil when that has a
// fault, which is then reported.
func (c *checker) value(x syntax.Expr) *Node {
	if isCond(x) {
		return c.cond(x)
	}
	switch x := x.(type) {
	case *syntax.Paren:
		return c.value(x.X)
	case *syntax.Literal:
		return c.literal(x)
	case *syntax.Path:
		return c.path(x)
	case *syntax.Neg:
		return c.negative(x)
	case *syntax.Binary:
		return c.arithmetic(x)
	case *syntax.Call:
		return c.call(x)
	case *syntax.Window:
		return c.window(x)
	}
	c.fault(x.ExprSpan(), "unexpected '"+shortText(x)+"'", "")
	return nil
}

func (c *checker) literal(x *syntax.Literal) *Node {
	switch x.Kind {
	case syntax.IntLit:
		return c.intConst(fact.Int, x.Int, x)
	case syntax.FloatLit:
		return c.floatConst(x.Float, x)
	case syntax.DurationLit:
		return c.intConst(fact.Duration, x.Int, x)
	case syntax.TimeLit:
		return c.intConst(fact.Time, x.Int, x)
	case syntax.BoolLit:
		return c.intConst(fact.Bool, x.Int, x)
	case syntax.MoneyLit:
		return c.constant(Type{Kind: fact.Money}, fact.Slot{N: x.Int, S: x.Str, OK: true}, x)
	case syntax.AddressLit:
		c.fault(x.Span, "an IP address is compared with 'in cidr'", "as in ip in cidr "+x.Str)
		return nil
	default:
		return c.constant(Type{Kind: fact.String}, fact.Slot{S: x.Str, OK: true}, x)
	}
}

// member turns a string into the member of an enum that it names, with or
// without the prefix that all members share.
func (c *checker) member(n *Node, enum Type) *Node {
	values := enum.Enum.Values()
	prefix := enumPrefix(enum.Enum)
	var known []string
	for i := range values.Len() {
		name := string(values.Get(i).Name())
		short := strings.TrimPrefix(name, prefix)
		if n.Value.S == name || n.Value.S == short {
			return c.constant(enum, fact.Slot{N: int64(values.Get(i).Number()), OK: true}, n.Source)
		}
		known = append(known, short)
	}
	help := syntax.Suggest(n.Value.S, known)
	if help == "" && len(known) <= 12 {
		help = "members: " + strings.Join(known, ", ")
	}
	c.fault(n.Source.ExprSpan(), fmt.Sprintf("enum %s has no member '%s'", enum.Enum.Name(), n.Value.S), help)
	return c.constant(enum, fact.Slot{}, n.Source)
}

// enumPrefix is what precedes UNSPECIFIED or UNKNOWN in the first member.
func enumPrefix(enum protoreflect.EnumDescriptor) string {
	first := string(enum.Values().Get(0).Name())
	for _, suffix := range []string{"UNSPECIFIED", "UNKNOWN"} {
		if prefix, ok := strings.CutSuffix(first, suffix); ok {
			return prefix
		}
	}
	return ""
}

func (c *checker) negative(x *syntax.Neg) *Node {
	node := c.value(x.X)
	if node == nil {
		return nil
	}
	switch node.Type.Kind {
	case fact.Int, fact.Float, fact.Money, fact.Duration:
	default:
		c.fault(x.Span, "'-' needs a number, money or duration, found "+node.Type.describe(), "")
		return nil
	}
	if node.Op == Const {
		negated := *node
		negated.Source = x
		negated.Value.N = -negated.Value.N
		if node.Type.Kind == fact.Float {
			negated.Value.N = node.Value.N ^ math.MinInt64
		}
		return &negated
	}
	return c.node(Neg, node.Type, x, node)
}

var arithmetic = map[syntax.Op]Op{
	syntax.OpAdd: Add, syntax.OpSub: Sub, syntax.OpMul: Mul, syntax.OpDiv: Div, syntax.OpMod: Mod, syntax.OpDefault: Default,
}

func (c *checker) arithmetic(x *syntax.Binary) *Node {
	left, right := c.value(x.X), c.value(x.Y)
	if left == nil || right == nil {
		return nil
	}
	op := arithmetic[x.Op]
	if l, r := left.Type.Kind, right.Type.Kind; op == Default || l == fact.Int && r == fact.Float || l == fact.Float && r == fact.Int {
		c.unify(&left, &right)
	}
	kind := resultKind(op, left, right)
	if kind == fact.Invalid {
		c.fault(x.Span, fmt.Sprintf("no '%s' of %s and %s", x.Op, left.Type.describe(), right.Type.describe()), arithmeticHelp(op, left, right))
		return nil
	}
	if (op == Div || op == Mod) && right.Op == Const && (right.Value.N == 0 || kind == fact.Float && math.Float64frombits(uint64(right.Value.N)) == 0) {
		c.fault(x.Y.ExprSpan(), "division by zero", "")
		return nil
	}
	c.doubles = c.doubles || kind == fact.Bool
	result := Type{Kind: kind}
	if kind == left.Type.Kind {
		result = left.Type
	}
	return c.node(op, result, x, left, right)
}

func arithmeticHelp(op Op, left, right *Node) string {
	l, r := left.Type.Kind, right.Type.Kind
	switch {
	case (l == fact.Money || r == fact.Money) && (l == fact.Float || r == fact.Float):
		return "money has no decimal factor; write amount * 3 / 100"
	case op == Default:
		return "both sides of default must have one type"
	}
	return compareHelp(left, right)
}

// resultKind is the kind of an operation, Invalid where there is none.
func resultKind(op Op, left, right *Node) fact.Kind {
	l, r := left.Type.Kind, right.Type.Kind
	number := l == fact.Int || l == fact.Float
	amount := l == fact.Money || l == fact.Duration
	switch op {
	case Default:
		if l == r && l != fact.List && l != fact.Message && (l != fact.Enum || left.Type.Enum == right.Type.Enum) {
			return l
		}
	case Add, Sub:
		switch {
		case l == r && (number || amount):
			return l
		case l == fact.Time && r == fact.Duration:
			return fact.Time
		case l == fact.Time && r == fact.Time && op == Sub:
			return fact.Duration
		}
	case Mul:
		switch {
		case l == r && number, amount && r == fact.Int:
			return l
		case l == fact.Int && (r == fact.Money || r == fact.Duration):
			return r
		}
	case Div:
		switch {
		case l == r && number, amount && r == fact.Int:
			return l
		case l == r && amount:
			return fact.Float
		}
	case Mod:
		if l == fact.Int && r == fact.Int {
			return fact.Int
		}
	default:
	}
	return fact.Invalid
}
