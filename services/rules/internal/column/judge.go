package column

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/program"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/rate"
)

// Program is the compiled conditions of a set. Equal conditions of several
// rules are one.
type Program struct {
	conds          []cond
	of             map[*check.Rule]int
	tables, chains int
	memos          int
	addrs          int
}

// Compile compiles the rules of a set.
func Compile(set *check.Set) *Program {
	p := &Program{of: make(map[*check.Rule]int, len(set.Rules)), addrs: set.Addrs}
	c := compiler{uses: uses{}, memos: map[string]*memo{}}
	known := map[string]int{}
	var different []*check.Node
	for _, rule := range set.Rules {
		key := leafKey(rule.When, false)
		number, ok := known[key]
		if !ok {
			number = len(different)
			known[key] = number
			different = append(different, rule.When)
			c.uses.count(rule.When, false)
		}
		p.of[rule] = number
	}
	for _, when := range different {
		p.conds = append(p.conds, c.cond(when, false))
	}
	p.tables, p.chains, p.memos = c.tables, c.chains, len(c.memos)
	return p
}

// writeKey writes what tells a condition of a set from others.
func writeKey(w *strings.Builder, n *check.Node) {
	fmt.Fprintf(w, "(%d %d", n.Op, n.Type.Kind)
	switch n.Op {
	case check.Const, check.Convert:
		fmt.Fprintf(w, " %d %q %v", n.Value.N, n.Value.S, n.Value.OK)
	case check.Field:
		fmt.Fprintf(w, " %d %d", n.Depth, n.Slot)
	case check.Any, check.All:
		fmt.Fprintf(w, " %d", n.Depth)
	case check.Matches:
		fmt.Fprintf(w, " %q", n.Regex.String())
	case check.InList:
		fmt.Fprintf(w, " %p", n.List.Get())
	case check.InNets:
		fmt.Fprint(w, " ", n.Nets)
	case check.InInts:
		fmt.Fprint(w, " ", slices.Sorted(maps.Keys(n.Ints)))
	case check.InStrings:
		fmt.Fprintf(w, " %q", n.Set)
	case check.Hour, check.Weekday, check.Day, check.Month:
		w.WriteString(" " + n.Zone.String())
	default:
	}
	for _, arg := range n.Args {
		writeKey(w, arg)
	}
	w.WriteByte(')')
}

// State is the memory in which one goroutine judges batches.
type State struct {
	program  *Program
	frame    *program.Frame
	rates    *rate.Table
	bits     Bits // a stack
	tables   []table
	orders   []*order
	memories []memory
	batches  uint64 // begun
	batch    *Batch
	results  []Bits // by condition, of the batch
	done     []bool
	costs    []time.Duration // by condition, of all batches
}

// NewState returns a state for a program. rates are those of convert, and may
// be nil.
func NewState(p *Program, rates *rate.Table) *State {
	return &State{
		program: p, rates: rates, frame: program.NewFrame(p.addrs), tables: make([]table, p.tables), orders: make([]*order, p.chains),
		results: make([]Bits, len(p.conds)), done: make([]bool, len(p.conds)), costs: make([]time.Duration, len(p.conds)),
		memories: make([]memory, p.memos),
	}
}

// alloc takes bits from the stack; what they hold is undefined.
func (s *State) alloc(words int) Bits {
	at := len(s.bits)
	s.bits = slices.Grow(s.bits, words)[:at+words]
	return s.bits[at : at+words : at+words]
}

// sized returns bits of so many words, in the memory of old ones.
func sized(old Bits, words int) Bits { return slices.Grow(old[:0], words)[:words] }

// Begin makes a batch the one to judge. It must not change meanwhile.
func (s *State) Begin(b *Batch) {
	s.batch, s.bits = b, s.bits[:0]
	s.batches++
	clear(s.done)
}

// holds returns the rows for which a condition is true.
func (s *State) holds(number int) Bits {
	if s.done[number] {
		return s.results[number]
	}
	began := time.Now()
	words := wordsFor(s.batch.N)
	s.results[number] = sized(s.results[number], words)
	everything := s.alloc(words)
	everything.all(s.batch.N)
	s.program.conds[number].eval(s, s.batch, everything, s.results[number])
	s.bits = s.bits[:0]
	s.done[number] = true
	s.costs[number] += time.Since(began)
	return s.results[number]
}

// Cost returns how long the condition of a rule has taken in all.
func (s *State) Cost(rule *check.Rule) time.Duration { return s.costs[s.program.of[rule]] }

// Verdicts are those of one ruleset on a batch, by row, and what fired, by
// rule. They are Judge's to write.
type Verdicts struct {
	Actions []syntax.Action
	Scores  []int64
	Fired   []Bits // live
	Shadow  []Bits
	decided Bits // rows whose action and score are not the first ones
}

// Rule is a rule of a ruleset, in the order in which decisions tell them.
type Rule struct {
	*check.Rule
	Name string // by which a canary is chosen
}

// Judge judges the batch by rules of the program. The verdicts hold until the
// next Begin.
func (s *State) Judge(rules []Rule, v *Verdicts) {
	v.begin(s.batch.N)
	v.Fired, v.Shadow = slices.Grow(v.Fired[:0], len(rules))[:len(rules)], slices.Grow(v.Shadow[:0], len(rules))[:len(rules)]
	for i := range rules {
		rule := &rules[i]
		fired, shadow := s.holds(s.program.of[rule.Rule]), Bits(nil)
		switch rule.State {
		case syntax.Shadow:
			fired, shadow = nil, fired
		case syntax.Canary:
			fired, shadow = s.split(rule, fired)
		case syntax.Live:
		}
		v.Fired[i], v.Shadow[i] = fired, shadow
		v.apply(rule, fired)
	}
}

// begin allows n rows. Few are decided by rules: it is quicker to take back
// those than to write all.
func (v *Verdicts) begin(n int) {
	if v.Actions == nil {
		v.Actions, v.Scores, v.decided = slices.Repeat([]syntax.Action{syntax.Allow}, Rows), make([]int64, Rows), make(Bits, wordsFor(Rows))
	}
	v.Actions, v.Scores = v.Actions[:Rows], v.Scores[:Rows]
	for w, word := range v.decided {
		for ; word != 0; word &= word - 1 {
			row := w*64 + bits.TrailingZeros64(word)
			v.Actions[row], v.Scores[row] = syntax.Allow, 0
		}
	}
	clear(v.decided)
	v.Actions, v.Scores = v.Actions[:n], v.Scores[:n]
}

// apply lets a rule decide the rows for which it fired.
func (v *Verdicts) apply(rule *Rule, fired Bits) {
	for w, left := range fired {
		v.decided[w] |= left
		for ; left != 0; left &= left - 1 {
			row := w*64 + bits.TrailingZeros64(left)
			v.Actions[row] = max(v.Actions[row], rule.Action)
			v.Scores[row] += rule.Score
		}
	}
}

// split parts the rows for which a canary fired into those for which it is
// live and the rest.
func (s *State) split(rule *Rule, fired Bits) (live, shadow Bits) {
	reads := &Scope{Fields: []*Field{fieldOf(rule.Canary)}}
	reads.sort()
	live, shadow = make(Bits, len(fired)), make(Bits, len(fired))
	rows(fired, live, func(row int) bool {
		s.load(reads, s.batch, row)
		return s.frame.Chosen(rule.Canary, rule.Name, rule.CanaryPPM)
	})
	for w := range fired {
		shadow[w] = fired[w] &^ live[w]
	}
	return live, shadow
}

// Counter runs velocity counters over batches, in the order of their rows, and
// puts what they say into their columns. Times must ascend, as must batches.
type Counter struct {
	windows *program.Windows
	frame   *program.Frame
	reads   *Scope
	outputs *Scope
	width   int
	time    int
}

// NewCounter returns a counter of what a set counts, or nil if it counts
// nothing.
func NewCounter(set *check.Set, plan *Scope, windows *program.Windows) *Counter {
	if len(set.Counters) == 0 {
		return nil
	}
	c := &Counter{windows: windows, frame: program.NewFrame(set.Addrs), reads: &Scope{}, outputs: &Scope{}, width: plan.width, time: set.Time}
	for _, counter := range set.Counters {
		addFields([]*Scope{c.reads}, counter.By)
		if counter.Of != nil {
			addFields([]*Scope{c.reads}, counter.Of)
		}
	}
	for _, f := range plan.Fields {
		if f.Slot == set.Time {
			c.reads.field(f)
		}
		if f.Counted {
			c.outputs.field(f)
		}
	}
	c.reads.sort()
	c.outputs.sort()
	return c
}

// Run counts the rows of a batch.
func (c *Counter) Run(b *Batch) {
	for _, f := range c.outputs.Fields {
		column := &b.Cols[f.Slot]
		clear(column.OK)
		if f.Type.Kind == fact.Money {
			column.S.Dict, column.S.Values = &Dict{}, nil
		}
	}
	for row := range b.N {
		c.frame.Reset()
		record := &c.frame.Record
		record.Slots = extend(record.Slots, c.width)
		c.reads.load(record, 0, b, row)
		var at fact.Slot
		if c.time >= 0 {
			at = record.Slots[c.time]
		}
		c.windows.Run(c.frame, at, program.Count{})
		for _, f := range c.outputs.Fields {
			f.store(&b.Cols[f.Slot], row, &record.Slots[f.Slot])
		}
	}
}

// store sets the value of a row.
func (f *Field) store(c *Column, row int, slot *fact.Slot) {
	if !slot.OK {
		return
	}
	c.OK.set(row)
	c.N[row] = slot.N
	if f.Type.Kind == fact.Money {
		c.S.Codes[row] = c.S.Dict.Code(slot.S)
		c.S.Values = c.S.Dict.values
	}
}

// Same reports whether two rules have one condition.
func (p *Program) Same(a, b *check.Rule) bool { return p.of[a] == p.of[b] }
