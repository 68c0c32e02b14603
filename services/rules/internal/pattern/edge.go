package pattern

import (
	"math/bits"
	"unicode/utf8"
)

// Limits of what is told of the begin and end of matches.
const (
	maxEdges    = 8
	maxEdgeText = 16 // bytes
	longLiteral = 3  // bytes; a shorter one says less than pieces
)

// Heads are texts of which every text that matches begins with one; none when
// nothing is known.
func (p *Pattern) Heads() []string { return p.heads }

// Tails are texts of which every text that matches ends with one; none when
// nothing is known.
func (p *Pattern) Tails() []string { return p.tails }

// Pieces are texts of which every match contains one; none when nothing is
// known.
func (p *Pattern) Pieces() []string { return p.pieces }

// edge is a text that a match begins with (or ends with), and its last (first)
// position.
type edge struct {
	at   int
	n    int                             // bytes of text
	text [maxEdgeText + utf8.UTFMax]byte // from its begin; what is followed from the end fills it from its own end
}

// extend adds a character behind the text, or before it.
func (e *edge) extend(at int, char []byte, back bool) {
	begin := e.n
	e.at, e.n = at, e.n+len(char)
	if back {
		begin = len(e.text) - e.n
	}
	if len(char) == 1 {
		e.text[begin] = char[0]
		return
	}
	copy(e.text[begin:], char)
}

// begin makes a text the edge, as much of it as counts.
func (e *edge) begin(at int, text []byte, back bool) {
	e.at, e.n = at, min(len(text), maxEdgeText)
	if back {
		copy(e.text[len(e.text)-e.n:], text[len(text)-e.n:])
		return
	}
	copy(e.text[:], text[:e.n])
}

// cut is the text, at most maxEdgeText bytes of it.
func (e *edge) cut(back bool) []byte {
	n := min(e.n, maxEdgeText)
	if back {
		return e.text[len(e.text)-n:]
	}
	return e.text[:n]
}

// edges follows positions of one character from first on, until there are too
// many ways or a match may end. One text that all have is taken at once. back tells that they are followed from the end.
func (c *Compiler) edges(first, last uint64, back bool) []string {
	p := &c.parser
	var ways [maxEdges]edge
	n := 0
	if at, text := p.affix(back); text != nil {
		ways[0].begin(at, text, back)
		n, first = 1, 0
	}
	for ; first != 0; first &= first - 1 {
		at := bits.TrailingZeros64(first)
		char := p.charOf(at)
		if len(char) == 0 || n == maxEdges {
			return nil
		}
		ways[n].extend(at, char, back)
		n++
	}
	for i := 0; i < n; {
		if w := &ways[i]; last>>w.at&1 == 0 && w.n < maxEdgeText && p.spread(&ways, &n, i, back) {
			continue
		}
		i++
	}
	return c.cutAll(ways[:n], back)
}

// affix is the text that every match begins (or ends) with, and its last (first)
// position; nil for none.
func (p *parser) affix(back bool) (at int, text []byte) {
	switch {
	case back && int(p.run) < p.n:
		return int(p.run), p.bytes[p.ends[p.run]:p.ends[p.n]]
	case !back && p.opening > 0:
		return int(p.opening) - 1, p.bytes[:p.ends[p.opening]]
	}
	return 0, nil
}

// cutAll returns the texts of edges, which are in one piece of memory.
func (c *Compiler) cutAll(ways []edge, back bool) []string {
	var buffer [maxEdges * maxEdgeText]byte
	all := buffer[:0]
	for i := range ways {
		all = append(all, ways[i].cut(back)...)
	}
	left := c.text(all)
	texts := c.texts.Slice(len(ways))[:len(ways)]
	for i := range texts {
		n := min(ways[i].n, maxEdgeText)
		texts[i], left = left[:n], left[n:]
	}
	return texts
}

// spread replaces a way by those that go on from it, where all are known and
// there is room.
func (p *parser) spread(ways *[maxEdges]edge, n *int, i int, back bool) bool {
	next := p.follow[ways[i].at]
	count := bits.OnesCount64(next)
	if count == 1 { // nearly always
		at := bits.TrailingZeros64(next)
		char := p.charOf(at)
		if len(char) > 0 {
			ways[i].extend(at, char, back)
		}
		return len(char) > 0
	}
	if count == 0 || *n+count-1 > maxEdges {
		return false
	}
	for rest := next; rest != 0; rest &= rest - 1 {
		if len(p.charOf(bits.TrailingZeros64(rest))) == 0 {
			return false
		}
	}
	for slot := *n; slot < *n+count-1; slot++ {
		ways[slot] = ways[i]
	}
	for slot := i; next != 0; next &= next - 1 {
		at := bits.TrailingZeros64(next)
		ways[slot].extend(at, p.charOf(at), back)
		slot = max(slot+1, *n)
	}
	*n += count - 1
	return true
}

// charOf is the character that a position accepts, empty where there are
// several.
func (p *parser) charOf(at int) []byte { return p.bytes[p.ends[at]:p.ends[at+1]] }
