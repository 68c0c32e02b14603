package syntax

import "strings"

// piece is a text that is looked for at places of sources. Its first bytes are a
// word under a mask, so that most places are told by one comparison, and short
// pieces are found by it: a call takes longer.
type piece struct {
	text       string
	word, mask uint64
}

// wordBytes are compared at once.
const wordBytes = 8

func newPiece(text string) piece {
	p := piece{text: text}
	for i := range min(len(text), wordBytes) {
		p.word |= uint64(text[i]) << (8 * i)
		p.mask |= 0xFF << (8 * i)
	}
	return p
}

// wordAt are the wordBytes at a place of a text.
func wordAt(text string, at int) uint64 {
	b := text[at : at+wordBytes]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// standsAt reports whether a source has the piece at a place.
func (p *piece) standsAt(src string, at int) bool {
	end := at + len(p.text)
	if at+wordBytes > len(src) || end > len(src) {
		return strings.HasPrefix(src[at:], p.text)
	}
	if (wordAt(src, at)^p.word)&p.mask != 0 {
		return false
	}
	if len(p.text) <= wordBytes {
		return true
	}
	for i := wordBytes; i < len(p.text)-wordBytes; i += wordBytes {
		if wordAt(src, at+i) != wordAt(p.text, i) {
			return false
		}
	}
	return wordAt(src, end-wordBytes) == wordAt(p.text, len(p.text)-wordBytes)
}
