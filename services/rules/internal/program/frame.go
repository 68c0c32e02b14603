// Package program turns checked nodes into what judges facts:
//
//	code.go      branch programs: what runs; part.go makes them of nodes
//	leaf.go      which tests a branch program has, sets.go their constants
//	derive.go    values computed once an event, calendar.go hours and days
//	index.go     which rules an event can fire: masks of rules by the values
//	             they ask for; form.go, facet.go, affix.go, closer.go, grid.go
//	             and locate.go look values up, masks.go joins what they find,
//	             build.go builds, with what scratch.go lends; edges.go,
//	             choose.go and ceiling.go say of what
//	estimate.go  how often conditions hold and what they cost
//	cond.go      closures for the rest: compare.go, value.go, money.go, linear.go,
//	             balance.go, element.go (any and all of comparisons)
//	window.go    velocity; trace.go values for people; cost.go bounds
//
// Evaluating neither reflects nor allocates once a Frame has grown to its size.
//
// A branch or closure of a condition is true only when the condition is known
// to be true. `not` is pushed down to the leaves when it is compiled, so a leaf
// whose value is missing is false under `not` too: Kleene's logic without a
// third value at run time.
package program

import (
	"net/netip"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/rate"
)

// Frame is the state of one evaluation. It may be used again after Reset, and
// by one evaluation at a time.
type Frame struct {
	Record  fact.Record
	bases   [check.MaxNesting + 1]int // where the slots of the fact and of each current element begin
	addrs   []addr                    // fields read as IP addresses
	scratch []byte
	Unknown Unknown
	Rates   *rate.Table // of this judgement; nil for none

	*work         // of the index that judges
	kept  []int32 // Keep's copy
}

// work is what an index needs to judge, in its sizes.
type work struct {
	of      *Index
	epoch   uint64     // of this judgement
	made    []uint64   // by derived value: the epoch it was made in
	memos   []uint64   // by remembered test: epoch<<1 | outcome
	hits    []int32    // rules that fired
	next    []entry    // to be run
	touched int32      // of their code; what it is does not matter
	sieve   sieve      // of positions not excluded yet
	joint   joint      // of what elements of a list satisfy
	unions  [][]uint64 // the masks that facets put together
	element []uint64   // of one, that of one element of a list
	inner   []uint64   // of that, that of one value
}

// Unknown counts why values of an evaluation were unknown though their fields
// were present.
type Unknown struct {
	Overflow int // results out of range, divisions by zero
	Currency int // amounts in different currencies
	Rate     int // conversions without a rate
}

// Add returns the counts of both.
func (u Unknown) Add(o Unknown) Unknown {
	return Unknown{u.Overflow + o.Overflow, u.Currency + o.Currency, u.Rate + o.Rate}
}

type addr struct {
	state uint8  // 0 not parsed yet, 1 an address, 2 none
	is4   bool   // it is one of IPv4,
	v4    uint32 // this one
	addr  netip.Addr
}

// NewFrame returns a frame for programs that read so many IP addresses.
func NewFrame(addrs int) *Frame { return &Frame{addrs: make([]addr, addrs)} }

// begin starts a judgement of the decoded fact.
func (f *Frame) begin(x *Index) {
	f.scratch = f.scratch[:0]
	f.Unknown = Unknown{}
	if f.work == nil || f.of != x {
		f.work = x.pool.Get().(*work)
		if f.of != x { // of an index that this one was made from
			f.of = x
		}
	}
	f.epoch++
}

// Release gives back what judging needed. What Fire returned must not be used
// any more.
func (f *Frame) Release() {
	if f.work != nil {
		f.of.pool.Put(f.work)
		f.work = nil
	}
}

// Keep returns a copy of what Fire returned, valid until the next one.
func (f *Frame) Keep(hits []int32) []int32 {
	f.kept = append(f.kept[:0], hits...)
	return f.kept
}

// usualEntries is how many positions a fact leaves, at most, but for few facts.
const usualEntries = 256

func newWork(x *Index) *work {
	w := &work{
		of: x, made: make([]uint64, len(x.code.derived)), memos: make([]uint64, x.code.memos+1),
		next: make([]entry, 0, min(len(x.entries), usualEntries)), unions: make([][]uint64, x.unions),
	}
	masks := slab[uint64]{make([]uint64, (len(w.unions)+3)*x.words)}
	w.sieve.left, w.sieve.held = masks.cut(x.words), make([]uint16, x.words/blockWords)
	w.element, w.inner = masks.cut(x.words), masks.cut(x.words)
	for i := range w.unions {
		w.unions[i] = masks.cut(x.words)
	}
	return w
}

// Reset empties the frame.
func (f *Frame) Reset() {
	f.Record.Reset()
	clear(f.addrs)
	f.scratch = f.scratch[:0]
	f.Unknown = Unknown{}
}

// Set gives a slot of the fact a value.
func (f *Frame) Set(slot int, value fact.Slot) { f.Record.Slots[slot] = value }

// address returns the IP address in a slot of the fact, parsed once.
func (f *Frame) address(number, slot int) (netip.Addr, bool) {
	a := f.parsed(number, slot)
	return a.addr, a.state == 1
}

// parsed is what is in a slot of the fact, read as an IP address once.
func (f *Frame) parsed(number, slot int) *addr {
	a := &f.addrs[number-1]
	if a.state == 0 {
		a.parse(f.Record.Slots[slot].S)
	}
	return a
}

func (a *addr) parse(text string) {
	address, ok := list.ParseAddr(text)
	if !ok {
		*a = addr{state: 2}
		return
	}
	*a = addr{state: 1, is4: address.Is4(), addr: address}
	if a.is4 {
		a.v4 = uint32(netNumber(address))
	}
}

// addressOf returns the IP address that a test looks at; t.n numbers the field
// of the fact that it is in, 0 for other values.
func (f *Frame) addressOf(t *test, s *fact.Slot) (netip.Addr, bool) {
	if t.n > 0 {
		return f.address(int(t.n), int(t.slot))
	}
	return list.ParseAddr(s.S)
}

// slot is the slot of a field: of the fact, or of a current element.
func (f *Frame) slot(depth, slot int) *fact.Slot {
	return &f.Record.Slots[f.bases[depth]+slot]
}
