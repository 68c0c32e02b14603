package column

import (
	"strings"
	"unicode"

	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// textTest is a test of a string, made once for each different value.
type textTest struct {
	slot   int
	test   func(string) bool
	want   bool
	number int // of its table in a State
}

// text compiles a test of a string column, perhaps in lower case.
func (c *compiler) text(n *check.Node, want bool, test func(string) bool) cond {
	if n.Op == check.Lower && column(n.Args[0]) {
		inner := test
		n, test = n.Args[0], func(s string) bool { return inner(lower(s)) }
	}
	if !column(n) {
		return nil
	}
	t := &textTest{slot: n.Slot, test: test, want: want, number: c.tables}
	c.tables++
	return t
}

func (t *textTest) cost() int { return 8 }

// table remembers what a test said of the values of a dictionary.
type table struct {
	dict  *Dict
	known []uint8            // by code: 0 or 1, or untested
	ready int                // below it nothing is untested
	held  int                // how many of these are 1
	ones  [tableWords]uint32 // the first of these again, as bits
}

const (
	untested   = 2
	tableWords = 16 // as many as a vector register has
)

// eager is up to how many new values are tested ahead of being met.
const eager = 256

func (t *textTest) eval(s *State, b *Batch, sel, out Bits) {
	c := &b.Cols[t.slot]
	mark := len(s.bits)
	known := s.present(c, sel)
	flip := uint64(0)
	if !t.want {
		flip = ^flip
	}
	switch table := s.tableOf(t, &c.S); {
	case table.ready == len(table.known) && table.held == table.ready:
		constant(t.want).eval(s, b, known, out)
	case table.ready == len(table.known) && table.held == 0:
		constant(!t.want).eval(s, b, known, out)
	case table.ready == len(table.known):
		table.codes(c.S.Codes, flip, known, out)
	default:
		rows(known, out, func(row int) bool {
			code := c.S.Codes[row]
			if table.known[code] == untested {
				table.known[code] = truth(t.test(c.S.Values[code]))
			}
			return (table.known[code] == 1) == t.want
		})
	}
	s.bits = s.bits[:mark]
}

// tableOf returns the table of a test for a dictionary. A few new values are
// tested at once.
func (s *State) tableOf(t *textTest, text *Text) *table {
	known := &s.tables[t.number]
	if known.dict != text.Dict {
		*known = table{dict: text.Dict, known: known.known[:0]}
	}
	for len(known.known) < len(text.Values) {
		known.known = append(known.known, untested)
	}
	if len(known.known)-known.ready > eager {
		return known
	}
	for code := known.ready; code < len(known.known); code++ {
		if known.known[code] == untested {
			known.known[code] = truth(t.test(text.Values[code]))
		}
		held := known.known[code]
		known.held += int(held)
		if code < 32*tableWords {
			known.ones[code/32] |= uint32(held) << (code % 32)
		}
	}
	known.ready = len(known.known)
	return known
}

func truth(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// lower maps s to lower case as package program does.
func lower(s string) string {
	if strings.IndexFunc(s, unicode.IsUpper) < 0 {
		return s
	}
	return strings.Map(unicode.ToLower, s)
}
