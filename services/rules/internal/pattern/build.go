package pattern

import (
	"math/bits"
	"slices"
	"strings"
)

// textBlock is how many bytes of texts are in one piece, if there are so many.
const textBlock = 2048

// compile returns nil for what is left to Go's regexp.
func (c *Compiler) compile(text string) *Pattern {
	if len(text) > maxText {
		return nil
	}
	c.parser.begin(text)
	whole, begin, end := c.parser.whole()
	if c.parser.failed || !c.parser.divide() {
		return nil
	}
	return c.build(whole, begin, end)
}

func (c *Compiler) build(whole part, begin, end bool) *Pattern {
	p, out := &c.parser, c.patterns.Get()
	out.text, out.least = p.text, uint8(whole.least)
	if whole.least == 0 && !(begin && end) {
		out.manner = always
		return out
	}
	if p.to > 0 {
		chars := c.text(p.bytes[:p.ends[p.n]])
		out.literal = chars[p.from:p.to]
		out.prefix = chars[:p.ends[p.opening]]
		out.suffix = chars[p.ends[p.run]:]
	}
	switch {
	case whole.least == 0:
	case begin:
		out.heads = c.edges(whole.first, whole.last, false)
	case len(out.literal) < longLiteral:
		out.pieces = c.edges(whole.first, whole.last, false)
	}
	opening, skipped := int(p.opening)-1, -1 // positions
	switch {
	case end && (!begin || p.width(whole.last) < p.width(whole.first)):
		out.manner = backward
		p.reverse()
		whole.first, whole.last = whole.last, whole.first
		if whole.least > 0 {
			out.tails = c.edges(whole.first, whole.last, true)
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
			out.near = c.nearby(at, whole.last)
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
	c.tables(out)
	switch {
	case out.early&out.start != 0:
		out.manner = affixes
	case out.manner == search && out.prefix != "" && out.early>>opening&1 != 0:
		out.manner = contains
	}
	return out
}

// tables sets what may follow positions and what they accept.
func (c *Compiler) tables(out *Pattern) {
	p := &c.parser
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
	size := classes + bits.Len64(out.jumps)
	tables := c.words.Slice(size)[:size]
	out.masks, out.follow = tables[:classes], tables[classes:]
	copy(out.masks, p.masks[:])
	for i := range out.follow {
		out.follow[i] = p.follow[i]
	}
	if p.intervals > 0 {
		out.runes = slices.Clone(p.runes[1 : 1+p.intervals])
	}
	out.class = p.class
	if out.manner == search {
		for char, class := range out.class {
			if out.masks[class]&out.next == 0 {
				out.idle[char>>6] |= 1 << (char & 63)
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

// text copies bytes to where those of other patterns are.
func (c *Compiler) text(bytes []byte) string {
	from := c.chars.Len()
	if from+len(bytes) > c.chars.Cap() {
		size := max(min(2*c.chars.Cap(), textBlock), len(bytes))
		c.chars, from = strings.Builder{}, 0
		c.chars.Grow(size)
	}
	c.chars.Write(bytes)
	return c.chars.String()[from:]
}

// reverse turns round what follows what.
func (p *parser) reverse() {
	before := p.before
	clear(before[:p.n])
	for i, after := range p.follow[:p.n] {
		for ; after != 0; after &= after - 1 {
			before[bits.TrailingZeros64(after)&63] |= 1 << i
		}
	}
	p.follow, p.before = before, p.follow
}
