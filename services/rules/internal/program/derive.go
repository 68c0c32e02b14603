package program

import (
	"math"
	"net/netip"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// derivation is a value computed of a fact's fields when it is first needed,
// once a judgement, into a slot of its own.
type derivation struct {
	slot int
	make func(*Frame) fact.Slot     // nil: it is a whole number
	ints func(*Frame) (int64, bool) // which fills the slot's number alone; nil: it is none
	pair *pair                      // which may be quicker; nil: none
}

// ready makes a derived slot ready.
func (f *Frame) ready(c *Code, number int32) {
	if f.made[number] == f.epoch {
		return
	}
	f.made[number] = f.epoch
	d := &c.derived[number]
	s := &f.Record.Slots[d.slot]
	switch {
	case d.pair != nil && f.sumPair(d.pair, s):
	case d.ints != nil:
		s.N, s.OK = d.ints(f)
	default:
		*s = d.make(f)
	}
}

// derive compiles a value into what fills its slot.
func derive(n *check.Node) func(*Frame) fact.Slot {
	switch n.Type.Kind {
	case fact.Float:
		value := floats(n)
		return func(f *Frame) fact.Slot {
			v, ok := value(f)
			return fact.Slot{N: int64(math.Float64bits(v)), OK: ok}
		}
	case fact.String:
		value := texts(n)
		return func(f *Frame) fact.Slot {
			v, ok := value(f)
			return fact.Slot{S: v, OK: ok}
		}
	case fact.Money:
		value := amounts(n)
		return func(f *Frame) fact.Slot {
			v, currency, ok := value(f)
			return fact.Slot{N: v, S: currency, OK: ok}
		}
	default:
		value := ints(n)
		return func(f *Frame) fact.Slot {
			v, ok := value(f)
			return fact.Slot{N: v, OK: ok}
		}
	}
}

// deriveNet makes an IP address a number whose order is that of addresses:
// IPv4 as it is, of IPv6 the upper half. It is missing for addresses of the other
// family.
func deriveNet(number, slot int, v4 bool) func(*Frame) (int64, bool) {
	return func(f *Frame) (int64, bool) {
		if !f.Record.Slots[slot].OK {
			return 0, false
		}
		address, ok := f.address(number, slot)
		if !ok || address.Is4() != v4 {
			return 0, false
		}
		return netNumber(address), true
	}
}

// derivationOf compiles a value into a derivation without a slot.
func derivationOf(n *check.Node) derivation {
	switch n.Type.Kind {
	case fact.Float, fact.String, fact.Money:
		return derivation{make: derive(n), pair: pairOf(n)}
	default:
		return derivation{ints: ints(n), pair: pairOf(n)}
	}
}

func netNumber(address netip.Addr) int64 {
	if address.Is4() {
		b := address.As4()
		return int64(b[0])<<24 | int64(b[1])<<16 | int64(b[2])<<8 | int64(b[3])
	}
	b := address.As16()
	var upper uint64
	for _, octet := range b[:8] {
		upper = upper<<8 | uint64(octet)
	}
	return int64(upper ^ 1<<63)
}
