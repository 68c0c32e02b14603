package program

import (
	"slices"

	"github.com/backlot-video/backlot/services/rules/fact"
)

// cells masks a number: each cell of the numbers has the positions that a
// number in it may satisfy.
type cells struct {
	locator          // the ends of the cells
	masks   []uint64 // of the cells, one behind the other
	words   int      // of a mask
	float   bool
	money   bool
	unit    string // currency, of money
	single  bool   // each position asks for one span
	above   bool   // some span begins above the least number
	below   bool   // some span ends below the greatest number
}

func (c *cells) mask(f *Frame, _ *Index, s *fact.Slot, base, _ []uint64) []uint64 {
	v, ok := c.value(f, s)
	if !ok {
		return base
	}
	at := c.find(v) * c.words
	return c.masks[at : at+c.words]
}

// alike reports whether two facets take numbers of the same kind.
func (c *cells) alike(other *cells) bool {
	return c.float == other.float && c.money == other.money && c.unit == other.unit
}

// value is a slot's number in the order of the cells.
func (c *cells) value(f *Frame, s *fact.Slot) (v int64, ok bool) {
	if c.float || c.money {
		return c.ordered(f, s)
	}
	return s.N, s.OK
}

// amount is value for amounts in the cells' unit, which most are; ok is false for
// all else. It is short enough to be compiled into where it is called.
func (c *cells) amount(s *fact.Slot) (v int64, ok bool) {
	return s.N, c.money && s.OK && sameText(s.S, c.unit)
}

// ordered is value for numbers that are not in order as they are, or have units.
func (c *cells) ordered(f *Frame, s *fact.Slot) (v int64, ok bool) {
	switch {
	case !s.OK:
		return 0, false
	case c.float:
		return floatOrder(s.N), true
	case !sameText(s.S, c.unit):
		f.Unknown.Currency++
		return 0, false
	}
	return s.N, true
}

// of is the mask of a number.
func (c *cells) of(v int64) *uint64 { return &c.masks[c.find(v)*c.words] }

// newCells makes the cells of spans of numbers. ends are the numbers after
// which what is satisfied changes; exact is false when there are too many of
// them for a cell each.
func newCells(spans []span, base []uint64, words *slab[uint64], sorter *sorter) (c *cells, exact bool) {
	ends := sorter.empty(2*len(spans) + 1)
	for _, s := range spans { // most have one end
		if s.low > minInt {
			ends = append(ends, s.low-1)
		}
		if s.high < maxInt {
			ends = append(ends, s.high)
		}
	}
	ends = slices.Compact(append(sorter.sort(ends), maxInt))
	exact = true
	if most := mostCells(len(base)); len(ends) > most {
		exact = false
		kept := ends[:0]
		for i := range most {
			kept = append(kept, ends[(i+1)*len(ends)/most-1])
		}
		ends = kept
	}
	n := len(base)
	c = &cells{locator: newLocator(ends), masks: words.cut(n * len(ends)), words: n, single: true}
	for i, s := range spans {
		c.single = c.single && (i == 0 || spans[i-1].position != s.position)
		c.above, c.below = c.above || s.low > minInt, c.below || s.high < maxInt
	}
	if c.single {
		c.fillSingle(spans, base)
	} else {
		c.fill(spans, base)
	}
	return c, exact
}

// mostCells is how many cells there are, at most, with masks of so many words.
func mostCells(words int) int { return max(leastCells, cellWords/words) }

func (c *cells) fill(spans []span, base []uint64) {
	for i := 0; i < len(c.masks); i += c.words {
		copy(c.masks[i:], base)
	}
	for _, s := range spans {
		word, bit := int(s.position>>6), uint64(1)<<(s.position&63)
		for i, last := c.find(s.low), c.find(s.high); i <= last; i++ {
			c.masks[i*c.words+word] |= bit
		}
	}
}

// fillSingle is fill where no position has two spans: it notes where they begin
// and end, and then what is so in each cell.
func (c *cells) fillSingle(spans []span, base []uint64) {
	n := c.words
	copy(c.masks, base) // in which none of these positions is
	for _, s := range spans {
		word, bit := int(s.position>>6), uint64(1)<<(s.position&63)
		c.masks[c.find(s.low)*n+word] ^= bit
		if behind := (c.find(s.high) + 1) * n; behind < len(c.masks) {
			c.masks[behind+word] ^= bit
		}
	}
	for i := n; i < len(c.masks); i++ {
		c.masks[i] ^= c.masks[i-n]
	}
}

// keyed masks a text by looking it up.
type keyed struct {
	keys textMap // 1 + index in sets
	keySets
}

func (k *keyed) mask(_ *Frame, _ *Index, s *fact.Slot, base, union []uint64) []uint64 {
	if s.OK {
		if at := k.keys.get(s.S); at > 0 {
			return k.sets[at-1].join(base, base, union)
		}
	}
	return base
}

// keySets are the positions of keys.
type keySets struct {
	sets   []keySet
	masked bool    // they have masks
	count  int     // while it is built: of sets
	filed  []filed // while it is built: what has come
}

// filed is a position that was filed under the key of a set.
type filed struct{ set, position int32 }

// keySet is the positions of one key: a mask with base where there are few
// keys, else only their numbers.
type keySet struct {
	mask      []uint64
	positions []int32
}

// join adds the set to the mask found so far, which is base at first.
func (k *keySet) join(current, base, union []uint64) []uint64 {
	first := &current[0] == &base[0]
	if first && k.mask != nil {
		return k.mask
	}
	if &current[0] != &union[0] {
		copy(union, current)
	}
	if k.mask == nil {
		for _, position := range k.positions {
			union[position>>6] |= 1 << (position & 63)
		}
		return union
	}
	m := k.mask[:len(union)]
	for w := range union {
		union[w] |= m[w]
	}
	return union
}

// seal gives the sets their positions: as masks where there are few sets. It
// returns the memory of what was filed.
func (k *keySets) seal(base []uint64, words *slab[uint64]) []filed {
	all := k.filed
	k.filed, k.sets, k.masked = nil, make([]keySet, k.count), k.count <= maxKeyMasks
	if !k.masked {
		k.list(all)
		return all
	}
	for i := range k.sets {
		k.sets[i].mask = words.cut(len(base))
		copy(k.sets[i].mask, base)
	}
	for _, f := range all {
		k.sets[f.set].mask[f.position>>6] |= 1 << (f.position & 63)
	}
	return all
}

// list gives the sets their positions as they came, one behind the other in
// common memory.
func (k *keySets) list(all []filed) {
	counts := make([]int32, len(k.sets))
	for _, f := range all {
		counts[f.set]++
	}
	left := make([]int32, len(all))
	for i, n := range counts {
		k.sets[i].positions, left = left[:0:n], left[n:]
	}
	for _, f := range all {
		set := &k.sets[f.set]
		if n := len(set.positions); n == 0 || set.positions[n-1] != f.position {
			set.positions = append(set.positions, f.position)
		}
	}
}

// file files a position under a key, and reports whether the key is new.
func (k *keySets) file(keys *textMap, key textSlot, text string, position int32) bool {
	at, added := keys.number(key, text)
	if added {
		k.count++
	}
	k.filed = append(k.filed, filed{at - 1, position})
	return added
}

// fragments masks a text by the three-byte pieces that it holds.
type fragments struct {
	known [fragmentSlots / 64]uint64 // a bit for each of sets that is not 0
	sets  [fragmentSlots]int32       // 1 + index in of
	of    [][]int32                  // positions
	texts textMap                    // while it is built: 1 + their pieces
}

const (
	fragmentBytes = 3
	fragmentBits  = 12
	fragmentSlots = 1 << fragmentBits
)

func fragmentHash(a, b, c byte) uint32 {
	return (uint32(a) | uint32(b)<<8 | uint32(c)<<16) * 0x9E3779B1 >> (32 - fragmentBits)
}

func (g *fragments) mask(_ *Frame, _ *Index, s *fact.Slot, base, union []uint64) []uint64 {
	current, text := base, s.S
	if !s.OK || len(text) < fragmentBytes {
		return base
	}
	a, b := text[0], text[1]
	for _, c := range []byte(text[2:]) {
		h := fragmentHash(a, b, c)
		if a, b = b, c; g.known[h>>6]>>(h&63)&1 == 0 {
			continue
		}
		if &current[0] == &base[0] {
			copy(union, base)
			current = union
		}
		for _, position := range g.of[g.sets[h]-1] {
			union[position>>6] |= 1 << (position & 63)
		}
	}
	return current
}

// add files a position under a piece of a text: equal texts have the same one,
// so that few pieces are found in what is judged.
func (g *fragments) add(text string, position int32) {
	piece := g.texts.get(text)
	if piece == 0 {
		piece = 1 + int32(g.rarest(text))
		g.texts.put(text, piece)
	}
	slot := piece - 1
	if g.sets[slot] == 0 {
		g.of = append(g.of, nil)
		g.sets[slot] = int32(len(g.of))
		g.known[slot>>6] |= 1 << (slot & 63)
	}
	at := g.sets[slot] - 1
	g.of[at] = append(g.of[at], position)
}

// rarest is the piece of a text that fewest positions are filed under.
func (g *fragments) rarest(text string) uint32 {
	best, fewest := uint32(0), -1
	for i := 0; i+fragmentBytes <= len(text); i++ {
		h := fragmentHash(text[i], text[i+1], text[i+2])
		count := 0
		if at := g.sets[h]; at > 0 {
			count = len(g.of[at-1])
		}
		if fewest < 0 || count < fewest {
			best, fewest = h, count
		}
	}
	return best
}

// decider masks by the outcome of a test.
type decider struct {
	pc  int32
	yes []uint64 // base and the positions that want the test to hold
}

func (d *decider) mask(f *Frame, x *Index, _ *fact.Slot, base, _ []uint64) []uint64 {
	if x.code.run(f, d.pc) {
		return d.yes
	}
	return base
}
