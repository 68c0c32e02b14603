package program

import (
	"strings"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/pattern"
	"github.com/backlot-video/backlot/services/rules/list"
)

// Where a branch ends.
const (
	accept int32 = -1
	reject int32 = -2
)

// opcode is what a test does. Unless told otherwise it compares the slot with
// a constant and is false where the slot is missing.
type opcode uint8

const (
	opFlag  opcode = iota // N == n
	opIntEq               // N against n
	opIntNe
	opIntLt
	opIntLe
	opIntGt
	opIntGe
	opIntIn  // n <= N <= high()
	opFloat  // the same six by how, floats
	opMoney  // the same six by how, currency text
	opTextEq // S == text
	opTextNe
	opText    // S against text by how: the six, or a string test
	opPrefix  // want
	opSuffix  // want
	opPresent // OK is want
	opDerive  // no test: makes derived slot ref ready, then goes to yes
	opInts    // want: N in the set ref
	opTexts   // want: S in the set ref
	opSlow    // from here on: worth remembering
	opAny     // some element of the list accepts the body ref, or (want false) all do
	opContains
	opMatches
	opList
	opNets
	opCond // the closure ref
)

// test is one branch: it asks for a value and goes on at yes or no. Code is
// laid out so that successors stand before their predecessors. There are some ten
// thousands of them, two to a cache line.
type test struct {
	op      opcode
	how     uint8 // a check.Op
	want    bool
	depth   uint8
	slot    int32
	yes, no int32
	ref     int32 // of opcodes with a text or a table; the body of opAny
	memo    int32 // where a slow test's outcome is remembered for the event, 0: nowhere
	n       int64
}

// setHigh makes a number the upper bound of opIntIn, which has no table and is
// not remembered.
func (t *test) setHigh(v int64) { t.ref, t.memo = int32(v), int32(v>>32) }

// high is the upper bound of opIntIn.
func (t *test) high() int64 { return int64(t.memo)<<32 | int64(uint32(t.ref)) }

// Code is the branch programs of all rules of a set, and what they refer to.
// It is immutable once built and safe for concurrent use.
type Code struct {
	tests   []test
	strings []string
	ints    []intSet
	texts   []textSet
	regexes []*pattern.Pattern
	lists   []*list.Ref
	nets    []nets
	conds   []Cond
	derived []derivation
	memos   int // number of remembered outcomes, from 1
}

// run follows branches from pc to an end.
func (c *Code) run(f *Frame, pc int32) bool {
	slots := f.Record.Slots
	for pc >= 0 {
		t := &c.tests[pc]
		s := &slots[f.bases[t.depth]+int(t.slot)]
		var ok bool
		switch t.op {
		case opFlag, opIntEq:
			ok = s.OK && s.N == t.n
		case opIntNe:
			ok = s.OK && s.N != t.n
		case opIntLt:
			ok = s.OK && s.N < t.n
		case opIntLe:
			ok = s.OK && s.N <= t.n
		case opIntGt:
			ok = s.OK && s.N > t.n
		case opIntGe:
			ok = s.OK && s.N >= t.n
		case opIntIn:
			ok = s.OK && t.n <= s.N && s.N <= t.high()
		case opFloat:
			ok = s.OK && compareFloat(t.how, slotFloat(s), t.n)
		case opMoney:
			ok = s.OK && f.moneyTest(t, c.strings[t.ref], s)
		case opTextEq:
			ok = s.OK && s.S == c.strings[t.ref]
		case opTextNe:
			ok = s.OK && s.S != c.strings[t.ref]
		case opText:
			ok = s.OK && ordered(t.how, strings.Compare(s.S, c.strings[t.ref]))
		case opPrefix:
			ok = s.OK && strings.HasPrefix(s.S, c.strings[t.ref]) == t.want
		case opSuffix:
			ok = s.OK && strings.HasSuffix(s.S, c.strings[t.ref]) == t.want
		case opPresent:
			ok = s.OK == t.want
		case opDerive:
			f.ready(c, t.ref)
			ok = true
		case opInts:
			ok = s.OK && c.ints[t.ref].has(s.N) == t.want
		case opTexts:
			ok = s.OK && c.texts[t.ref].has(s.S) == t.want
		case opAny:
			if t.memo == 0 {
				ok = s.OK && c.quantify(f, t, s)
				break
			}
			fallthrough
		default:
			if t.memo > 0 && f.memos[t.memo]>>1 == f.epoch {
				ok = f.memos[t.memo]&1 != 0
			} else {
				ok = (s.OK || t.op == opCond) && c.slow(f, t, s)
			}
		}
		if ok {
			pc = t.yes
		} else {
			pc = t.no
		}
	}
	return pc == accept
}

// quantify runs the body of any or all for the elements of a list.
func (c *Code) quantify(f *Frame, t *test, elements *fact.Slot) bool {
	depth := t.n
	for at := elements.First(); at != 0; at = int(f.Record.Slots[at].N) {
		f.bases[depth] = at + 1
		if c.run(f, t.ref) == t.want {
			return t.want
		}
	}
	return !t.want
}

// slow runs a test whose outcome other rules of the set may need too, and
// remembers it for them.
func (c *Code) slow(f *Frame, t *test, s *fact.Slot) bool {
	ok := c.slowTest(f, t, s)
	if t.memo > 0 {
		outcome := f.epoch << 1
		if ok {
			outcome |= 1
		}
		f.memos[t.memo] = outcome
	}
	return ok
}

func (c *Code) slowTest(f *Frame, t *test, s *fact.Slot) bool {
	switch t.op {
	case opAny:
		return c.quantify(f, t, s)
	case opContains:
		return strings.Contains(s.S, c.strings[t.ref]) == t.want
	case opMatches:
		return c.regexes[t.ref].MatchString(s.S) == t.want
	case opList:
		return f.inList(c.lists[t.ref], t, s) == t.want
	case opNets:
		return c.nets[t.ref].has(f.addressOf(t, s)) == t.want
	default:
		return c.conds[t.ref](f)
	}
}

// inList is `in list`. The list may be swapped between events.
func (f *Frame) inList(ref *list.Ref, t *test, s *fact.Slot) bool {
	current := ref.Get()
	if current.HasText(s.S) {
		return true
	}
	if !current.HasRanges() {
		return false
	}
	address, ok := f.addressOf(t, s)
	return ok && current.HasAddr(address)
}
