package program

import (
	"strings"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/pattern"
)

// closed masks a text by what stands before a character in it: patterns such
// as `(li|kim)[0-9]*7[0-9]?@` need a 7 right before an @, or before that.
type closed struct {
	closer byte
	keys   [2][256]uint16 // 1 + index in sets, by how far before it and by byte
	keySets
}

func (c *closed) mask(_ *Frame, _ *Index, s *fact.Slot, base, union []uint64) []uint64 {
	current, text := base, s.S
	if !s.OK {
		return base
	}
	for at := 0; ; at++ {
		next := strings.IndexByte(text[at:], c.closer)
		if next < 0 {
			return current
		}
		at += next
		for i := range min(at, len(c.keys)) {
			if key := c.keys[i][text[at-1-i]]; key > 0 {
				current = c.sets[key-1].join(current, base, union)
			}
		}
	}
}

func (c *closed) add(n pattern.Near, position int32) {
	key := &c.keys[n.Before-1][n.Char]
	if *key == 0 {
		c.count++
		*key = uint16(c.count)
	}
	c.filed = append(c.filed, filed{int32(*key - 1), position})
}
