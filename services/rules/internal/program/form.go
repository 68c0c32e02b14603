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
		if k.masked {
			a.keyed, a.form = k, formText
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

// candidates is what no facet excludes: the positions in left of the frame's
// sieve.
func (x *Index) candidates(f *Frame) {
	sieve, slots := &f.sieve, f.Record.Slots
	sieve.begin(x.all)
	for i := range x.facets {
		a := &x.facets[i]
		if a.derived > 0 {
			f.ready(x.code, a.derived-1)
		}
		m := &a.base[0]
		switch a.form {
		case formEvery:
			a.sift(f, x, sieve)
			continue
		case formNumber:
			if v, ok := a.cells.value(f, &slots[a.slot]); ok {
				m = a.cells.of(v)
			}
		case formText:
			if s := &slots[a.slot]; s.OK {
				if at := a.keyed.keys.get(s.S); at > 0 {
					m = &a.keyed.sets[at-1].mask[0]
				}
			}
		case formPairs:
			m = a.lookPairs(f, f.unions[a.union])
		default:
			m = &a.look(f, x, f.unions[a.union])[0]
		}
		sieve.add(m)
	}
	sieve.flush()
}

// lookPairs joins what the text and the number of single elements satisfy.
func (a *facet) lookPairs(f *Frame, joined []uint64) *uint64 {
	slots, c := f.Record.Slots, a.cells
	elements := &slots[a.list]
	if !elements.OK {
		return &a.base[0]
	}
	joint := &f.joint
	joint.joined = joined
	copy(joined, a.base)
	least := c.ends[0]
	for at := elements.First(); at != 0; at = int(slots[at].N) {
		m, n := &a.texts[0], &a.numbers[0]
		if v, ok := c.value(f, &slots[at+1+int(a.number)]); ok {
			if a.both && v <= least {
				continue
			}
			n = c.of(v)
		}
		if s := &slots[at+1+int(a.slot)]; s.OK {
			if key := a.keyed.keys.get(s.S); key > 0 {
				m = &a.keyed.sets[key-1].mask[0]
			}
		}
		joint.add(m, n)
	}
	joint.flush()
	return &joined[0]
}
