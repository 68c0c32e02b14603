package program

import (
	"encoding/binary"

	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// key writes what an expression of the fact computes, so that equal ones share
// their value. It is valid until the next call. ok is false for what belongs
// to elements of a list, or has no short form.
func (b *parts) key(n *check.Node) (key []byte, ok bool) {
	b.buffer = b.buffer[:0]
	ok = b.appendKey(n, 1)
	return b.buffer, ok
}

// appendKey takes the depths whose elements the expression itself names, and
// that of the fact, as bits.
func (b *parts) appendKey(n *check.Node, bound uint) bool {
	b.buffer = append(b.buffer, byte(n.Op), byte(n.Type.Kind))
	switch n.Op {
	case check.Const:
		b.number(n.Value.N)
		b.text(n.Value.S)
		return true
	case check.Field:
		if bound&(1<<n.Depth) == 0 {
			return false
		}
		b.number(int64(n.Slot))
		b.buffer = append(b.buffer, byte(n.Depth))
		return true
	case check.Any, check.All:
		return b.appendKey(n.Args[0], bound) && b.appendKey(n.Args[1], bound|1<<n.Depth)
	case check.Matches:
		b.number(int64(b.regexRef(n.Regex)))
	case check.Hour, check.Weekday, check.Day, check.Month:
		b.text(n.Zone.String())
	case check.Convert:
		b.text(n.Value.S)
	case check.InList:
		b.number(int64(b.listRef(n.List)))
	case check.InNets:
		for _, prefix := range n.Nets {
			address := prefix.Addr().As16()
			b.buffer = append(append(b.buffer, address[:]...), byte(prefix.Bits()), byte(flagValue(prefix.Addr().Is4())))
		}
	case check.InInts, check.InStrings:
		if len(n.Ints)+len(n.Set) > 0 {
			return false
		}
	default:
	}
	for _, arg := range n.Args {
		if !b.appendKey(arg, bound) {
			return false
		}
	}
	return true
}

func (b *parts) number(v int64) { b.buffer = binary.AppendVarint(b.buffer, v) }

func (b *parts) text(s string) {
	b.number(int64(len(s)))
	b.buffer = append(b.buffer, s...)
}
