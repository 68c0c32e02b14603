package program

import "slices"

// form tells facets apart that are so common that they are looked at without
// calls through masker.
type form uint8

const (
	formAny    form = iota // through masker
	formEvery              // all elements must satisfy
	formNumber             // a number of the fact
	formCount              // a number of which few differ, without unit
	formText               // a text of the fact; its keys have masks
	formPairs              // elements: a text whose keys have masks, and a number
	formGrid               // two numbers of the fact
	formBeside             // all elements: looked at beside a formPairs
)

// shape finds the facet's form. Its slots must be known.
func (a *facet) shape() {
	l := &a.looks[0]
	a.slot = l.slot
	switch k := l.masker.(type) {
	case *cells:
		a.cells, a.form = k, formNumber
		if k.even && !k.float && !k.money {
			a.form = formCount
		}
	case *keyed:
		if k.masked {
			a.keyed, a.form = k, formText
		}
	case *grid:
		a.grid, a.form = k, formGrid
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

// pairUp lets facets of pairs look at what all elements must satisfy of the same
// number, too.
func (x *Index) pairUp() {
	for i := range x.facets {
		for j := range x.facets {
			a, b := &x.facets[i], &x.facets[j]
			if a.form != formPairs || b.form != formEvery || a.list != b.list || len(b.looks) > 1 {
				continue
			}
			l := &b.looks[0]
			if c, ok := l.masker.(*cells); ok && c.single && l.slot == a.number && c.alike(a.cells) {
				a.beside, b.form = &numberLook{c, l.slot, l.base}, formBeside
			}
		}
	}
}

// numberLook is a facet of a number, which is one of the fact if nothing else is
// told.
type numberLook struct {
	*cells
	slot int32
	base []uint64
}

// textLook is a facet of a text of the fact whose keys have masks.
type textLook struct {
	*keyed
	slot int32
	base []uint64
}

// gridLook is a facet of two numbers of the fact.
type gridLook struct {
	*grid
	base []uint64
}

// sortForms puts facets of one form together: what is done for one after the
// other is alike, so that a processor can predict it.
func (x *Index) sortForms() {
	for i := range x.facets {
		a := &x.facets[i]
		if a.derived > 0 {
			x.derived = append(x.derived, a.derived-1)
		}
		switch a.form {
		case formCount:
			x.counts = append(x.counts, numberLook{a.cells, a.slot, a.base})
		case formNumber:
			x.numbers = append(x.numbers, numberLook{a.cells, a.slot, a.base})
		case formGrid:
			x.grids = append(x.grids, gridLook{a.grid, a.base})
		case formText:
			x.texts = append(x.texts, textLook{a.keyed, a.slot, a.base})
		case formBeside:
		default:
			x.others = append(x.others, int32(i))
		}
	}
}

// candidates is what no facet excludes: the positions in left of the frame's
// sieve.
func (x *Index) candidates(f *Frame) {
	sieve, slots := &f.sieve, f.Record.Slots
	sieve.begin(x.all)
	for _, number := range x.derived {
		f.ready(x.code, number)
	}
	for i := range x.counts {
		n := &x.counts[i]
		m := &n.base[0]
		if s := &slots[n.slot]; s.OK {
			m = &n.masks[n.findEven(s.N)*n.words]
		}
		sieve.add(m)
	}
	for i := range x.numbers {
		n := &x.numbers[i]
		m := &n.base[0]
		s := &slots[n.slot]
		v, ok := n.amount(s)
		if !ok {
			v, ok = n.value(f, s)
		}
		if ok {
			m = n.of(v)
		}
		sieve.add(m)
	}
	for i := range x.grids {
		g := &x.grids[i]
		sieve.add(&g.of(slots, g.base)[0])
	}
	for i := range x.texts {
		t := &x.texts[i]
		m := &t.base[0]
		if s := &slots[t.slot]; s.OK {
			if at := t.keys.get(s.S); at > 0 {
				m = &t.sets[at-1].mask[0]
			}
		}
		sieve.add(m)
	}
	for _, i := range x.others {
		a := &x.facets[i]
		switch a.form {
		case formEvery:
			a.sift(f, x, sieve)
		case formPairs:
			sieve.add(a.lookPairs(f, f.unions[a.union]))
		default:
			sieve.add(&a.look(f, x, f.unions[a.union])[0])
		}
	}
	sieve.flush()
}

// lookPairs joins what the text and the number of single elements satisfy, and
// sifts by what all numbers must.
func (a *facet) lookPairs(f *Frame, joined []uint64) *uint64 {
	slots, c := f.Record.Slots, a.cells
	elements := &slots[a.list]
	if !elements.OK {
		if a.beside != nil {
			f.sieve.add(&a.beside.base[0])
		}
		return &a.base[0]
	}
	joint := &f.joint
	joint.joined = joined
	copy(joined, a.base)
	least, all := int64(c.origin^sign), newReach()
	for at := elements.First(); at != 0; at = int(slots[at].N) {
		m, n := &a.texts[0], &a.numbers[0]
		s := &slots[at+1+int(a.number)]
		v, ok := c.amount(s)
		if !ok {
			v, ok = c.value(f, s)
		}
		if all.add(v, ok); ok {
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
	if a.beside != nil {
		a.beside.siftReach(&all, a.beside.base, &f.sieve)
	}
	return &joined[0]
}
