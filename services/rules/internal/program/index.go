package program

import (
	"math/bits"
)

// Index finds the rules that a fact can fire. It is immutable once built and
// safe for concurrent use.
type Index struct {
	code     *Code
	rules    int
	axes     []*axis
	postings []posting // from 1
	always   []posting // rules that are not filed, in order
}

// Fire runs the rules on a decoded fact and returns the numbers of those that
// fire, ascending. The result is valid until the frame is used again.
func (x *Index) Fire(f *Frame) []int32 {
	f.begin(x.code, x.rules)
	hits := f.hits[:0]
	if len(x.axes) == 0 {
		for i := range x.always {
			if p := &x.always[i]; x.code.run(f, p.entry) {
				hits = append(hits, p.rule)
			}
		}
		f.hits = hits
		return hits
	}
	for _, a := range x.axes {
		x.ask(f, a)
	}
	for i := range x.always {
		x.try(f, &x.always[i])
	}
	for i, word := range f.fired {
		if word == 0 {
			continue
		}
		f.fired[i] = 0
		for ; word != 0; word &= word - 1 {
			hits = append(hits, int32(i<<6+bits.TrailingZeros64(word)))
		}
	}
	f.hits = hits
	return hits
}

// ask looks an axis up: once, or for each element of its list.
func (x *Index) ask(f *Frame, a *axis) {
	if a.derived > 0 {
		f.ready(x.code, a.derived-1)
	}
	if a.list < 0 {
		a.ask(f, x, &f.Record.Slots[a.slot])
		return
	}
	elements := &f.Record.Slots[a.list]
	if !elements.OK {
		return
	}
	for at := elements.First(); at != 0; at = int(f.Record.Slots[at].N) {
		a.ask(f, x, &f.Record.Slots[at+1+int(a.slot)])
	}
}

// try runs the rest of a rule.
func (x *Index) try(f *Frame, p *posting) {
	if x.code.run(f, p.entry) {
		f.fired[p.rule>>6] |= 1 << (p.rule & 63)
	}
}

// chain tries the postings of a key.
func (x *Index) chain(f *Frame, head int32) {
	for head != 0 {
		p := &x.postings[head]
		x.try(f, p)
		head = p.next
	}
}
