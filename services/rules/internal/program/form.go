package program

import "slices"

// form tells facets apart that are so common that they are looked at without
// calls through masker.
type form uint8

const (
	formAny    form = iota // through masker
	formEvery              // all elements must satisfy
	formNumber             // a number of the fact
	formText               // a text of the fact; its keys have masks
	formSparse             // a text of the fact; its keys have positions
	formPairs              // elements: a text whose keys have masks, and a number
)

// shape finds the facet's form. Its slots must be known.
func (a *facet) shape() {
	l := &a.looks[0]
	a.slot = l.slot
	switch k := l.masker.(type) {
	case *cells:
		a.cells, a.form = k, formNumber
	case *keyed:
		a.keyed, a.form = k, formSparse
		if k.masked {
			a.form = formText
		}
	default:
	}
	switch {
	case a.every:
		a.form = formEvery
	case a.list >= 0:
		a.form = formAny
		a.shapePairs()
	}
}

func (a *facet) shapePairs() {
	if len(a.looks) != 2 {
		return
	}
	text, number := &a.looks[0], &a.looks[1]
	if _, isText := text.masker.(*keyed); !isText {
		text, number = number, text
	}
	k, isText := text.masker.(*keyed)
	c, isNumber := number.masker.(*cells)
	if !isText || !isNumber || !k.masked {
		return
	}
	a.form, a.keyed, a.cells = formPairs, k, c
	a.slot, a.number = text.slot, number.slot
	a.texts, a.numbers = text.base, number.base
	a.both = slices.Equal(a.texts, a.base) && slices.Equal(a.numbers, a.base) && slices.Equal(c.masks[:c.words], a.base)
}

// candidates is what no facet excludes.
func (x *Index) candidates(f *Frame) []uint64 {
	sieve := sieve{left: f.left[:x.words]}
	copy(sieve.left, x.all)
	for i := range x.facets {
		a := &x.facets[i]
		if a.derived > 0 {
			f.ready(x.code, a.derived-1)
		}
		switch a.form {
		case formEvery:
			a.sift(f, x, &sieve)
		case formNumber:
			m := a.base
			if v, ok := a.cells.value(f, &f.Record.Slots[a.slot]); ok {
				m = a.cells.of(v)
			}
			sieve.add(m)
		case formText:
			m := a.base
			if s := &f.Record.Slots[a.slot]; s.OK {
				if at := a.keyed.keys.get(s.S); at > 0 {
					m = a.keyed.sets[at-1].mask
				}
			}
			sieve.add(m)
		case formSparse:
			a.siftSparse(f, &sieve)
		case formPairs:
			sieve.keep(a.lookPairs(f), false)
		default:
			m := a.look(f, x, f.union)
			sieve.keep(m, &m[0] != &f.union[0])
		}
	}
	sieve.flush()
	return sieve.left
}

// fewPositions is up to how many positions are looked at one by one.
const fewPositions = 8

// siftSparse leaves what a text satisfies: the few positions of its key beside
// those that ask for none.
func (a *facet) siftSparse(f *Frame, s *sieve) {
	var set *keySet
	if text := &f.Record.Slots[a.slot]; text.OK {
		if at := a.keyed.keys.get(text.S); at > 0 {
			set = &a.keyed.sets[at-1]
		}
	}
	if set == nil {
		s.add(a.base)
		return
	}
	if len(set.positions) > fewPositions {
		s.keep(set.join(a.base, a.base, f.union), false)
		return
	}
	var bits [fewPositions]uint64
	for i, position := range set.positions {
		bits[i] = s.left[position>>6] & (1 << (position & 63))
	}
	keep(s.left, a.base)
	for i, position := range set.positions {
		s.left[position>>6] |= bits[i]
	}
}

// lookPairs joins what the text and the number of single elements satisfy.
func (a *facet) lookPairs(f *Frame) []uint64 {
	slots, c := f.Record.Slots, a.cells
	elements := &slots[a.list]
	if !elements.OK {
		return a.base
	}
	joint := joint{joined: f.union}
	copy(joint.joined, a.base)
	least := c.ends[0]
	for at := elements.First(); at != 0; at = int(slots[at].N) {
		m, n := a.texts, a.numbers
		if v, ok := c.value(f, &slots[at+1+int(a.number)]); ok {
			if a.both && v <= least {
				continue
			}
			n = c.of(v)
		}
		if s := &slots[at+1+int(a.slot)]; s.OK {
			if key := a.keyed.keys.get(s.S); key > 0 {
				m = a.keyed.sets[key-1].mask
			}
		}
		joint.add(m, n)
	}
	joint.flush()
	return joint.joined
}
