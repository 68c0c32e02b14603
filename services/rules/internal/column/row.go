package column

import (
	"slices"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/program"
)

// rowTest is a condition that package program judges, event by event, from a
// record of the fields that it reads.
type rowTest struct {
	holds program.Cond
	reads *Scope
}

func (c *compiler) row(n *check.Node, negate bool) cond {
	t := &rowTest{program.Compile(n), &Scope{}}
	if negate {
		t.holds = program.Refute(n)
	}
	addFields([]*Scope{t.reads}, n)
	t.reads.sort()
	return t
}

func (t *rowTest) cost() int { return 400 + 40*len(t.reads.Fields) }

func (t *rowTest) eval(s *State, b *Batch, sel, out Bits) {
	rows(sel, out, func(row int) bool {
		s.load(t.reads, b, row)
		return t.holds(s.frame)
	})
}

// load gives the frame the fields of a row.
func (s *State) load(reads *Scope, b *Batch, row int) {
	s.frame.Reset()
	s.frame.Rates = s.rates
	record := &s.frame.Record
	record.Slots = extend(record.Slots, reads.width)
	reads.load(record, 0, b, row)
}

func extend(slots []fact.Slot, n int) []fact.Slot {
	slots = slices.Grow(slots, n)
	from := len(slots)
	slots = slots[:from+n]
	clear(slots[from:])
	return slots
}

// load gives the slots that begin at base the values of a row.
func (s *Scope) load(r *fact.Record, base int, b *Batch, row int) {
	for _, f := range s.Fields {
		c := &b.Cols[f.Slot]
		if !c.OK.Has(row) {
			continue
		}
		slot := fact.Slot{OK: true}
		switch f.Type.Kind {
		case fact.Money:
			slot.N, slot.S = c.N[row], c.S.At(row)
		case fact.String:
			slot.S = c.S.At(row)
		case fact.List:
			slot.N = f.Elem.loadList(r, c.List, row)
		case fact.Message, fact.Invalid:
		default:
			slot.N = c.N[row]
		}
		r.Slots[base+f.Slot] = slot
	}
}

// loadList appends the elements of a row's list and returns what its slot has.
func (s *Scope) loadList(r *fact.Record, l *List, row int) (slot int64) {
	last := 0
	for from, to := l.Of(row); from < to; from++ {
		at := len(r.Slots)
		r.Slots = extend(r.Slots, 1+max(s.width, 1))
		if last == 0 {
			slot = int64(at) << 32
		} else {
			r.Slots[last].N = int64(at)
		}
		last = at
		s.load(r, at+1, &l.Elems, from)
	}
	return slot | int64(last)
}
