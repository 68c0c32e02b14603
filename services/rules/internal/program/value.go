package program

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
)

func slotFloat(s *fact.Slot) float64 { return floatOf(s.N) }

func floatOf(bits int64) float64 { return math.Float64frombits(uint64(bits)) }

// ints compiles a value kept in N: whole numbers, durations, times, enums.
func ints(n *check.Node) func(*Frame) (int64, bool) {
	if terms := sums(n); terms != nil {
		return func(f *Frame) (int64, bool) { v, _, ok := f.sum(terms); return v, ok }
	}
	switch n.Op {
	case check.Const:
		v := n.Value.N
		return func(*Frame) (int64, bool) { return v, true }
	case check.Field:
		depth, slot := n.Depth, n.Slot
		if depth == 0 {
			return func(f *Frame) (int64, bool) { s := &f.Record.Slots[slot]; return s.N, s.OK }
		}
		return func(f *Frame) (int64, bool) { s := f.slot(depth, slot); return s.N, s.OK }
	case check.Default:
		a, b := ints(n.Args[0]), ints(n.Args[1])
		return func(f *Frame) (int64, bool) {
			if v, ok := a(f); ok {
				return v, true
			}
			return b(f)
		}
	case check.Hour, check.Weekday, check.Day, check.Month:
		return calendar(n)
	case check.Length:
		return length(n.Args[0])
	case check.Neg, check.Abs:
		return intUnary(n.Op, ints(n.Args[0]))
	default:
	}
	return intBinary(n.Op, ints(n.Args[0]), ints(n.Args[1]))
}

// intUnary is -a or abs(a); the least int64 has neither.
func intUnary(op check.Op, a func(*Frame) (int64, bool)) func(*Frame) (int64, bool) {
	return func(f *Frame) (int64, bool) {
		v, ok := a(f)
		if !ok || op == check.Abs && v >= 0 {
			return v, ok
		}
		return -v, f.fits(v != math.MinInt64)
	}
}

func intBinary(op check.Op, a, b func(*Frame) (int64, bool)) func(*Frame) (int64, bool) {
	operate := intOperation(op)
	return func(f *Frame) (int64, bool) {
		x, ok := a(f)
		if !ok {
			return 0, false
		}
		y, ok := b(f)
		if !ok {
			return 0, false
		}
		v, ok := operate(x, y)
		return v, f.fits(ok)
	}
}

// fits counts a result that is out of range.
func (f *Frame) fits(ok bool) bool {
	if !ok {
		f.Unknown.Overflow++
	}
	return ok
}

// intOperation is checked arithmetic; ok is false where the result does not
// fit or the divisor is zero. Division truncates towards zero.
func intOperation(op check.Op) func(x, y int64) (int64, bool) {
	switch op {
	case check.Add:
		return func(x, y int64) (int64, bool) { v := x + y; return v, (v > x) == (y > 0) }
	case check.Sub:
		return func(x, y int64) (int64, bool) { v := x - y; return v, (v < x) == (y > 0) }
	case check.Mul:
		return func(x, y int64) (int64, bool) {
			if x == 0 || y == 0 {
				return 0, true
			}
			v := x * y
			least := x == -1 && y == math.MinInt64 || y == -1 && x == math.MinInt64
			return v, !least && v/y == x
		}
	case check.Div:
		return func(x, y int64) (int64, bool) {
			if y == 0 || x == math.MinInt64 && y == -1 {
				return 0, false
			}
			return x / y, true
		}
	case check.Mod:
		return func(x, y int64) (int64, bool) {
			if y == 0 || y == -1 {
				return 0, y != 0
			}
			return x % y, true
		}
	case check.Min:
		return func(x, y int64) (int64, bool) { return min(x, y), true }
	default:
	}
	return func(x, y int64) (int64, bool) { return max(x, y), true }
}

func length(n *check.Node) func(*Frame) (int64, bool) {
	if n.Type.Kind == fact.String {
		value := texts(n)
		return func(f *Frame) (int64, bool) {
			s, ok := value(f)
			return int64(utf8.RuneCountInString(s)), ok
		}
	}
	depth, slot := n.Depth, n.Slot
	return func(f *Frame) (int64, bool) {
		list := f.slot(depth, slot)
		count := int64(0)
		for at := list.First(); at != 0; at = int(f.Record.Slots[at].N) {
			count++
		}
		return count, list.OK
	}
}

// floats compiles a decimal. What is not finite is unknown.
func floats(n *check.Node) func(*Frame) (float64, bool) {
	switch n.Op {
	case check.Const:
		v := slotFloat(&n.Value)
		return func(*Frame) (float64, bool) { return v, true }
	case check.Field:
		depth, slot := n.Depth, n.Slot
		return func(f *Frame) (float64, bool) { s := f.slot(depth, slot); return slotFloat(s), s.OK }
	case check.ToFloat:
		a := ints(n.Args[0])
		return func(f *Frame) (float64, bool) { v, ok := a(f); return float64(v), ok }
	case check.Default:
		a, b := floats(n.Args[0]), floats(n.Args[1])
		return func(f *Frame) (float64, bool) {
			if v, ok := a(f); ok {
				return v, true
			}
			return b(f)
		}
	case check.Neg:
		a := floats(n.Args[0])
		return func(f *Frame) (float64, bool) { v, ok := a(f); return -v, ok }
	case check.Abs:
		a := floats(n.Args[0])
		return func(f *Frame) (float64, bool) { v, ok := a(f); return math.Abs(v), ok }
	default:
	}
	if n.Args[0].Type.Kind != fact.Float {
		return ratio(n)
	}
	return floatBinary(n)
}

func floatBinary(n *check.Node) func(*Frame) (float64, bool) {
	a, b, op := floats(n.Args[0]), floats(n.Args[1]), n.Op
	return func(f *Frame) (v float64, ok bool) {
		x, ok := a(f)
		if !ok {
			return 0, false
		}
		y, ok := b(f)
		if !ok {
			return 0, false
		}
		switch op {
		case check.Add:
			v = x + y
		case check.Sub:
			v = x - y
		case check.Mul:
			v = x * y
		case check.Div:
			v = x / y
		case check.Min:
			v = min(x, y)
		default:
			v = max(x, y)
		}
		return v, f.fits(!math.IsNaN(v) && !math.IsInf(v, 0))
	}
}

// ratio is money by money or duration by duration.
func ratio(n *check.Node) func(*Frame) (float64, bool) {
	a, b := amounts(n.Args[0]), amounts(n.Args[1])
	return func(f *Frame) (float64, bool) {
		x, currency, ok := a(f)
		if !ok {
			return 0, false
		}
		y, other, ok := b(f)
		if !ok || !f.sameCurrency(currency, other) {
			return 0, false
		}
		return float64(x) / float64(y), f.fits(y != 0)
	}
}

func (f *Frame) sameCurrency(a, b string) bool {
	if a != b {
		f.Unknown.Currency++
	}
	return a == b
}

// texts compiles a string.
func texts(n *check.Node) func(*Frame) (string, bool) {
	switch n.Op {
	case check.Const:
		v := n.Value.S
		return func(*Frame) (string, bool) { return v, true }
	case check.Default:
		a, b := texts(n.Args[0]), texts(n.Args[1])
		return func(f *Frame) (string, bool) {
			if v, ok := a(f); ok {
				return v, true
			}
			return b(f)
		}
	case check.Lower:
		a := texts(n.Args[0])
		return func(f *Frame) (string, bool) {
			s, ok := a(f)
			if !ok {
				return "", false
			}
			return f.lower(s), true
		}
	default:
	}
	depth, slot := n.Depth, n.Slot
	if depth == 0 {
		return func(f *Frame) (string, bool) { s := &f.Record.Slots[slot]; return s.S, s.OK }
	}
	return func(f *Frame) (string, bool) { s := f.slot(depth, slot); return s.S, s.OK }
}

// lower maps s to lower case, in the frame's own memory.
func (f *Frame) lower(s string) string {
	if strings.IndexFunc(s, unicode.IsUpper) < 0 {
		return s
	}
	begin := len(f.scratch)
	for _, r := range s {
		f.scratch = utf8.AppendRune(f.scratch, unicode.ToLower(r))
	}
	lowered := f.scratch[begin:]
	return unsafe.String(unsafe.SliceData(lowered), len(lowered))
}
