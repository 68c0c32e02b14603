package pattern

import "strings"

// Most of a pattern are characters that stand for themselves, one after the
// other, some in brackets as in `example[.]com`: these are not parsed as if each
// could be anything.

// What ASCII characters are here.
const (
	plainChar      uint8 = 1 << iota // stands for itself
	bracketedChar                    // stands for itself alone in brackets
	letterChar                       // has a case
	quantifierChar                   // begins a quantifier
)

var kinds = func() (table [256]uint8) {
	for c := ' '; c <= '~'; c++ {
		if !strings.ContainsRune(`\.+*?()|[]{}^$`, c) {
			table[c] |= plainChar
		}
		if !strings.ContainsRune(`\[]^`, c) {
			table[c] |= bracketedChar
		}
		if alpha.has(byte(c)) {
			table[c] |= letterChar
		}
		if strings.ContainsRune("*+?{", c) {
			table[c] |= quantifierChar
		}
	}
	return table
}()

// character is the plain character that comes next, whose case counts and that
// has no quantifier, and the bytes that it takes; 0 for none.
func (p *parser) character() (c byte, width int) {
	rest := p.text[p.at:]
	if rest == "" {
		return 0, 0
	}
	c, width = rest[0], 1
	if c == '[' && len(rest) > 2 && rest[2] == ']' && kinds[rest[1]]&bracketedChar != 0 {
		c, width = rest[1], len("[.]")
	} else if kinds[c]&plainChar == 0 {
		return 0, 0
	}
	if p.caseless && kinds[c]&letterChar != 0 || len(rest) > width && kinds[rest[width]]&quantifierChar != 0 {
		return 0, 0
	}
	return c, width
}

// characters adds positions for plain characters, each behind the one before. ok
// is false where none comes next.
func (p *parser) characters() (run part, ok bool) {
	from := p.n
	for {
		c, width := p.character()
		if width == 0 {
			break
		}
		n := p.n
		if n == maxPositions || p.failed {
			return p.fail(), true
		}
		p.at += width
		p.acceptOne(c, 1<<n)
		p.follow[n] = 2 << n // as if one came behind it
		end := p.ends[n]
		p.bytes[end], p.ends[n+1] = c, end+1
		p.n = n + 1
	}
	if p.n == from {
		return part{}, false
	}
	p.follow[p.n-1] = 0
	p.lengthen()
	return part{1 << from, 1 << (p.n - 1), p.n - from}, true
}
