package pattern

import (
	"math/bits"
	"strings"
)

// Near is a byte that stands so many bytes before another, 1 or 2.
type Near struct {
	Before int
	Char   byte
}

// Closer is the character that ends a match wherever there is one, and is
// nowhere else in it: matches are looked for from there backwards. One of near
// stands before it; none when nothing is known. ok is false for most patterns.
func (p *Pattern) Closer() (c byte, near []Near, ok bool) {
	return p.closer, p.near, p.manner == closing
}

// closes returns the only position that ends matches and nothing else, and
// accepts what no other position does, an ASCII character; -1 for none, or where
// a text says more.
func (p *parser) closes(whole part) int {
	if p.opening > 0 || p.to-p.from >= longLiteral {
		return -1
	}
	at := bits.TrailingZeros64(whole.last)
	if bits.OnesCount64(whole.last) != 1 || whole.first&whole.last != 0 {
		return -1
	}
	if char := p.charOf(at); len(char) != 1 || p.masks[p.class[char[0]&127]] != whole.last {
		return -1
	}
	return at
}

// nearby is what Closer tells of a position, once what follows what was turned
// round; begins are the positions that begin matches.
func (c *Compiler) nearby(at int, begins uint64) []Near {
	p := &c.parser
	wide := p.other
	for i := range p.runes[1 : 1+p.intervals] {
		wide |= p.runes[1+i].positions
	}
	var buffer [2 * maxEdges]Near
	near := buffer[:0]
	for before := p.follow[at]; before != 0; before &= before - 1 {
		one := bits.TrailingZeros64(before)
		if char := p.charOf(one); len(char) > 0 {
			near = addNear(near, Near{1, char[len(char)-1]})
			continue
		}
		if (begins|wide)>>one&1 != 0 {
			return nil
		}
		for rest := p.follow[one]; rest != 0; rest &= rest - 1 {
			char := p.charOf(bits.TrailingZeros64(rest))
			if len(char) == 0 {
				return nil
			}
			near = addNear(near, Near{2, char[len(char)-1]})
		}
	}
	if len(near) == 0 || len(near) > maxEdges {
		return nil
	}
	return append(c.near.Slice(len(near)), near...)
}

// addNear adds what is not there yet.
func addNear(all []Near, n Near) []Near {
	for _, known := range all {
		if known == n {
			return all
		}
	}
	return append(all, n)
}

// closing looks for a match that ends at one of the closers. No position before
// accepts one, so each byte of s is looked at once, at most.
func (p *Pattern) closing(s string) bool {
	for {
		i := strings.IndexByte(s, p.closer)
		if i < 0 {
			return false
		}
		if p.backward(s[:i]) {
			return true
		}
		s = s[i+1:]
	}
}
