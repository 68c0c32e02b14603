package pattern

import "unicode/utf8"

// literals are runs of positions that a match has one after the other, each of
// one character. What stands in one of several alternatives or may be left out
// is taken back by forget.
type literals struct {
	run      uint8  // where the run that ends at the last position begins
	opening  uint8  // length of the run at the begin
	closed   bool   // it has ended
	from, to uint16 // the longest run's bytes in chars
}

// chars is the text of the positions of one character.
type chars struct {
	bytes [maxPositions * utf8.UTFMax]byte
	ends  [1 + maxPositions]uint16 // of the first n positions, at n
}

// extend adds the newest position, of one character.
func (p *parser) extend(c rune) {
	from := p.ends[p.n-1]
	to := from + 1
	if c < utf8.RuneSelf {
		p.bytes[from] = byte(c)
	} else {
		to = from + uint16(utf8.EncodeRune(p.bytes[from:], c))
	}
	p.ends[p.n] = to
	p.lengthen()
}

// lengthen lets the run end at the newest position.
func (p *parser) lengthen() {
	if !p.closed {
		p.opening = uint8(p.n)
	}
	if from, to := p.ends[p.run], p.ends[p.n]; to-from > p.to-p.from {
		p.from, p.to = from, to
	}
}

// interrupt ends the run: what comes next need not follow the newest position,
// or (keep) need not follow the one before it.
func (p *parser) interrupt(keep bool) {
	p.closed = true
	p.run = uint8(p.n)
	if keep && p.ends[p.n] > p.ends[p.n-1] {
		p.run--
	}
}

// forget takes back what was found since before.
func (p *parser) forget(before literals) {
	p.literals = before
	p.interrupt(false)
}
