package pattern

import "math/bits"

// compile returns nil for what is left to Go's regexp.
func compile(text string) *Pattern {
	if len(text) > maxText {
		return nil
	}
	p := parser{text: text}
	whole, begin, end := p.whole()
	if p.failed || !p.divide() {
		return nil
	}
	return p.build(whole, begin, end)
}

func (p *parser) build(whole part, begin, end bool) *Pattern {
	out := &Pattern{text: p.text, least: uint8(whole.least)}
	if whole.least == 0 && !(begin && end) {
		out.manner = always
		return out
	}
	chars := ""
	if p.size > 0 {
		chars = string(p.chars[:p.n])
		out.literal = chars[p.best : p.best+p.size]
	}
	if p.opening > 0 {
		out.prefix = chars[:p.opening]
	}
	if p.run < p.n {
		out.suffix = chars[p.run:]
	}
	skipped := -1
	switch {
	case end && (!begin || len(out.suffix) > len(out.prefix)):
		out.manner = backward
		whole = p.reverse(whole)
		skipped = len(out.suffix) - 1
	case begin:
		out.manner = forward
		skipped = len(out.prefix) - 1
	default:
		out.manner = search
	}
	if !begin && out.manner != search {
		out.prefix = ""
	}
	if !end && out.manner != search {
		out.suffix = ""
	}
	p.automaton(out, whole)
	if !begin || !end {
		out.early = out.accept
	}
	if skipped >= 0 {
		out.start = 1 << skipped
		out.skip = uint8(skipped + 1)
		out.next = p.follow[skipped]
	}
	switch {
	case out.early&out.start != 0:
		out.manner = affixes
	case out.manner == search && out.prefix != "" && out.early>>(len(out.prefix)-1)&1 != 0:
		out.manner = contains
	}
	return out
}

// automaton sets the tables of a run.
func (p *parser) automaton(out *Pattern, whole part) {
	out.next, out.accept, out.other = whole.first, whole.last, p.other
	for i, follow := range p.follow[:p.n] {
		bit := uint64(1) << i
		if follow&(bit<<1) != 0 {
			out.linear |= bit
			follow &^= bit << 1
		}
		if follow&bit != 0 {
			out.loops |= bit
			follow &^= bit
		}
		if follow != 0 {
			out.jumps |= bit
		}
	}
	classes := 1 + p.classes
	tables := make([]uint64, classes+bits.Len64(out.jumps))
	out.masks, out.follow = tables[:classes], tables[classes:]
	copy(out.masks, p.masks[:])
	for i := range out.follow {
		bit := uint64(1) << i
		out.follow[i] = p.follow[i] &^ (bit | bit<<1)
	}
	out.class = p.class
}

// reverse turns the automaton round.
func (p *parser) reverse(whole part) part {
	shift := maxPositions - p.n
	turned := func(positions uint64) uint64 { return bits.Reverse64(positions) >> shift }
	var follow [maxPositions]uint64
	for i, after := range p.follow[:p.n] {
		for ; after != 0; after &= after - 1 {
			follow[p.n-1-bits.TrailingZeros64(after)] |= 1 << (p.n - 1 - i)
		}
	}
	p.follow = follow
	for i := range p.masks[:1+p.classes] {
		p.masks[i] = turned(p.masks[i])
	}
	p.other = turned(p.other)
	return part{turned(whole.last), turned(whole.first), whole.least}
}
