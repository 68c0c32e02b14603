package program

import (
	"slices"
	"strings"

	"github.com/backlot-video/backlot/services/rules/fact"
)

// affixed masks a text by what it begins with, or ends with. Keys that share
// their outer bytes, as many as the shortest has, are in one bucket.
type affixed struct {
	suffix  bool
	least   int
	buckets textMap // by outer bytes: 1 + index in of
	of      [][]affix
	keys    textMap // while it is built: 1 + index in sets
	texts   []string
	keySets
}

// affix is a key. Its outer eight bytes are compared as a number first.
type affix struct {
	word, mask uint64
	text       string
	set        int32
}

// wordBytes is how many outer bytes of a text are compared as a number.
const wordBytes = 8

func (a *affixed) mask(_ *Frame, _ *Index, s *fact.Slot, base, union []uint64) []uint64 {
	current, text := base, s.S
	if len(text) < a.least || !s.OK {
		return base
	}
	bucket := a.buckets.get(a.outer(text, a.least))
	if bucket == 0 {
		return base
	}
	word := a.word(text)
	keys := a.of[bucket-1]
	for i := range keys {
		k := &keys[i]
		if word&k.mask == k.word && a.has(text, k.text) {
			if a.masked {
				return a.sets[k.set].mask
			}
			current = a.sets[k.set].join(current, base, union)
		}
	}
	return current
}

// outer is the first or last n bytes of a text.
func (a *affixed) outer(text string, n int) string {
	if a.suffix {
		return text[len(text)-n:]
	}
	return text[:n]
}

// has reports whether a text begins or ends with a key whose word fits.
func (a *affixed) has(text, key string) bool {
	if len(key) <= wordBytes {
		return len(key) <= len(text)
	}
	return a.outermost(text, key)
}

// outermost reports whether a text begins or ends with a key.
func (a *affixed) outermost(text, key string) bool {
	if a.suffix {
		return strings.HasSuffix(text, key)
	}
	return strings.HasPrefix(text, key)
}

// word is the outer bytes of a text, the outermost lowest for prefixes and
// highest for suffixes.
func (a *affixed) word(text string) uint64 {
	n := len(text)
	if n >= wordBytes {
		return load64(a.outer(text, wordBytes))
	}
	var word uint64
	for i := range n {
		word |= uint64(text[i]) << (8 * i)
	}
	if a.suffix {
		word <<= 8 * (wordBytes - n)
	}
	return word
}

// key is the word of a key, and a mask of the bytes that it has.
func (a *affixed) key(key string) (word, mask uint64) {
	short := 8 * max(wordBytes-len(key), 0)
	mask = ^uint64(0) >> short
	if a.suffix {
		mask <<= short
	}
	return a.word(key), mask
}

func (a *affixed) add(key string, position int32) {
	if a.file(&a.keys, key, position) {
		a.texts = append(a.texts, key)
	}
}

// seal ends the building.
func (a *affixed) seal(base []uint64, words *slab[uint64]) {
	a.keySets.seal(base, words)
	a.least = wordBytes
	for _, key := range a.texts {
		a.least = min(a.least, len(key))
	}
	for i, key := range a.texts {
		outer := a.outer(key, a.least)
		at := a.buckets.get(outer)
		if at == 0 {
			a.of = append(a.of, nil)
			at = int32(len(a.of))
			a.buckets.put(outer, at)
		}
		word, mask := a.key(key)
		a.of[at-1] = append(a.of[at-1], affix{word, mask, key, int32(i)})
	}
	a.texts, a.keys = nil, textMap{}
	if a.masked {
		a.nest()
	}
}

// nest puts longer keys before shorter ones, and gives their masks what those
// hold that they begin or end with: the first key that fits says it all.
func (a *affixed) nest() {
	for _, keys := range a.of {
		slices.SortFunc(keys, func(k, l affix) int { return len(l.text) - len(k.text) })
		for i := range keys {
			mask := a.sets[keys[i].set].mask
			for _, shorter := range keys[i+1:] {
				if a.outermost(keys[i].text, shorter.text) {
					join(mask, a.sets[shorter.set].mask)
				}
			}
		}
	}
}
