package check

import (
	"fmt"
	"time"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Limits of velocity.
const (
	minWindow   = time.Minute
	maxWindow   = 30 * 24 * time.Hour
	MaxCounters = 200 // of one ruleset
)

var measures = map[string]struct {
	measure Measure
	example string
}{
	"count":    {Count, "count(payment by card over 1h)"},
	"sum":      {Sum, "sum(amount by card over 1h)"},
	"avg":      {Avg, "avg(amount by card over 1h)"},
	"max":      {Largest, "max(amount by card over 1h)"},
	"distinct": {Distinct, "distinct(card by ip over 24h)"},
}

// window checks a velocity function and returns the slot of its value. Equal
// functions share it.
func (c *checker) window(x *syntax.Window) *Node {
	fn, ok := measures[x.Func.Name]
	if !ok {
		c.fault(x.Func.Span, "unknown function '"+x.Func.Name+"'", syntax.Suggest(x.Func.Name, functionNames()))
		return nil
	}
	c.counted = true
	text := syntax.Text(x)
	if node, ok := c.windows[text]; ok {
		return node
	}
	length := time.Duration(x.Over.Int) * time.Microsecond
	if x.Over.Int > maxWindow.Microseconds() || length < minWindow {
		c.fault(x.Over.Span, "a window is between 1m and 30d", "")
		return nil
	}
	inner := c.scopes
	c.scopes = c.scopes[:1]
	defer func() { c.scopes = inner }()
	x = x.Clone() // windows outlive the rule that has them first
	by := c.keyField(x.By, "the key of '"+x.Func.Name+"' must be")
	counter := &Counter{OfName: x.Of.String(), By: by.kept(), Window: length, Hash: fn.measure == Distinct}
	result, ok := c.aggregated(x, fn.measure, counter)
	if by == nil || !ok {
		return nil
	}
	counter.Of = counter.Of.kept()
	counter = c.share(counter, x)
	slot := c.scopes[0].slots.Extra()
	counter.Outputs = append(counter.Outputs, Output{fn.measure, result, slot})
	node := &Node{Op: Field, Type: result, Slot: slot, Opt: true, Source: x}
	c.windows[text] = node
	return node
}

// aggregated checks what a window counts or aggregates and gives its type.
func (c *checker) aggregated(x *syntax.Window, measure Measure, counter *Counter) (Type, bool) {
	if measure == Count {
		if event := c.schema.Event(); x.Of.String() != event {
			c.fault(x.Of.Span, "unknown event '"+x.Of.String()+"'", "these facts are counted as '"+event+"'")
			return Type{}, false
		}
		return Type{Kind: fact.Int}, true
	}
	counter.Of = c.path(x.Of)
	if counter.Of == nil {
		return Type{}, false
	}
	kind := counter.Of.Type.Kind
	if measure == Distinct {
		if kind == fact.List || kind == fact.Message || kind == fact.Float {
			c.fault(x.Of.Span, "'distinct' cannot count values of "+counter.Of.Type.describe(), "")
			return Type{}, false
		}
		return Type{Kind: fact.Int}, true
	}
	if kind != fact.Int && kind != fact.Money && kind != fact.Duration {
		c.fault(x.Of.Span, fmt.Sprintf("'%s' needs int, money or duration, found %s", x.Func.Name, counter.Of.Type.describe()), "as in "+measures[x.Func.Name].example)
		return Type{}, false
	}
	if measure == Avg && kind == fact.Int {
		return Type{Kind: fact.Float}, true
	}
	return counter.Of.Type, true
}

// share returns the counter of the set that counts the same, or adds it.
func (c *checker) share(counter *Counter, x *syntax.Window) *Counter {
	for _, known := range c.set.Counters {
		if known.OfName == counter.OfName && known.By.Slot == counter.By.Slot && known.Window == counter.Window &&
			known.Hash == counter.Hash && (known.Of == nil) == (counter.Of == nil) {
			return known
		}
	}
	if len(c.set.Counters) == MaxCounters {
		c.fault(x.Span, fmt.Sprintf("more than %d velocity counters in one ruleset", MaxCounters), "")
	}
	c.set.Counters = append(c.set.Counters, counter)
	return counter
}
