package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Seeds. Nothing that is fitted to events (the generator's aim, the samples
// that our compiler may see) uses the events that are measured.
const (
	measuredSeed  = 1
	calibrateSeed = 2
	sampleSeed    = 3
	rulesSeed     = 4
)

// Measured returns the events that benchmarks judge.
func Measured() []Event { return Events(256, measuredSeed) }

// Sample returns events like those measured, for compilers that look at some.
func Sample() []Event { return Events(256, sampleSeed) }

// variants is how many rules stand for a shape.
const variants = 4

// Singles returns some rules of a shape; each matches some events.
func Singles(shape int) []Rule {
	r := rand.New(rand.NewPCG(rulesSeed, uint64(shape)))
	g := generator{random: r, events: Events(400, calibrateSeed)}
	rules := make([]Rule, variants)
	for i := range rules {
		cond := Shapes[shape].make(r)
		for g.share(cond) < 0.003 {
			cond = Shapes[shape].make(r)
		}
		rules[i] = Rule{Name: "r0", Shape: shape, Cond: cond}
	}
	return rules
}

// The share of events that a generated rule is to match, as if its conditions
// were independent.
const rarest, commonest = 0.0001, 0.0072

// Generate returns n rules, each a conjunction of 2 to 4 conditions of
// different shapes, that together match about 1.3 events in a thousand rules.
func Generate(n int, seed uint64) []Rule {
	r := rand.New(rand.NewPCG(rulesSeed, seed))
	g := generator{random: r, events: Events(400, calibrateSeed)}
	rules := make([]Rule, n)
	for i := range rules {
		shape := i % len(Shapes)
		rules[i] = Rule{Name: fmt.Sprintf("r%d", i), Shape: shape, Cond: g.conjunction(shape)}
	}
	return rules
}

type generator struct {
	random *rand.Rand
	events []Event
}

func (g *generator) conjunction(shape int) Cond {
	for {
		first := Shapes[shape].make(g.random)
		share := g.share(first)
		for range 20 {
			chosen, conds, joint := []int{shape}, []Cond{first}, share
			for range 1 + g.random.IntN(3) {
				other := g.random.IntN(len(Shapes))
				if slices.Contains(chosen, other) {
					continue
				}
				cond := Shapes[other].make(g.random)
				chosen, conds, joint = append(chosen, other), append(conds, cond), joint*g.share(cond)
			}
			if len(conds) > 1 && joint >= rarest && joint <= commonest {
				return all(conds...)
			}
		}
	}
}

// share is the share of events that match a condition, not quite 0 for any.
func (g *generator) share(c Cond) float64 {
	n := 0
	for i := range g.events {
		if c.holds(&g.events[i]) {
			n++
		}
	}
	return (float64(n) + 0.25) / (float64(len(g.events)) + 0.5)
}

// Hostile returns n rules of which none has a condition that an index by
// value, threshold, interval or text could hold: each compares fields with
// each other or calculates. About 19% of them match an event.
func Hostile(n int, seed uint64) []Rule {
	r := rand.New(rand.NewPCG(rulesSeed, 1<<32+seed))
	rules := make([]Rule, n)
	for i := range rules {
		rules[i] = Rule{Name: fmt.Sprintf("r%d", i), Shape: 6, Cond: all(hostile(r), hostile(r))}
	}
	return rules
}

func hostile(r *rand.Rand) Cond {
	a, b := 1+r.IntN(9), 1+r.IntN(5)
	switch r.IntN(4) {
	case 0:
		return plain(fmt.Sprintf("refunds * %d > failed * %d", a, b+4), func(e *Event) bool { return e.Refunds*a > e.Failed*(b+4) })
	case 1:
		return plain(fmt.Sprintf("amount > fee * %d", a*a*12), func(e *Event) bool { return e.Amount > e.Fee*a*a*12 })
	case 2:
		return plain(fmt.Sprintf("paid_orders - refunds * %d < failed * %d - 4", a, b), func(e *Event) bool { return e.PaidOrders-e.Refunds*a < e.Failed*b-4 })
	default:
		return plain(fmt.Sprintf("(billing.country != shipping.country || paid_orders < refunds + failed * %d - 4)", b), func(e *Event) bool {
			return e.Billing.Country != e.Shipping.Country || e.PaidOrders < e.Refunds+e.Failed*b-4
		})
	}
}
