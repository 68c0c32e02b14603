package program

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// key is what an expression of the fact computes, in words: those of each node
// begin with one that says how many follow, so that no two expressions have the
// same ones. It is hashed while it is written.
type key struct {
	words []uint64
	hash  uint64
}

func (k *key) reset() { k.words, k.hash = k.words[:0], 0 }

func (k *key) word(w uint64) {
	const k1, k2 = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
	high, low := bits.Mul64(k.hash^w^k1, k2)
	k.hash = high ^ low
	k.words = append(k.words, w)
}

// node begins a node of so many arguments, and of so many of something else.
func (k *key) node(n *check.Node, others int) {
	k.word(uint64(n.Op) | uint64(n.Type.Kind)<<8 | uint64(len(n.Args))<<16 | uint64(others)<<32)
}

// text writes a text whose length is written.
func (k *key) text(s string) {
	for i := 0; i+8 < len(s); i += 8 {
		k.word(load64(s[i:]))
	}
	first, last := textEnds(s)
	if len(s) < 8 {
		last = first | last<<32
	}
	k.word(last)
}

// key writes what an expression of the fact computes, so that equal ones share
// their value. It is valid until the next call. ok is false for what belongs
// to elements of a list, or has no short form.
func (b *parts) key(n *check.Node) (k *key, ok bool) {
	b.written.reset()
	return &b.written, b.appendKey(n, 1)
}

// appendKey takes the depths whose elements the expression itself names, and
// that of the fact, as bits.
func (b *parts) appendKey(n *check.Node, bound uint) bool {
	k := &b.written
	switch n.Op {
	case check.Const:
		k.constant(n)
		return true
	case check.Field:
		k.word(uint64(n.Op) | uint64(n.Type.Kind)<<8 | uint64(n.Depth)<<16 | uint64(n.Slot)<<32)
		return bound&(1<<n.Depth) != 0
	case check.Any, check.All:
		k.node(n, n.Depth)
		return b.appendKey(n.Args[0], bound) && b.appendKey(n.Args[1], bound|1<<n.Depth)
	case check.Matches:
		k.node(n, int(b.regexRef(n.Regex)))
	case check.Hour, check.Weekday, check.Day, check.Month:
		zone := n.Zone.String()
		k.node(n, len(zone))
		k.text(zone)
	case check.Convert:
		k.node(n, len(n.Value.S))
		k.text(n.Value.S)
	case check.InList:
		k.node(n, int(b.listRef(n.List)))
	case check.InNets:
		k.node(n, len(n.Nets))
		for _, prefix := range n.Nets {
			address := prefix.Addr().As16()
			k.word(binary.LittleEndian.Uint64(address[:8]))
			k.word(binary.LittleEndian.Uint64(address[8:]))
			k.word(uint64(prefix.Bits())<<1 | uint64(flagValue(prefix.Addr().Is4())))
		}
	case check.InInts, check.InStrings:
		if len(n.Ints)+len(n.Set) > 0 {
			return false
		}
		k.node(n, 0)
	default:
		k.node(n, 0)
	}
	for _, arg := range n.Args {
		if !b.appendKey(arg, bound) {
			return false
		}
	}
	return true
}

// constant writes a constant: most are small numbers, of one word.
func (k *key) constant(n *check.Node) {
	v := &n.Value
	head := uint64(n.Op) | uint64(n.Type.Kind)<<8
	if v.S == "" && 0 <= v.N && v.N <= math.MaxUint32 {
		k.word(head | uint64(v.N)<<32)
		return
	}
	k.word(head | 1<<16 | uint64(len(v.S))<<17)
	k.word(uint64(v.N))
	k.text(v.S)
}
