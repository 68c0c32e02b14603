package program

import (
	"math"
	"strings"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// estimate is how often a condition holds, between 0 and 1, and what asking
// costs, in about nanoseconds. It decides order and indexing, never outcomes.
type estimate struct{ likely, cost float64 }

// both is the estimate of two conditions that must hold together.
func (e estimate) both(o estimate) estimate {
	return estimate{clampLikely(max(e.likely+o.likely-1, e.likely*o.likely)), max(e.cost, o.cost)}
}

func clampLikely(p float64) float64 { return min(max(p, 0.0005), 0.9995) }

// testCosts are those of tests by opcode.
var testCosts = [...]float64{
	opFlag: 1, opIntEq: 1, opIntNe: 1, opIntLt: 1, opIntLe: 1, opIntGt: 1, opIntGe: 1, opIntIn: 1.2, opFloat: 2, opMoney: 2,
	opTextEq: 2, opTextNe: 2, opText: 6, opPrefix: 3, opSuffix: 3, opPresent: 1, opInts: 4, opTexts: 12,
	opContains: 15, opMatches: 150, opList: 30, opNets: 20, opCond: 10,
}

// guesses are how often tests hold when nothing is known of their values.
var guesses = [...]float64{
	opFlag: 0.4, opIntEq: 0.05, opIntNe: 0.95, opIntLt: 0.3, opIntLe: 0.3, opIntGt: 0.3, opIntGe: 0.3, opIntIn: 0.2, opFloat: 0.3,
	opMoney: 0.3, opTextEq: 0.02, opTextNe: 0.97, opText: 0.3, opPrefix: 0.03, opSuffix: 0.03, opPresent: 0.8, opInts: 0.15,
	opTexts: 0.06, opContains: 0.05, opMatches: 0.1, opList: 0.05, opNets: 0.03, opCond: 0.4,
}

// prior is what is known of a test whatever its constant is.
type prior struct {
	guess        float64 // how often it holds where nothing else tells
	first, count int64   // of a calendar: its values, from the first on
	column       *column // what the sample has of the value; nil: nothing
}

// priorOf is what is known of a test of a value.
func (b *parts) priorOf(t *draft, value *check.Node) prior {
	of := prior{guess: guesses[t.op]}
	switch t.op {
	case opPrefix, opSuffix, opInts, opTexts, opContains, opMatches, opList, opNets, opPresent:
		if !t.want {
			of.guess = 1 - of.guess
		}
	default:
	}
	if value.Source != nil {
		if _, velocity := value.Source.(*syntax.Window); velocity {
			of.guess = 0.05
		}
	}
	switch value.Op {
	case check.Hour:
		of.first, of.count = 0, 24
	case check.Weekday:
		of.first, of.count = 1, 7
	case check.Day:
		of.first, of.count = 1, 31
	case check.Month:
		of.first, of.count = 1, 12
	case check.Field:
		of.column = b.column(value)
	default:
	}
	return of
}

// estimateTest estimates a test.
func (b *parts) estimateTest(p *part, of *prior) estimate {
	e := estimate{of.guess, testCosts[p.op]}
	switch {
	case of.count > 0:
		e.likely = calendarShare(&p.draft, of.first, of.count)
	case of.column != nil:
		e.likely = of.column.likely(b, &p.draft, of.guess)
	}
	if p.derived() > 0 {
		e.cost += 2
	}
	e.likely = clampLikely(e.likely)
	return e
}

// calendarShare is the share of the values from first on, so many of them,
// that a test lets through.
func calendarShare(t *draft, first, count int64) float64 {
	low, high, ok := t.bounds()
	switch {
	case ok:
		return float64(max(min(high, first+count-1)-max(low, first)+1, 0)) / float64(count)
	case t.op == opIntEq:
		return 1 / float64(count)
	case t.op == opIntNe:
		return 1 - 1/float64(count)
	}
	return guesses[t.op]
}

// column is what the sample has of a field, or nil.
func (b *parts) column(field *check.Node) *column {
	if b.sample == nil {
		return nil
	}
	list := &b.elements[field.Depth]
	for len(b.columns) <= list.slot+1 {
		b.columns = append(b.columns, nil)
	}
	met := &b.columns[list.slot+1]
	for len(*met) <= field.Slot {
		*met = append(*met, metColumn{})
	}
	known := &(*met)[field.Slot]
	if !known.met {
		known.met = true
		if path, ok := field.Source.(*syntax.Path); ok {
			known.column = b.sample.columns[list.pathOf(path)]
		}
	}
	return known.column
}

// summand is what the sample has of a field of which n is a multiple, or nil.
func (b *parts) summand(n *check.Node) *column {
	for n.Op == check.Mul {
		if n.Args[0].Op == check.Const {
			n = n.Args[1]
		} else {
			n = n.Args[0]
		}
	}
	if n.Op != check.Field {
		return nil
	}
	return b.column(n)
}

// columns are those of the slots of a fact or of a list's elements.
type columns []metColumn

// metColumn is what the sample has of a slot, once that was met; nil for none.
type metColumn struct {
	column *column
	met    bool
}

// elements is the list whose elements a depth stands for.
type elements struct {
	slot int    // 1 + the list's, 0: the fact itself, -1: within elements
	path string // of the list, if the fact has it
	each float64
}

// enter notes the list that a quantifier goes through, and returns how many
// elements it has.
func (b *parts) enter(n *check.Node) float64 {
	list, entered := n.Args[0], &b.elements[n.Depth]
	if list.Depth == 0 && entered.slot == list.Slot+1 {
		return entered.each
	}
	*entered = elements{slot: -1, each: assumedQuick}
	if path, ok := list.Source.(*syntax.Path); ok && list.Depth == 0 {
		entered.slot, entered.path = list.Slot+1, path.String()
		if b.sample != nil && b.sample.each[entered.path] > 0 {
			entered.each = b.sample.each[entered.path]
		}
	}
	return entered.each
}

// someLikely is how often one of so many elements passes that each passes so
// often.
func someLikely(likely, each float64) float64 { return clampLikely(1 - power(1-likely, each)) }

// everyLikely is how often all of them pass.
func everyLikely(likely, each float64) float64 { return clampLikely(power(likely, each)) }

// power is math.Pow of a likelihood above 0 to some five digits, in a quarter of
// the time.
func power(likely, each float64) float64 {
	const fraction = 1<<52 - 1
	bits := math.Float64bits(likely)
	octave := float64(int(bits>>52) - 1023)
	m := math.Float64frombits(bits&fraction | 1023<<52)
	t := (m - math.Sqrt2) / (m + math.Sqrt2)
	log := octave + 0.5 + 2*math.Log2E*t*(1+t*t*(1.0/3+t*t/5))
	whole := math.Floor(each*log + 0.5)
	if whole < -1000 {
		return 0
	}
	x := math.Ln2 * (each*log - whole)
	return math.Float64frombits(uint64(whole+1023)<<52) * (1 + x*(1+x*(1.0/2+x*(1.0/6+x*(1.0/24+x/120)))))
}

// pathOf is where the sample has a field.
func (e *elements) pathOf(path *syntax.Path) string {
	if e.slot == 0 {
		return path.String()
	}
	_, inner, _ := strings.Cut(path.String(), ".")
	return fact.Elements(e.path, inner)
}
