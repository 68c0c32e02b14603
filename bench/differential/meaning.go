package differential

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones must not depend on the machine
	"unicode/utf8"
)

// Semantics are the ways in which a language differs by design. All false is
// ours: what cannot be calculated is unknown, and so is what depends on it
// (Kleene's logic); a rule fires only when its condition is known to be true.
type Semantics struct {
	// Wraps: a whole number out of range wraps around. In ours it is unknown,
	// in cel-go an error.
	Wraps bool
	// Infinite: decimals can be infinite or NaN, as by dividing by zero. In
	// ours they are unknown then.
	Infinite bool
	// LeastOfNaN: min and max of NaN are an error.
	LeastOfNaN bool
	// Remainder: the remainder of the least whole number by -1 is an error. In
	// ours it is 0.
	Remainder bool
	// Stops: an error ends the evaluation, even beside something true in `or`.
	// In ours, and in cel-go, the other side can still decide.
	Stops bool
}

// semantics of each language.
var semantics = [languages]Semantics{
	celLanguage:  {Infinite: true, LeastOfNaN: true, Remainder: true},
	exprLanguage: {Wraps: true, Infinite: true, Stops: true},
}

// stop ends an evaluation.
type stop struct{}

// meaning evaluates expressions.
type meaning struct {
	Semantics
	fact     element
	elements map[string]element
}

// holds tells whether a condition is known to be true of a fact.
func holds(n *node, fact element, s Semantics) (known bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(stop); !ok {
				panic(r)
			}
			known = false
		}
	}()
	v := (&meaning{s, fact, map[string]element{}}).of(n)
	return !v.unknown && v.n != 0
}

func (m *meaning) unknown() value {
	if m.Stops {
		panic(stop{})
	}
	return value{unknown: true}
}

// of evaluates a node.
func (m *meaning) of(n *node) value {
	switch n.op {
	case "const":
		return n.value
	case "field":
		return m.field(n.name)
	case "and", "or":
		return m.logic(n.args, bit(n.op == "or"))
	case "any", "all":
		return m.quantifier(n)
	}
	args := make([]value, len(n.args))
	for i, arg := range n.args {
		args[i] = m.of(arg)
	}
	for _, arg := range args {
		if arg.unknown {
			return m.unknown()
		}
	}
	return m.apply(n, args)
}

func (m *meaning) field(name string) value {
	first, rest, _ := strings.Cut(name, ".")
	if e, ok := m.elements[first]; ok {
		return e[rest]
	}
	return m.fact[name]
}

// logic is `or` where decisive is 1, `and` where it is 0.
func (m *meaning) logic(args []*node, decisive int64) value {
	result := value{n: 1 - decisive}
	for _, arg := range args {
		v := m.of(arg)
		if !v.unknown && v.n == decisive {
			return v
		}
		result.unknown = result.unknown || v.unknown
	}
	return result
}

func (m *meaning) quantifier(n *node) value {
	decisive := bit(n.op == "any")
	result := value{n: 1 - decisive}
	for _, e := range m.of(n.args[0]).list {
		m.elements[n.name] = e
		v := m.of(n.args[1])
		delete(m.elements, n.name)
		if !v.unknown && v.n == decisive {
			return v
		}
		result.unknown = result.unknown || v.unknown
	}
	return result
}

func (v value) equal(o value, k kind) bool {
	switch k {
	case decimal:
		return v.f == o.f
	case text:
		return v.s == o.s
	default:
		return v.n == o.n
	}
}

func (v value) less(o value, k kind) bool {
	switch k {
	case decimal:
		return v.f < o.f
	case text:
		return v.s < o.s
	default:
		return v.n < o.n
	}
}

// apply applies an operator to values that are known.
func (m *meaning) apply(n *node, args []value) value {
	truth := func(b bool) value { return value{n: bit(b)} }
	a := args[0]
	switch n.op {
	case "not":
		return truth(a.n == 0)
	case "==", "!=":
		return truth(a.equal(args[1], n.args[0].kind) == (n.op == "=="))
	case "<", "<=", ">", ">=", "in range":
		return order(n, args)
	case "contains":
		return truth(strings.Contains(a.s, args[1].s))
	case "starts_with":
		return truth(strings.HasPrefix(a.s, args[1].s))
	case "ends_with":
		return truth(strings.HasSuffix(a.s, args[1].s))
	case "matches":
		return truth(compiled[n.name].MatchString(a.s))
	case "in":
		return truth(slices.ContainsFunc(args[1].list, func(e element) bool { return e[""].equal(a, n.args[0].kind) }))
	case "in set":
		return truth(slices.ContainsFunc(n.set, func(c *node) bool { return c.value.equal(a, n.args[0].kind) }))
	case "length":
		if n.args[0].kind == text {
			return value{n: int64(utf8.RuneCountInString(a.s))}
		}
		return value{n: int64(len(a.list))}
	case "lower":
		return value{s: strings.ToLower(a.s)}
	case "hour", "weekday", "day", "month":
		return value{n: calendar(n.op, a.n, zones[n.name])}
	case "float":
		return value{f: float64(a.n)}
	}
	switch {
	case n.args[0].kind == decimal:
		return m.decimal(n.op, args)
	case n.kind == decimal:
		return m.finite(float64(a.n)/float64(args[1].n), args[1].n != 0)
	}
	return m.integer(n.op, args)
}

// order is < <= > >= and ranges.
func order(n *node, args []value) value {
	k := n.args[0].kind
	a, b := args[0], args[1]
	less, equal, more := a.less(b, k), a.equal(b, k), b.less(a, k)
	switch n.op {
	case "<":
		return value{n: bit(less)}
	case "<=":
		return value{n: bit(less || equal)}
	case ">":
		return value{n: bit(more)}
	case ">=":
		return value{n: bit(more || equal)}
	default:
		return value{n: bit((more || equal) && (a.less(args[2], k) || a.equal(args[2], k)))}
	}
}

func (m *meaning) decimal(op string, args []value) value {
	x := args[0].f
	switch op {
	case "neg":
		return value{f: -x}
	case "abs":
		return value{f: math.Abs(x)}
	}
	y := args[1].f
	switch op {
	case "+":
		return m.finite(x+y, true)
	case "-":
		return m.finite(x-y, true)
	case "*":
		return m.finite(x*y, true)
	case "/":
		return m.finite(x/y, true)
	}
	if m.LeastOfNaN && (math.IsNaN(x) || math.IsNaN(y)) {
		return m.unknown()
	}
	if op == "min" && y < x || op == "max" && y > x {
		return args[1]
	}
	return args[0]
}

// finite is a decimal that, unless Infinite, has to be finite.
func (m *meaning) finite(f float64, ok bool) value {
	if !m.Infinite && (!ok || math.IsInf(f, 0) || math.IsNaN(f)) {
		return m.unknown()
	}
	return value{f: f}
}

func (m *meaning) integer(op string, args []value) value {
	x := args[0].n
	fits := func(n int64, ok bool) value {
		if !ok && !m.Wraps {
			return m.unknown()
		}
		return value{n: n}
	}
	switch op {
	case "neg":
		return fits(-x, x != math.MinInt64)
	case "abs":
		return fits(max(x, -x), x != math.MinInt64)
	}
	y := args[1].n
	switch op {
	case "+":
		return fits(x+y, (y >= 0) == (x+y >= x))
	case "-":
		return fits(x-y, (y >= 0) == (x-y <= x))
	case "*":
		return fits(x*y, product(x, y))
	case "min":
		return value{n: min(x, y)}
	case "max":
		return value{n: max(x, y)}
	}
	if y == 0 {
		return m.unknown()
	}
	least := x == math.MinInt64 && y == -1
	if op == "/" {
		return fits(x/y, !least)
	}
	if least && m.Remainder {
		return m.unknown()
	}
	return value{n: x % y}
}

// product reports whether x*y fits.
func product(x, y int64) bool {
	if x == 0 || y == 0 {
		return true
	}
	if x == -1 || y == -1 {
		return x != math.MinInt64 && y != math.MinInt64
	}
	return x*y/y == x
}

func calendar(op string, at int64, zone *time.Location) int64 {
	t := time.UnixMicro(at).In(zone)
	switch op {
	case "hour":
		return int64(t.Hour())
	case "weekday":
		return int64((t.Weekday()+6)%7) + 1
	case "day":
		return int64(t.Day())
	default:
		return int64(t.Month())
	}
}

// zones by name, and patterns compiled.
var zones, compiled = func() (map[string]*time.Location, map[string]*regexp.Regexp) {
	located, matched := map[string]*time.Location{}, map[string]*regexp.Regexp{}
	for name := range zoneNames {
		zone, err := time.LoadLocation(name)
		if err != nil {
			panic(err) // the zones are linked in
		}
		located[name] = zone
	}
	for _, pattern := range patterns {
		matched[pattern] = regexp.MustCompile(pattern)
	}
	return located, matched
}()
