package program

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"

	"github.com/backlot-video/backlot/services/rules/fact"
)

// affixed masks a text by what it begins with, or ends with. Keys that share
// their outer bytes, as many as the shortest has, are in one bucket; some others
// may be there too.
type affixed struct {
	suffix  bool
	outer   uint64 // mask of the bytes of a word that name a bucket
	shift   uint8
	buckets []int32 // where they begin in of, one more than there are
	of      []affix
	keys    textMap // while it is built: 1 + index in sets
	texts   []string
	keySets
}

// affix is a key. Its outer sixteen bytes are compared as two numbers, which is
// all there is to most.
type affix struct {
	word, mask       uint64
	inner, innerMask uint64
	text             string
	set              int32
}

// wordBytes is how many bytes of a text are compared as a number.
const wordBytes = 8

func (a *affixed) mask(_ *Frame, _ *Index, s *fact.Slot, base, union []uint64) []uint64 {
	current, text := base, s.S
	if !s.OK {
		return base
	}
	word, inner := a.word(text), a.inner(text)
	keys := a.bucket(word)
	for i := range keys {
		k := &keys[i]
		if (word^k.word)&k.mask|(inner^k.inner)&k.innerMask == 0 && a.has(text, k.text) {
			if a.masked {
				return a.sets[k.set].mask
			}
			current = a.sets[k.set].join(current, base, union)
		}
	}
	return current
}

// bucket has the keys that a text of this word may begin or end with.
func (a *affixed) bucket(word uint64) []affix {
	at := a.hash(word)
	return a.of[a.buckets[at]:a.buckets[at+1]]
}

func (a *affixed) hash(word uint64) uint64 {
	return word & a.outer * 0x9E3779B97F4A7C15 >> (a.shift & 63)
}

// has reports whether a text begins or ends with a key whose words fit.
func (a *affixed) has(text, key string) bool {
	if len(key) <= 2*wordBytes {
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
		if a.suffix {
			text = text[n-wordBytes:]
		}
		return load64(text)
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

// inner is the word beside that of the outer bytes, 0 where there is none.
func (a *affixed) inner(text string) uint64 {
	n := len(text)
	if n <= wordBytes {
		return 0
	}
	short := 8 * max(2*wordBytes-n, 0)
	if a.suffix {
		return load64(text[max(n-2*wordBytes, 0):]) << short
	}
	return load64(text[min(n-wordBytes, wordBytes):]) >> short
}

// innerKey is the inner word of a key, and a mask of the bytes that it has.
func (a *affixed) innerKey(key string) (inner, mask uint64) {
	if len(key) <= wordBytes {
		return 0, 0
	}
	short := 8 * max(2*wordBytes-len(key), 0)
	if a.suffix {
		return a.inner(key), ^uint64(0) << short
	}
	return a.inner(key), ^uint64(0) >> short
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

func (a *affixed) add(text string, position int32) {
	key := ended(text)
	if a.file(&a.keys, key.key(), text, position) {
		a.texts = append(a.texts, text)
	}
}

// seal ends the building. It returns the memory of what was filed.
func (a *affixed) seal(base []uint64, words *slab[uint64]) []filed {
	all := a.keySets.seal(base, words)
	a.outer, a.of = ^uint64(0), make([]affix, len(a.texts))
	for i, key := range a.texts {
		word, mask := a.key(key)
		inner, innerMask := a.innerKey(key)
		a.of[i] = affix{word, mask, inner, innerMask, key, int32(i)}
		a.outer &= mask
	}
	width := bits.Len(uint(2*len(a.texts) + 1))
	a.shift = uint8(64 - width)
	slices.SortFunc(a.of, func(k, l affix) int {
		if at, other := a.hash(k.word), a.hash(l.word); at != other {
			return cmp.Compare(at, other)
		}
		return len(l.text) - len(k.text)
	})
	a.buckets = make([]int32, 1<<width+1)
	for i := range a.of {
		a.buckets[a.hash(a.of[i].word)+1] = int32(i + 1)
	}
	for i := range a.buckets[1:] {
		a.buckets[i+1] = max(a.buckets[i+1], a.buckets[i])
	}
	a.texts, a.keys = nil, textMap{}
	if a.masked {
		a.nest()
	}
	return all
}

// nest gives the masks of longer keys what those of shorter ones hold that they
// begin or end with: the first key that fits says it all.
func (a *affixed) nest() {
	for at := range a.buckets[1:] {
		keys := a.of[a.buckets[at]:a.buckets[at+1]]
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
