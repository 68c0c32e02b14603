package check

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
)

// in checks `X in Set`.
func (c *checker) in(x *syntax.In) *Node {
	left := c.value(x.X)
	if left == nil {
		return unknowable
	}
	var node *Node
	switch set := x.Set.(type) {
	case *syntax.Array:
		node = c.inArray(x, left, set)
	case *syntax.Range:
		node = c.inRange(x, left, set)
	case *syntax.NamedList:
		node = c.inNamed(x, left, set)
	case *syntax.CIDR:
		node = c.inCIDR(x, left, set)
	case *syntax.Path:
		node = c.inField(x, left, set)
	}
	if node == nil {
		return unknowable
	}
	node.Source = x
	if x.Not {
		return c.node(Not, boolean, x, node)
	}
	return node
}

// inArray checks `X in [a, b]`: a set, or a chain of == where the kind has
// none.
func (c *checker) inArray(x *syntax.In, left *Node, array *syntax.Array) *Node {
	if len(array.Elems) == 0 {
		c.fault(array.Span, "an empty list has nothing in it", "")
		return nil
	}
	switch left.Type.Kind {
	case fact.String:
		return c.inStrings(left, array)
	case fact.Bool:
		c.fault(x.Span, "a bool needs no list", "")
		return nil
	case fact.List, fact.Message:
		c.fault(x.X.ExprSpan(), left.Type.describe()+" cannot be in a list of constants", "use any or all")
		return nil
	default:
	}
	node := c.node(InInts, boolean, nil, left)
	node.Ints = make(map[int64]struct{}, len(array.Elems))
	chain := c.node(Or, boolean, nil)
	for _, elem := range array.Elems {
		subject, value := left, c.element(left, elem)
		if value == nil || !c.unify(&subject, &value) {
			return nil
		}
		node.Ints[value.Value.N] = struct{}{}
		chain.Args = append(chain.Args, c.node(Eq, boolean, nil, subject, value))
	}
	if left.Type.Kind == fact.Money || left.Type.Kind == fact.Float {
		return chain
	}
	for i := range chain.Args {
		if chain.Args[i].Args[0] != left {
			return chain // whole numbers among decimals
		}
	}
	return node
}

func (c *checker) inStrings(left *Node, array *syntax.Array) *Node {
	node := c.node(InStrings, boolean, nil, left)
	node.Set = make([]string, 0, len(array.Elems))
	for _, elem := range array.Elems {
		if literal, ok := elem.(*syntax.Literal); ok && literal.Kind == syntax.StringLit {
			node.Set = append(node.Set, literal.Str)
		} else if c.element(left, elem) == nil {
			return nil
		}
	}
	node.Set = sorted(node.Set)
	return node
}

// element checks a constant that left is compared with.
func (c *checker) element(left *Node, elem syntax.Expr) *Node {
	literal, ok := elem.(*syntax.Literal)
	if !ok {
		c.fault(elem.ExprSpan(), "expected a constant", "")
		return nil
	}
	value := c.literal(literal)
	if value == nil {
		return nil
	}
	subject, converted := left, value
	if !c.unify(&subject, &converted) {
		c.fault(elem.ExprSpan(), fmt.Sprintf("cannot compare %s with %s", left.Type.describe(), value.Type.describe()), compareHelp(left, value))
		return nil
	}
	return value
}

func (c *checker) inRange(x *syntax.In, left *Node, r *syntax.Range) *Node {
	low, high := c.value(r.Lo), c.value(r.Hi)
	if low == nil || high == nil {
		return nil
	}
	a, b := left, left
	if !c.unify(&a, &low) || !c.unify(&b, &high) {
		other := low
		if a.Type.Kind == low.Type.Kind {
			other = high
		}
		c.fault(r.Span, fmt.Sprintf("cannot compare %s with %s", left.Type.describe(), other.Type.describe()), compareHelp(left, other))
		return nil
	}
	switch a.Type.Kind {
	case fact.Int, fact.Float, fact.Money, fact.Duration, fact.Time:
	default:
		c.fault(x.Span, "a range needs numbers, money, durations or times, found "+left.Type.describe(), "")
		return nil
	}
	if low.Op == Const && high.Op == Const && a.Type.Kind != fact.Float && low.Value.S == high.Value.S && low.Value.N > high.Value.N {
		c.fault(r.Span, "the range is empty: its begin is above its end", "")
	}
	return c.node(And, boolean, nil, c.node(Ge, boolean, nil, a, low), c.node(Le, boolean, nil, b, high))
}

func (c *checker) inNamed(x *syntax.In, left *Node, set *syntax.NamedList) *Node {
	if left.Type.Kind != fact.String {
		c.fault(x.X.ExprSpan(), "lists hold strings, found "+left.Type.describe(), "")
		return nil
	}
	ref, ok := c.own[set.Name.Name]
	if !ok && c.registry != nil {
		ref, ok = c.registry.Ref(set.Name.Name)
	}
	if !ok {
		var known []string
		for name := range c.own {
			known = append(known, name)
		}
		if c.registry != nil {
			known = append(known, c.registry.Names()...)
		}
		help := strings.Replace(syntax.Suggest(set.Name.Name, known), "'", "'@", 1)
		c.fault(set.Name.Span, "unknown list '@"+set.Name.Name+"'", help)
		return nil
	}
	c.set.Lists = append(c.set.Lists, set.Name.Name)
	c.address(left)
	node := c.node(InList, boolean, nil, left)
	node.List = ref
	return node
}

func (c *checker) inCIDR(x *syntax.In, left *Node, set *syntax.CIDR) *Node {
	if left.Type.Kind != fact.String {
		c.fault(x.X.ExprSpan(), "'in cidr' is for strings that hold an IP address, found "+left.Type.describe(), "")
		return nil
	}
	nets := make([]netip.Prefix, 0, len(set.Elems))
	for _, elem := range set.Elems {
		prefix, err := list.ParsePrefix(elem.Str)
		if err != nil {
			c.fault(elem.Span, "bad IP prefix '"+elem.Str+"'", "as in 10.0.0.0/8 or 2001:db8::/32")
			return nil
		}
		nets = append(nets, prefix)
	}
	c.address(left)
	node := c.node(InNets, boolean, nil, left)
	node.Nets = nets
	return node
}

// address numbers a field of the fact that is read as an IP address, so that
// it is parsed once an event.
func (c *checker) address(n *Node) {
	if n.Op != Field || n.Depth > 0 {
		return
	}
	number, ok := c.addrs[n.Slot]
	if !ok {
		number = len(c.addrs) + 1
		c.addrs[n.Slot] = number
	}
	n.Addr = number
}

func (c *checker) inField(x *syntax.In, left *Node, path *syntax.Path) *Node {
	elements, elem := c.listPath(path)
	if elements == nil {
		return nil
	}
	value := c.node(Field, elem.value, nil)
	subject := left
	if elem.value.Kind == fact.Message || !c.unify(&subject, &value) || value.Op != Field {
		c.fault(x.Span, fmt.Sprintf("%s cannot be in a list of %s", left.Type.describe(), elem.value.describe()), "")
		return nil
	}
	return c.node(InElements, boolean, nil, subject, elements)
}
