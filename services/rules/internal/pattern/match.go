package pattern

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// MatchString tells whether s contains a match. It allocates nothing and takes
// time linear in s.
func (p *Pattern) MatchString(s string) bool {
	if len(s) < int(p.least) {
		return false
	}
	switch p.manner {
	case standard:
		return strings.Contains(s, p.literal) && p.regex.MatchString(s)
	case always:
		return true
	case contains:
		return strings.Contains(s, p.literal)
	case search:
		return p.search(s)
	case closing:
		return p.closing(s)
	default: // the others look at the affixes first
	}
	if !strings.HasSuffix(s, p.suffix) || !strings.HasPrefix(s, p.prefix) {
		return false
	}
	switch {
	case p.manner == affixes:
		return true
	case s == "":
		return true // the shortest match is empty
	case p.manner == forward:
		return p.forward(s)
	}
	return p.backward(s[:len(s)-int(p.skip)])
}

// step returns the positions that may follow those reached, but for their
// neighbours.
func (p *Pattern) step(reached uint64) uint64 {
	next := reached & p.loops
	for jumps := reached & p.jumps; jumps != 0; jumps &= jumps - 1 {
		next |= p.follow[bits.TrailingZeros64(jumps)]
	}
	return next
}

// above returns the positions that accept a character above ASCII.
func (p *Pattern) above(c rune, width int) (positions uint64, _ int) {
	for i := range p.runes {
		if r := &p.runes[i]; r.from <= c && c <= r.to {
			return r.positions, width
		}
	}
	return p.other, width
}

func (p *Pattern) forward(s string) bool {
	reached, next := p.start, p.next
	for i := int(p.skip); i < len(s); {
		c := s[i]
		var accepted uint64
		width := 1
		if c < utf8.RuneSelf {
			accepted = p.masks[p.class[c]]
		} else {
			accepted, width = p.above(utf8.DecodeRuneInString(s[i:]))
		}
		i += width
		reached = next & accepted
		if reached&p.early != 0 {
			return true
		}
		if reached == 0 {
			return false
		}
		next = reached&p.linear<<1 | p.step(reached)
	}
	return reached&p.accept != 0
}

// backward runs from the end of s, behind which is what the match ends with.
func (p *Pattern) backward(s string) bool {
	reached, next := p.start, p.next
	for i := len(s); i > 0; {
		c := s[i-1]
		var accepted uint64
		width := 1
		if c < utf8.RuneSelf {
			accepted = p.masks[p.class[c]]
		} else {
			accepted, width = p.above(utf8.DecodeLastRuneInString(s[:i]))
		}
		i -= width
		reached = next & accepted
		if reached&p.early != 0 {
			return true
		}
		if reached == 0 {
			return false
		}
		next = reached&p.linear>>1 | p.step(reached)
	}
	return reached&p.accept != 0
}

func (p *Pattern) search(s string) bool {
	i := 0
	if p.prefix != "" {
		i = strings.Index(s, p.prefix)
		if i < 0 {
			return false
		}
	}
	if len(p.literal) > len(p.prefix) && !strings.Contains(s[i:], p.literal) {
		return false
	}
	reached := uint64(0)
	for i < len(s) {
		if reached == 0 {
			for i < len(s) && p.idle[s[i]>>6]>>(s[i]&63)&1 != 0 {
				i++
			}
			if i == len(s) {
				return false
			}
		}
		c := s[i]
		var accepted uint64
		width := 1
		if c < utf8.RuneSelf {
			accepted = p.masks[p.class[c]]
		} else {
			accepted, width = p.above(utf8.DecodeRuneInString(s[i:]))
		}
		i += width
		reached = (reached&p.linear<<1 | p.step(reached) | p.next) & accepted
		if reached&p.early != 0 {
			return true
		}
	}
	return false
}
