package pattern

import (
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf8"
)

// set is a set of characters: bits of 0 to 63, of 64 to 127 and of the
// alphabet's intervals above. Bit 0 of above is everything in no interval.
type set struct {
	low, high, above uint64
}

var (
	anyButNewline = span('\n', '\n').not()

	digits = span('0', '9')
	upper  = span('A', 'Z')
	lower  = span('a', 'z')
	alpha  = upper.or(lower)
	alnum  = alpha.or(digits)
	word   = alnum.or(span('_', '_'))
	space  = span('\t', '\n').or(span('\f', '\r')).or(span(' ', ' '))
	graph  = span('!', '~')
)

func span(from, to byte) set {
	var s set
	s.add(from, to)
	return s
}

func (s set) or(t set) set { return set{s.low | t.low, s.high | t.high, s.above | t.above} }

func (s set) not() set { return set{^s.low, ^s.high, ^s.above} }

// add adds the characters from <= to <= 127.
func (s *set) add(from, to byte) {
	low, high := below(int(to)+1), below(int(from))
	s.low |= low.low &^ high.low
	s.high |= low.high &^ high.high
}

// below is the set of the characters below n <= 128.
func below(n int) set {
	return set{low: uint64(1)<<n - 1, high: uint64(1)<<max(n-64, 0) - 1}
}

// single returns the set's only member.
func (s set) single() (byte, bool) {
	if s.above != 0 || bits.OnesCount64(s.low)+bits.OnesCount64(s.high) != 1 {
		return 0, false
	}
	if s.low != 0 {
		return byte(bits.TrailingZeros64(s.low)), true
	}
	return byte(64 + bits.TrailingZeros64(s.high)), true
}

func posix(name string) (set, bool) {
	switch name {
	case "alnum":
		return alnum, true
	case "alpha":
		return alpha, true
	case "ascii":
		return span(0, 127), true
	case "blank":
		return span('\t', '\t').or(span(' ', ' ')), true
	case "cntrl":
		return span(0, 31).or(span(127, 127)), true
	case "digit":
		return digits, true
	case "graph":
		return graph, true
	case "lower":
		return lower, true
	case "print":
		return span(' ', '~'), true
	case "punct":
		s := alnum.not()
		return set{low: graph.low & s.low, high: graph.high & s.high}, true
	case "space":
		return span('\t', '\r').or(span(' ', ' ')), true
	case "upper":
		return upper, true
	case "word":
		return word, true
	case "xdigit":
		return digits.or(span('A', 'F')).or(span('a', 'f')), true
	}
	return set{}, false
}

// bracket parses [...].
func (p *parser) bracket() set {
	p.at++
	negated := p.next() == '^'
	if negated {
		p.at++
	}
	var s set
	for first := true; first || p.next() != ']'; first = false {
		if p.at >= len(p.text) {
			p.fail()
			return set{}
		}
		if named, ok := p.namedClass(); ok {
			s = s.or(named)
			continue
		}
		from := p.bracketChar()
		to := from
		if p.next() == '-' && p.at+1 < len(p.text) && p.text[p.at+1] != ']' {
			p.at++
			to = p.bracketChar()
		}
		s = s.or(p.between(from, to))
	}
	p.at++
	if negated {
		return s.not()
	}
	return s
}

func (p *parser) bracketChar() rune {
	if p.next() == '\\' {
		return p.escape()
	}
	return p.char()
}

// between is the set of the characters from <= to, and of those that are the
// same but for case where case does not count.
func (p *parser) between(from, to rune) set {
	if from > to {
		p.fail()
		return set{}
	}
	var s set
	if from < utf8.RuneSelf {
		s.add(byte(from), byte(min(to, utf8.RuneSelf-1)))
		s = p.folded(s)
	}
	if to >= utf8.RuneSelf {
		if p.caseless && (from != to || unicode.SimpleFold(from) != from) {
			p.fail()
		}
		s.above |= 1 << p.interval(max(from, utf8.RuneSelf), to)
	}
	return s
}

// folded adds the other cases of a set of ASCII characters, where case does
// not count. Two have one above ASCII.
func (p *parser) folded(s set) set {
	if !p.caseless {
		return s
	}
	s.high |= s.high&upper.high<<32 | s.high&lower.high>>32
	if s.has('s') {
		s.above |= 1 << p.interval('ſ', 'ſ')
	}
	if s.has('k') {
		s.above |= 1 << p.interval('\u212A', '\u212A')
	}
	return s
}

// interval numbers an interval of characters above ASCII.
func (p *parser) interval(from, to rune) int {
	number, ok := p.above(from, to)
	if !ok {
		p.fail()
	}
	return number
}

// namedClass parses \d and the like, and [:digit:].
func (p *parser) namedClass() (set, bool) {
	if p.text[p.at] != '[' {
		return p.perlClass()
	}
	name, ok := strings.CutPrefix(p.text[p.at:], "[:")
	if !ok {
		return set{}, false
	}
	name, _, closed := strings.Cut(name, ":]")
	bare, negated := strings.CutPrefix(name, "^")
	s, known := posix(bare)
	if !closed || !known {
		p.fail()
		return set{}, true
	}
	p.at += len("[:") + len(name) + len(":]")
	s = p.folded(s)
	if negated {
		s = s.not()
	}
	return s, true
}

func (p *parser) perlClass() (s set, ok bool) {
	if p.next() != '\\' || p.at+1 == len(p.text) {
		return set{}, false
	}
	c := p.text[p.at+1]
	switch c | 0x20 {
	case 'd':
		s = digits
	case 's':
		s = space
	case 'w':
		s = word
	default:
		return set{}, false
	}
	p.at += 2
	s = p.folded(s)
	if c < 'a' {
		s = s.not()
	}
	return s, true
}

// escape parses the escape of one character.
func (p *parser) escape() rune {
	p.at++
	c := p.next()
	p.at++
	switch c {
	case 'a':
		return '\a'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'v':
		return '\v'
	case 'x':
		if p.at+2 <= len(p.text) {
			high, low := strings.IndexByte(hex, p.text[p.at]|0x20), strings.IndexByte(hex, p.text[p.at+1]|0x20)
			if high >= 0 && low >= 0 {
				p.at += 2
				return rune(high<<4 | low)
			}
		}
	default:
		if c != 0 && c < 0x80 && !alnum.has(c) {
			return rune(c)
		}
	}
	p.fail()
	return 0
}

const hex = "0123456789abcdef"

// has tells whether the set has a character below 128; it has no other byte.
func (s *set) has(c byte) bool {
	return s.low>>c&1|s.high>>(c-64)&1 != 0
}
