package differential

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// generator makes expressions.
type generator struct {
	*rand.Rand
	elements []elementOf // of the enclosing any and all
}

// elementOf is an element that is in scope: of items, or of a list of values.
type elementOf struct {
	name  string
	value kind // of a list of values
	item  bool
}

// expression returns a condition.
func (g *generator) expression() *node { return g.condition(2 + g.IntN(3)) }

func (g *generator) condition(depth int) *node {
	if depth == 0 {
		return g.leaf(0)
	}
	switch g.IntN(12) {
	case 0, 1, 2:
		return &node{op: "and", kind: boolean, args: []*node{g.condition(depth - 1), g.condition(depth - 1)}}
	case 3, 4, 5:
		return &node{op: "or", kind: boolean, args: []*node{g.condition(depth - 1), g.condition(depth - 1)}}
	case 6, 7:
		return &node{op: "not", kind: boolean, args: []*node{g.condition(depth - 1)}}
	case 8, 9:
		if len(g.elements) < 3 {
			return g.quantifier(depth - 1)
		}
	case 10:
		return &node{op: pick(g.Rand, []string{"==", "!="}), kind: boolean, args: []*node{g.condition(depth - 1), g.condition(depth - 1)}}
	}
	return g.leaf(depth)
}

// leaf is a test of values.
func (g *generator) leaf(depth int) *node {
	order := []string{"==", "!=", "<", "<=", ">", ">="}
	depth = min(depth, 2)
	switch g.IntN(14) {
	case 0:
		return g.field(boolean)
	case 1, 2, 3:
		return g.comparison(order, integer, depth)
	case 4:
		return g.comparison(order, decimal, depth)
	case 5:
		return g.comparison(order, text, depth)
	case 6:
		return g.comparison(order, amount, depth)
	case 7:
		return g.comparison(order, duration, depth)
	case 8:
		return g.comparison(order, instant, depth)
	case 9:
		return g.mixed(pick(g.Rand, order), boolean, depth)
	case 10:
		return g.comparison([]string{"contains", "starts_with", "ends_with"}, text, depth)
	case 11:
		return &node{op: "matches", kind: boolean, name: pick(g.Rand, patterns), args: []*node{g.value(text, depth)}}
	case 12:
		return g.member(depth)
	default:
		k := pick(g.Rand, []kind{integer, decimal, amount, duration, instant})
		low, high := g.constant(k), g.constant(k)
		if k == decimal && low.value.f > high.value.f || low.value.n > high.value.n {
			low, high = high, low
		}
		return &node{op: "in range", kind: boolean, args: []*node{g.value(k, depth), low, high}}
	}
}

func (g *generator) comparison(ops []string, k kind, depth int) *node {
	return &node{op: pick(g.Rand, ops), kind: boolean, args: []*node{g.variable(k, depth), g.value(k, depth)}}
}

// mixed is an operation of a whole number and a decimal, in either order.
func (g *generator) mixed(op string, k kind, depth int) *node {
	args := []*node{{op: "float", kind: decimal, args: []*node{g.variable(integer, depth-1)}}, g.variable(decimal, depth-1)}
	if g.IntN(2) == 0 {
		slices.Reverse(args)
	}
	return &node{op: op, kind: k, args: args}
}

func (g *generator) member(depth int) *node {
	k := pick(g.Rand, []kind{integer, text})
	if g.IntN(2) == 0 {
		name := map[kind]string{integer: "codes", text: "tags"}[k]
		if inner := g.innermost(); inner != nil && inner.item && g.IntN(2) == 0 {
			name = inner.name + "." + name
		}
		return &node{op: "in", kind: boolean, args: []*node{g.value(k, depth), {op: "field", name: name}}}
	}
	n := &node{op: "in set", kind: boolean, args: []*node{g.value(k, depth)}}
	for range 1 + g.IntN(12) {
		n.set = append(n.set, g.constant(k))
	}
	return n
}

func (g *generator) innermost() *elementOf {
	if len(g.elements) == 0 {
		return nil
	}
	return &g.elements[len(g.elements)-1]
}

func (g *generator) quantifier(depth int) *node {
	e := elementOf{name: fmt.Sprintf("e%d", len(g.elements)+1)}
	name := "items"
	switch g.IntN(4) {
	case 0:
		name, e.value = "codes", integer
	case 1:
		name, e.value = "tags", text
	default:
		e.item = true
	}
	if inner := g.innermost(); !e.item && inner != nil && inner.item && g.IntN(3) > 0 {
		name = inner.name + "." + name
	}
	g.elements = append(g.elements, e)
	body := g.condition(depth)
	g.elements = g.elements[:len(g.elements)-1]
	return &node{op: pick(g.Rand, []string{"any", "all"}), kind: boolean, name: e.name, args: []*node{{op: "field", name: name}, body}}
}

// field returns a field of the fact, or of an element in scope.
func (g *generator) field(k kind) *node {
	names := fields[k]
	if inner := g.innermost(); inner != nil && g.IntN(3) > 0 {
		e := pick(g.Rand, g.elements)
		switch {
		case e.item && len(elementFields[k]) > 0:
			names = []string{e.name + "." + pick(g.Rand, elementFields[k])}
		case !e.item && e.value == k:
			names = []string{e.name}
		}
	}
	return &node{op: "field", kind: k, name: pick(g.Rand, names)}
}

func (g *generator) constant(k kind) *node {
	n := &node{op: "const", kind: k, value: random(g.Rand, k)}
	if k != decimal && n.value.n == -1<<63 {
		n.value.n++ // cannot be written
	}
	if k == instant {
		n.value.n -= n.value.n % 1_000_000
	}
	return n
}

// value is an expression of a kind that is not a condition.
func (g *generator) value(k kind, depth int) *node {
	if g.IntN(3) == 0 {
		return g.constant(k)
	}
	return g.variable(k, depth)
}

// variable is a value that is no constant.
func (g *generator) variable(k kind, depth int) *node {
	if depth <= 0 || g.IntN(3) == 0 {
		return g.field(k)
	}
	binary := func(op string, a, b *node) *node { return &node{op: op, kind: k, args: []*node{a, b}} }
	unary := func(op string) *node { return &node{op: op, kind: k, args: []*node{g.variable(k, depth-1)}} }
	same := func(op string) *node { return binary(op, g.variable(k, depth-1), g.value(k, depth-1)) }
	switch k {
	case integer:
		return g.whole(depth, unary, same)
	case decimal:
		switch g.IntN(8) {
		case 0:
			other := pick(g.Rand, []kind{amount, duration})
			return binary("/", g.variable(other, depth-1), g.divisor(other, depth-1))
		case 1:
			return g.mixed(pick(g.Rand, []string{"+", "-", "*", "/"}), decimal, depth)
		case 2:
			return unary(pick(g.Rand, []string{"neg", "abs"}))
		case 3:
			return binary("/", g.variable(decimal, depth-1), g.divisor(decimal, depth-1))
		}
		return same(pick(g.Rand, []string{"+", "-", "*", "min", "max"}))
	case text:
		return unary("lower")
	case instant:
		if g.IntN(3) == 0 {
			return same(pick(g.Rand, []string{"min", "max"}))
		}
		return binary("+", g.variable(instant, depth-1), g.value(duration, depth-1))
	default:
		return g.quantity(k, depth, unary, same)
	}
}

// whole is a calculation of a whole number.
func (g *generator) whole(depth int, unary, same func(string) *node) *node {
	switch g.IntN(9) {
	case 0:
		return unary(pick(g.Rand, []string{"neg", "abs"}))
	case 1:
		of := &node{op: "field", name: pick(g.Rand, []string{"tags", "codes", "items"})}
		if g.IntN(2) == 0 {
			of = g.variable(text, depth-1)
		}
		return &node{op: "length", kind: integer, args: []*node{of}}
	case 2:
		zones := []string{"Asia/Shanghai", "America/New_York", "UTC", "Australia/Lord_Howe"}
		return &node{op: pick(g.Rand, []string{"hour", "weekday", "day", "month"}), kind: integer, name: pick(g.Rand, zones), args: []*node{g.variable(instant, depth-1)}}
	case 3, 4:
		return &node{op: pick(g.Rand, []string{"/", "%"}), kind: integer, args: []*node{g.variable(integer, depth-1), g.divisor(integer, depth-1)}}
	default:
		return same(pick(g.Rand, []string{"+", "-", "*", "+", "-", "*", "min", "max"}))
	}
}

// quantity is a calculation of money or of a duration.
func (g *generator) quantity(k kind, depth int, unary, same func(string) *node) *node {
	switch g.IntN(7) {
	case 0:
		return unary(pick(g.Rand, []string{"neg", "abs"}))
	case 1:
		args := []*node{g.variable(k, depth-1), g.variable(integer, depth-1)}
		if g.IntN(2) == 0 {
			slices.Reverse(args)
		}
		return &node{op: "*", kind: k, args: args}
	case 2:
		return &node{op: "/", kind: k, args: []*node{g.variable(k, depth-1), g.divisor(integer, depth-1)}}
	case 3:
		if k == duration {
			return &node{op: "-", kind: k, args: []*node{g.variable(instant, depth-1), g.variable(instant, depth-1)}}
		}
	}
	return same(pick(g.Rand, []string{"+", "-", "min", "max"}))
}

// divisor is a value; a constant is not zero, for that does not compile.
func (g *generator) divisor(k kind, depth int) *node {
	n := g.value(k, depth)
	if n.op == "const" && n.value.n == 0 && n.value.f == 0 {
		n.value.n, n.value.f = 7, 7
	}
	return n
}
