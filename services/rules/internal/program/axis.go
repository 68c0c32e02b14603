package program

import (
	"math"
	"slices"
	"strings"

	"github.com/backlot-video/backlot/services/rules/fact"
)

// posting sends to the rest of a rule. Postings of one key are a chain.
type posting struct {
	entry int32 // in the code
	rule  int32
	next  int32 // index of the next posting of its key, 0: none
}

// axis files rules under tests of one value: a slot of the fact, a derived
// value, or a slot of the elements of a list.
type axis struct {
	derived int32 // 1 + its number, 0: none
	list    int32 // slot of the list whose elements are looked at, -1: none
	slot    int32
	float   bool

	absent    int32 // chain of rules that want the value missing
	numbers   *numbers
	amounts   []currencyAxis
	texts     map[string]int32
	prefixes  []affixes
	suffixes  []affixes
	fragments *fragments
	members   []membership
}

type currencyAxis struct {
	currency string
	numbers  *numbers
}

// affixes are the prefixes or suffixes of one length.
type affixes struct {
	length int
	heads  map[string]int32
}

// membership is a test of the value whose outcome leads to a chain.
type membership struct {
	test test
	head int32
}

// numbers files rules under tests of a number.
type numbers struct {
	equal        map[int64]int32
	above, below []bound // above ascending, below descending
	between      []span
	segments     []segment
	wide         []span
}

// bound leads to a rule whose value must be above, or below, at.
type bound struct {
	at int64
	posting
}

// span leads to a rule whose value must be within it, both ends included.
type span struct {
	low, high int64
	posting
}

// segment is a part of the numbers, up to its end, in which the same spans
// hold: postings[first:last] of covering.
type segment struct {
	end      int64
	covering []posting
}

// maxSpread bounds how many segments all spans may cover, for each span.
const maxSpread = 16

// seal makes the numbers ready to be asked.
func (n *numbers) seal() {
	slices.SortFunc(n.above, func(a, b bound) int { return compareInt(a.at, b.at) })
	slices.SortFunc(n.below, func(a, b bound) int { return compareInt(b.at, a.at) })
	if len(n.between) > 0 {
		n.cut()
	}
}

func compareInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// cut turns spans into segments. Those that would cover too many of them are
// looked at one by one.
func (n *numbers) cut() {
	ends := make([]int64, 0, 2*len(n.between)+1)
	for _, s := range n.between {
		if s.low > math.MinInt64 {
			ends = append(ends, s.low-1)
		}
		ends = append(ends, s.high)
	}
	ends = append(ends, math.MaxInt64)
	slices.Sort(ends)
	ends = slices.Compact(ends)
	type reach struct{ first, last int32 }
	reaches := make([]reach, len(n.between))
	counts := make([]int32, len(ends))
	limit := max(maxSpread, len(ends)/8)
	for i, s := range n.between {
		first, _ := slices.BinarySearch(ends, s.low)
		last, _ := slices.BinarySearch(ends, s.high)
		if last-first >= limit {
			n.wide = append(n.wide, s)
			reaches[i] = reach{1, 0}
			continue
		}
		reaches[i] = reach{int32(first), int32(last)}
		for k := first; k <= last; k++ {
			counts[k]++
		}
	}
	n.segments = make([]segment, len(ends))
	total := int32(0)
	for _, c := range counts {
		total += c
	}
	all := make([]posting, total)
	at := int32(0)
	for k := range ends {
		n.segments[k] = segment{ends[k], all[at : at : at+counts[k]]}
		at += counts[k]
	}
	for i, s := range n.between {
		for k := reaches[i].first; k <= reaches[i].last; k++ {
			n.segments[k].covering = append(n.segments[k].covering, s.posting)
		}
	}
	n.between = nil
}

// ask runs the rules filed under what holds of v.
func (n *numbers) ask(f *Frame, x *Index, v int64) {
	if n.equal != nil {
		x.chain(f, n.equal[v])
	}
	for i := range n.above {
		if n.above[i].at >= v {
			break
		}
		x.try(f, &n.above[i].posting)
	}
	for i := range n.below {
		if n.below[i].at <= v {
			break
		}
		x.try(f, &n.below[i].posting)
	}
	if len(n.segments) > 0 {
		covering := n.segments[n.find(v)].covering
		for i := range covering {
			x.try(f, &covering[i])
		}
	}
	for i := range n.wide {
		if s := &n.wide[i]; s.low <= v && v <= s.high {
			x.try(f, &s.posting)
		}
	}
}

// find returns the segment that holds v.
func (n *numbers) find(v int64) int {
	low, high := 0, len(n.segments)-1
	for low < high {
		middle := int(uint(low+high) / 2)
		if n.segments[middle].end < v {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// ask runs the rules filed under what holds of a value.
func (a *axis) ask(f *Frame, x *Index, s *fact.Slot) {
	if !s.OK {
		x.chain(f, a.absent)
		return
	}
	if a.numbers != nil {
		v := s.N
		if a.float {
			v = floatOrder(v)
		}
		a.numbers.ask(f, x, v)
	}
	if len(a.amounts) > 0 {
		a.askAmount(f, x, s)
	}
	if a.texts != nil {
		x.chain(f, a.texts[s.S])
	}
	for i := range a.prefixes {
		if p := &a.prefixes[i]; len(s.S) >= p.length {
			x.chain(f, p.heads[s.S[:p.length]])
		}
	}
	for i := range a.suffixes {
		if p := &a.suffixes[i]; len(s.S) >= p.length {
			x.chain(f, p.heads[s.S[len(s.S)-p.length:]])
		}
	}
	if a.fragments != nil {
		a.fragments.ask(f, x, s.S)
	}
	for i := range a.members {
		m := &a.members[i]
		if x.code.slow(f, &m.test, s) {
			x.chain(f, m.head)
		}
	}
}

func (a *axis) askAmount(f *Frame, x *Index, s *fact.Slot) {
	for i := range a.amounts {
		if a.amounts[i].currency == s.S {
			a.amounts[i].numbers.ask(f, x, s.N)
			return
		}
	}
	f.Unknown.Currency++
}

// fragments files rules under pieces of text that their value must contain.
type fragments struct {
	heads [fragmentSlots]int32 // by hash of three bytes
	short []shortFragment      // less than three bytes
}

type shortFragment struct {
	text string
	head int32
}

const (
	fragmentBytes = 3
	fragmentBits  = 12
	fragmentSlots = 1 << fragmentBits
)

func fragmentHash(a, b, c byte) uint32 {
	return (uint32(a) | uint32(b)<<8 | uint32(c)<<16) * 0x9E3779B1 >> (32 - fragmentBits)
}

func (g *fragments) ask(f *Frame, x *Index, s string) {
	for i := 0; i+fragmentBytes <= len(s); i++ {
		if head := g.heads[fragmentHash(s[i], s[i+1], s[i+2])]; head != 0 {
			x.chain(f, head)
		}
	}
	for i := range g.short {
		if strings.Contains(s, g.short[i].text) {
			x.chain(f, g.short[i].head)
		}
	}
}

// place returns where a rule that needs text is filed: under the three bytes
// that fewest others are.
func (g *fragments) place(text string, lengths []int32) *int32 {
	if len(text) < fragmentBytes {
		for i := range g.short {
			if g.short[i].text == text {
				return &g.short[i].head
			}
		}
		g.short = append(g.short, shortFragment{text: text})
		return &g.short[len(g.short)-1].head
	}
	best := fragmentHash(text[0], text[1], text[2])
	for i := 1; i+fragmentBytes <= len(text); i++ {
		if h := fragmentHash(text[i], text[i+1], text[i+2]); lengths[h] < lengths[best] {
			best = h
		}
	}
	lengths[best]++
	return &g.heads[best]
}
