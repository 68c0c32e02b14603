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
		return &Node{Op: Not, Type: boolean, Args: []*Node{node}, Source: x}
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
	node := &Node{Op: InInts, Type: boolean, Args: []*Node{left}, Ints: map[int64]struct{}{}, Set: map[string]struct{}{}}
	chain := &Node{Op: Or, Type: boolean}
	for _, elem := range array.Elems {
		literal, ok := elem.(*syntax.Literal)
		if !ok {
			c.fault(elem.ExprSpan(), "expected a constant", "")
			return nil
		}
		value := c.literal(literal)
		if value == nil {
			return nil
		}
		subject := left
		if !c.unify(&subject, &value) {
			c.fault(elem.ExprSpan(), fmt.Sprintf("cannot compare %s with %s", left.Type.describe(), value.Type.describe()), compareHelp(left, value))
			return nil
		}
		node.Ints[value.Value.N] = struct{}{}
		node.Set[value.Value.S] = struct{}{}
		chain.Args = append(chain.Args, &Node{Op: Eq, Type: boolean, Args: []*Node{subject, value}})
	}
	switch left.Type.Kind {
	case fact.String:
		node.Op = InStrings
		return node
	case fact.Money, fact.Float, fact.Bool:
		if left.Type.Kind == fact.Bool {
			c.fault(x.Span, "a bool needs no list", "")
		}
		return chain
	case fact.List, fact.Message:
		c.fault(x.X.ExprSpan(), left.Type.describe()+" cannot be in a list of constants", "use any or all")
		return nil
	default:
	}
	for i := range chain.Args {
		if chain.Args[i].Args[0] != left {
			return chain // whole numbers among decimals
		}
	}
	return node
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
	return &Node{Op: And, Type: boolean, Args: []*Node{
		{Op: Ge, Type: boolean, Args: []*Node{a, low}},
		{Op: Le, Type: boolean, Args: []*Node{b, high}},
	}}
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
	return &Node{Op: InList, Type: boolean, Args: []*Node{left}, List: ref}
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
	return &Node{Op: InNets, Type: boolean, Args: []*Node{left}, Nets: nets}
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
	value := &Node{Op: Field, Type: elem.value}
	subject := left
	if elem.value.Kind == fact.Message || !c.unify(&subject, &value) || value.Op != Field {
		c.fault(x.Span, fmt.Sprintf("%s cannot be in a list of %s", left.Type.describe(), elem.value.describe()), "")
		return nil
	}
	return &Node{Op: InElements, Type: boolean, Args: []*Node{subject, elements}}
}
