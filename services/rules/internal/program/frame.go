// Package program turns checked nodes into closures over the slots of a fact:
// cond.go conditions, compare.go their leaves, value.go what they compare,
// window.go velocity, trace.go values for people. Evaluating neither reflects
// nor allocates once a Frame has grown to its size.
//
// A closure of a condition is true only when the condition is known to be
// true. `not` is pushed down to the leaves when it is compiled, so a leaf whose
// value is missing is false under `not` too: Kleene's logic without a third
// value at run time.
package program

import (
	"net/netip"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/list"
)

// Frame is the state of one evaluation. It may be used again after Reset, and
// by one evaluation at a time.
type Frame struct {
	Record  fact.Record
	bases   [check.MaxNesting + 1]int // where the slots of the fact and of each current element begin
	addrs   []addr                    // fields read as IP addresses
	scratch []byte
	Unknown Unknown
}

// Unknown counts why values of an evaluation were unknown though their fields
// were present.
type Unknown struct {
	Overflow int // results out of range, divisions by zero
	Currency int // amounts in different currencies
}

type addr struct {
	state uint8 // 0 not parsed yet, 1 an address, 2 none
	addr  netip.Addr
}

// NewFrame returns a frame for programs that read so many IP addresses.
func NewFrame(addrs int) *Frame { return &Frame{addrs: make([]addr, addrs)} }

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
	cached := &f.addrs[number-1]
	if cached.state == 0 {
		parsed, ok := list.ParseAddr(f.Record.Slots[slot].S)
		*cached = addr{2, parsed}
		if ok {
			cached.state = 1
		}
	}
	return cached.addr, cached.state == 1
}

// slot is the slot of a field: of the fact, or of a current element.
func (f *Frame) slot(depth, slot int) *fact.Slot {
	return &f.Record.Slots[f.bases[depth]+slot]
}
