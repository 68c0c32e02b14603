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
	if p.to > 0 {
		chars := string(p.bytes[:p.ends[p.n]])
		out.literal = chars[p.from:p.to]
		out.prefix = chars[:p.ends[p.opening]]
		out.suffix = chars[p.ends[p.run]:]
	}
	switch {
	case whole.least == 0:
	case begin:
		out.heads = p.edges(whole.first, whole.last, false)
	case len(out.literal) < longLiteral:
		out.pieces = p.edges(whole.first, whole.last, false)
	}
	opening, skipped := int(p.opening)-1, -1 // positions
	switch {
	case end && (!begin || p.width(whole.last) < p.width(whole.first)):
		out.manner = backward
		p.reverse()
		whole.first, whole.last = whole.last, whole.first
		if whole.least > 0 {
			out.tails = p.edges(whole.first, whole.last, true)
		}
		if int(p.run) < p.n {
			skipped = int(p.run)
		}
		out.skip = uint16(len(out.suffix))
	case begin:
		out.manner = forward
		skipped = opening
		out.skip = uint16(len(out.prefix))
	default:
		out.manner = search
		if at := p.closes(whole); at >= 0 {
			out.manner, out.closer = closing, p.charOf(at)[0]
			p.reverse()
			whole.first, whole.last = whole.last, whole.first
			out.near = p.nearby(at, whole.last)
			skipped = at
		}
	}
	if !begin && out.manner != search {
		out.prefix = ""
	}
	if !end && out.manner != search {
		out.suffix = ""
	}
	out.next, out.accept, out.other = whole.first, whole.last, p.other
	if skipped >= 0 {
		out.start = 1 << skipped
		out.next = p.follow[skipped]
	}
	if !begin || !end {
		out.early = out.accept
	}
	p.tables(out)
	switch {
	case out.early&out.start != 0:
		out.manner = affixes
	case out.manner == search && out.prefix != "" && out.early>>opening&1 != 0:
		out.manner = contains
	}
	return out
}

// tables sets what may follow positions and what they accept.
func (p *parser) tables(out *Pattern) {
	for i, follow := range p.follow[:p.n] {
		bit := uint64(1) << i
		neighbour := bit << 1
		if out.manner == backward || out.manner == closing {
			neighbour = bit >> 1
		}
		if follow&neighbour != 0 {
			out.linear |= bit
		}
		out.loops |= follow & bit
		follow &^= bit | neighbour
		p.follow[i] = follow
		if follow != 0 {
			out.jumps |= bit
		}
	}
	classes := 1 + p.classes
	tables := make([]uint64, classes+bits.Len64(out.jumps))
	out.masks, out.follow = tables[:classes], tables[classes:]
	copy(out.masks, p.masks[:])
	copy(out.follow, p.follow[:])
	if p.intervals > 0 {
		out.runes = append(out.runes, p.runes[1:1+p.intervals]...)
	}
	out.class = p.class
	if out.manner == search {
		for c, class := range out.class {
			if out.masks[class]&out.next == 0 {
				out.idle[c>>6] |= 1 << (c & 63)
			}
		}
	}
}

// width is about how many characters some positions accept.
func (p *parser) width(positions uint64) int {
	n := 0
	for i, s := range p.sets[:p.known] {
		if positions&p.users[i] != 0 {
			positions &^= p.users[i]
			n += bits.OnesCount64(s.low) + bits.OnesCount64(s.high)
		}
	}
	return n + bits.OnesCount64(positions)
}

// reverse turns round what follows what.
func (p *parser) reverse() {
	var before [maxPositions]uint64
	for i, after := range p.follow[:p.n] {
		for ; after != 0; after &= after - 1 {
			before[bits.TrailingZeros64(after)&63] |= 1 << i
		}
	}
	p.follow = before
}
