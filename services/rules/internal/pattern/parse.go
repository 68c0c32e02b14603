package pattern

import (
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what is parsed here.
const (
	maxPositions = 64
	maxDepth     = 30
	// Groups and characters, copies of repetitions counted: a pattern within it
	// is also within maxInstructions.
	maxAtoms = 250
)

// parser numbers the characters of a pattern, its positions, as they are
// written; a repeated part has as many as it has copies.
type parser struct {
	state
	follow *[maxPositions]uint64 // one of ways
	before *[maxPositions]uint64 // the other one, of reverse
	ways   [2][maxPositions]uint64
	alphabet
	chars
}

// state is what a parser has of one text, but for what it has n of.
type state struct {
	text     string
	at       int
	failed   bool // Go's regexp must see it
	caseless bool
	depth    int
	atoms    int
	n        int // positions
	literals
}

// begin makes the parser ready for a text.
func (p *parser) begin(text string) {
	p.follow, p.before = &p.ways[0], &p.ways[1]
	p.state = state{text: text}
	p.alphabet.begin()
}

// part is a piece of a pattern.
type part struct {
	first, last uint64 // positions that begin and end its matches
	least       int    // characters of its shortest match; 0: it may be empty
}

// fail gives up and ends all loops.
func (p *parser) fail() part {
	p.failed = true
	p.at = len(p.text)
	return part{}
}

// next returns the byte at p.at, 0 at the end: no pattern parsed here has it.
func (p *parser) next() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// whole parses all of the text. begin and end tell whether every alternative
// is anchored there.
func (p *parser) whole() (whole part, begin, end bool) {
	if strings.HasPrefix(p.text, "(?i)") {
		p.at, p.caseless = len("(?i)"), true
	}
	before := p.literals
	for count := 0; ; count++ {
		begins := p.next() == '^'
		if begins {
			p.at++
		}
		branch := p.sequence()
		ends := p.next() == '$'
		if ends {
			p.at++
		}
		if count == 0 {
			whole, begin, end = branch, begins, ends
		} else {
			whole = either(whole, branch)
			p.forget(before)
		}
		if begins != begin || ends != end {
			p.fail()
		}
		if p.at == len(p.text) {
			return whole, begin, end
		}
		if p.text[p.at] != '|' {
			p.fail()
			return whole, begin, end
		}
		p.at++
		p.forget(before)
	}
}

func (p *parser) alternatives() part {
	before := p.literals
	whole := p.sequence()
	for p.next() == '|' {
		p.at++
		p.forget(before)
		whole = either(whole, p.sequence())
		p.forget(before)
	}
	return whole
}

func either(a, b part) part {
	return part{a.first | b.first, a.last | b.last, min(a.least, b.least)}
}

func (p *parser) sequence() part {
	var whole part
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case '|', ')', '$':
			return whole
		default:
			next, plain := p.characters()
			if !plain {
				next = p.repeated()
			}
			whole = p.concat(whole, next)
		}
	}
	return whole
}

func (p *parser) concat(a, b part) part {
	p.link(a.last, b.first)
	if a.least == 0 {
		b.first |= a.first
	} else {
		b.first = a.first
	}
	if b.least == 0 {
		b.last |= a.last
	}
	b.least += a.least
	return b
}

// link lets each of to follow each of from.
func (p *parser) link(from, to uint64) {
	for ; from != 0; from &= from - 1 {
		p.follow[bits.TrailingZeros64(from)&63] |= to
	}
}

// repeated parses an atom and how often it may come. x{2,4} becomes xx(x(x)?)?.
func (p *parser) repeated() part {
	from, positions, before := p.at, p.n, p.literals
	x := p.atom()
	least, most := p.quantifier()
	if least == 1 && most == 1 || p.failed {
		return x
	}
	if p.n == positions {
		return p.fail()
	}
	if least == 0 {
		p.forget(before)
	}
	after, chain, whole := p.at, x, x
	for count := 2; count <= max(least, most); count++ {
		p.at, positions, before = from, p.n, p.literals
		x = p.atom()
		if p.failed {
			return part{}
		}
		if count > least {
			p.forget(before)
		}
		chain = p.concat(chain, x)
		if count <= least {
			whole.last = 0
		}
		whole.last |= chain.last
	}
	p.at = after
	if most < 0 {
		p.link(x.last, x.first)
		p.interrupt(least > 0 && x.least > 0 && p.n == positions+1)
	}
	return part{chain.first, whole.last, least * whole.least}
}

// quantifier parses what stands behind an atom; most is -1 for no limit.
func (p *parser) quantifier() (least, most int) {
	switch p.next() {
	default:
		return 1, 1
	case '*':
		least, most = 0, -1
	case '+':
		least, most = 1, -1
	case '?':
		least, most = 0, 1
	case '{':
		p.at++
		least = p.number()
		most = least
		if p.next() == ',' {
			p.at++
			if most = -1; p.next() != '}' {
				most = p.number()
			}
		}
		if p.next() != '}' || most == 0 || most > 0 && most < least {
			p.fail()
			return 1, 1
		}
	}
	p.at++
	// Whether a match is the longest makes no difference here.
	if p.next() == '?' {
		p.at++
	}
	switch p.next() {
	case '*', '+', '?', '{':
		p.fail()
	}
	return least, most
}

// number parses a number of up to two digits: more cannot fit.
func (p *parser) number() int {
	from, n := p.at, 0
	for ; '0' <= p.next() && p.next() <= '9'; p.at++ {
		n = n*10 + int(p.text[p.at]-'0')
	}
	length := p.at - from
	if length == 0 || length > 2 || length == 2 && p.text[from] == '0' {
		p.fail()
	}
	return n
}

func (p *parser) atom() part {
	if p.atoms++; p.atoms > maxAtoms {
		return p.fail()
	}
	switch p.next() {
	case '(':
		return p.group()
	case '[':
		return p.position(p.bracket())
	case '.':
		p.at++
		return p.position(anyButNewline)
	case '\\':
		if set, ok := p.perlClass(); ok {
			return p.position(set)
		}
		return p.literal(p.escape())
	case '*', '+', '?', '{', '^', 0:
		return p.fail()
	default:
		return p.literal(p.char())
	}
}

// char parses a character that stands for itself.
func (p *parser) char() rune {
	c, width := utf8.DecodeRuneInString(p.text[p.at:])
	p.at += width
	if c == 0 || c == utf8.RuneError {
		p.fail()
	}
	return c
}

func (p *parser) group() part {
	p.at++
	if p.next() == '?' {
		if !strings.HasPrefix(p.text[p.at:], "?:") {
			return p.fail()
		}
		p.at += 2
	}
	if p.depth++; p.depth > maxDepth {
		return p.fail()
	}
	whole := p.alternatives()
	p.depth--
	if p.next() != ')' {
		return p.fail()
	}
	p.at++
	return whole
}

// position adds a position that accepts a set.
func (p *parser) position(s set) part {
	if c, single := s.single(); single {
		return p.one(rune(c))
	}
	bit := p.add()
	if bit == 0 || !p.accept(s, bit) {
		return p.fail()
	}
	p.interrupt(false)
	return part{bit, bit, 1}
}

// literal adds a position that accepts a character, in any case where case
// does not count.
func (p *parser) literal(c rune) part {
	if p.caseless && (c >= utf8.RuneSelf || unicode.IsLetter(c)) {
		return p.position(p.between(c, c))
	}
	return p.one(c)
}

// one adds a position that accepts one character.
func (p *parser) one(c rune) part {
	bit := p.add()
	if bit == 0 {
		return p.fail()
	}
	if c < utf8.RuneSelf {
		p.acceptOne(byte(c), bit)
	} else {
		p.runes[p.interval(c, c)].positions |= bit
	}
	p.extend(c)
	return part{bit, bit, 1}
}

func (p *parser) add() (bit uint64) {
	if p.n == maxPositions || p.failed {
		return 0
	}
	p.follow[p.n] = 0
	p.n++
	p.ends[p.n] = p.ends[p.n-1]
	return 1 << (p.n - 1)
}
