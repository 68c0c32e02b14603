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
	make func(*Frame) fact.Slot
	pair *pair // which may be quicker; nil: none
}

// ready makes a derived slot ready.
func (f *Frame) ready(c *Code, number int32) {
	if f.made[number] == f.epoch {
		return
	}
	f.made[number] = f.epoch
	d := &c.derived[number]
	if d.pair != nil && f.sumPair(d.pair, &f.Record.Slots[d.slot]) {
		return
	}
	f.Record.Slots[d.slot] = d.make(f)
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
// IPv4 as it is, of IPv6 the upper half. The slot is missing for addresses of
// the other family.
func deriveNet(number, slot int, v4 bool) func(*Frame) fact.Slot {
	return func(f *Frame) fact.Slot {
		if !f.Record.Slots[slot].OK {
			return fact.Slot{}
		}
		address, ok := f.address(number, slot)
		if !ok || address.Is4() != v4 {
			return fact.Slot{}
		}
		return fact.Slot{N: netNumber(address), OK: true}
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
