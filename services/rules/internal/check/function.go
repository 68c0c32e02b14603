package check

import (
	"fmt"
	"sync"
	"time"
	_ "time/tzdata" // zones must not depend on the machine

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// functions maps names to operations and to an example of their use.
var functions = map[string]struct {
	op      Op
	example string
}{
	"hour":    {Hour, `hour(at, "Asia/Shanghai")`},
	"weekday": {Weekday, `weekday(at, "Asia/Shanghai")`},
	"day":     {Day, `day(at, "Asia/Shanghai")`},
	"month":   {Month, `month(at, "Asia/Shanghai")`},
	"length":  {Length, "length(items)"},
	"lower":   {Lower, "lower(email)"},
	"abs":     {Abs, "abs(balance)"},
	"min":     {Min, "min(a, b)"},
	"max":     {Max, "max(a, b)"},
	"convert": {Convert, "convert(amount, CNY)"},
}

func (c *checker) call(x *syntax.Call) *Node {
	name := x.Func.Name
	fn, ok := functions[name]
	if !ok {
		if _, velocity := measures[name]; velocity {
			c.fault(x.Span, "'"+name+"' needs a key and a window", "as in "+measures[name].example)
			return nil
		}
		c.fault(x.Func.Span, "unknown function '"+name+"'", syntax.Suggest(name, functionNames()))
		return nil
	}
	switch fn.op {
	case Hour, Weekday, Day, Month:
		return c.calendar(x, fn.op, fn.example)
	case Convert:
		return c.convert(x, fn.example)
	default:
	}
	want := 1
	if fn.op == Min || fn.op == Max {
		want = 2
	}
	if len(x.Args) != want {
		c.fault(x.Span, fmt.Sprintf("'%s' takes %d, found %d", name, want, len(x.Args)), "as in "+fn.example)
		return nil
	}
	args := make([]*Node, want)
	for i, arg := range x.Args {
		if args[i] = c.value(arg); args[i] == nil {
			return nil
		}
	}
	result, ok := c.functionType(fn.op, args)
	if !ok {
		found := args[0].Type.describe()
		if want == 2 {
			found += " and " + args[1].Type.describe()
		}
		c.fault(x.Span, fmt.Sprintf("no '%s' of %s", name, found), "as in "+fn.example)
		return nil
	}
	return c.node(fn.op, result, x, args...)
}

// functionType is the type of a call; it may convert the arguments.
func (c *checker) functionType(op Op, args []*Node) (Type, bool) {
	kind := args[0].Type.Kind
	switch op {
	case Length:
		return Type{Kind: fact.Int}, kind == fact.String || kind == fact.List
	case Lower:
		return Type{Kind: fact.String}, kind == fact.String
	case Abs:
		return args[0].Type, kind == fact.Int || kind == fact.Float || kind == fact.Money || kind == fact.Duration
	default:
	}
	if !c.unify(&args[0], &args[1]) {
		return Type{}, false
	}
	switch args[0].Type.Kind {
	case fact.Int, fact.Float, fact.Money, fact.Duration, fact.Time:
		return args[0].Type, true
	default:
		return Type{}, false
	}
}

// calendar checks hour(at) and hour(at, "Zone"); without zone it is UTC.
func (c *checker) calendar(x *syntax.Call, op Op, example string) *Node {
	if len(x.Args) < 1 || len(x.Args) > 2 {
		c.fault(x.Span, fmt.Sprintf("'%s' takes a time and a zone", x.Func.Name), "as in "+example)
		return nil
	}
	at := c.value(x.Args[0])
	if at == nil {
		return nil
	}
	if at.Type.Kind != fact.Time {
		c.fault(x.Args[0].ExprSpan(), fmt.Sprintf("'%s' needs a time, found %s", x.Func.Name, at.Type.describe()), "")
		return nil
	}
	zone := time.UTC
	if len(x.Args) == 2 {
		literal, ok := x.Args[1].(*syntax.Literal)
		if !ok || literal.Kind != syntax.StringLit {
			c.fault(x.Args[1].ExprSpan(), "a zone must be a constant", "as in "+example)
			return nil
		}
		loaded, err := location(literal.Str)
		if err != nil || literal.Str == "" || literal.Str == "Local" {
			c.fault(literal.Span, "unknown time zone '"+literal.Str+"'", `zones are named as in "Asia/Shanghai" or "UTC"`)
			return nil
		}
		zone = loaded
	}
	node := c.node(op, Type{Kind: fact.Int}, x, at)
	node.Zone = zone
	return node
}

// convert checks convert(amount, CNY).
func (c *checker) convert(x *syntax.Call, example string) *Node {
	if len(x.Args) != 2 {
		c.fault(x.Span, "'convert' takes an amount and a currency", "as in "+example)
		return nil
	}
	amount := c.value(x.Args[0])
	if amount == nil {
		return nil
	}
	if amount.Type.Kind != fact.Money {
		c.fault(x.Args[0].ExprSpan(), "'convert' needs money, found "+amount.Type.describe(), "")
		return nil
	}
	currency, ok := x.Args[1].(*syntax.Path)
	if !ok {
		c.fault(x.Args[1].ExprSpan(), "expected a currency", "as in "+example)
		return nil
	}
	if _, known := money.Exponent(currency.String()); !known {
		c.fault(currency.Span, "unknown currency '"+currency.String()+"'", "as in "+example)
		return nil
	}
	node := c.node(Convert, amount.Type, x, amount)
	node.Value.S = currency.String()
	return node
}

// locations has the time zones looked up so far; there are some 600.
var locations sync.Map

func location(name string) (*time.Location, error) {
	if known, ok := locations.Load(name); ok {
		return known.(*time.Location), nil
	}
	loaded, err := time.LoadLocation(name)
	if err == nil {
		locations.Store(name, loaded)
	}
	return loaded, err
}

func functionNames() []string {
	var names []string
	for name := range functions {
		names = append(names, name)
	}
	for name := range measures {
		names = append(names, name)
	}
	return names
}
