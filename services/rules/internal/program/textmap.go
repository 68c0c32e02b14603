package program

import "math/bits"

// textMap finds small numbers by text. It is built once and then only read.
// The ends of a text, eight bytes each, and its length are all there is to one
// of up to sixteen bytes; only longer ones are compared as they are.
type textMap struct {
	slots []textSlot // a power of two, at most half full
	texts []string   // of slots; nil without long keys
	count int
}

type textSlot struct {
	first, last uint64
	length      int32
	value       int32 // 0: free
}

// longText is longer than its ends tell.
const longText = 16

// textEnds are both ends of a text.
func textEnds(s string) (first, last uint64) {
	switch n := len(s); {
	case n >= 8:
		return load64(s), load64(s[n-8:])
	case n >= 4:
		return load32(s), load32(s[n-4:])
	case n > 0:
		return uint64(s[0]) | uint64(s[n>>1])<<8 | uint64(s[n-1])<<16, 0
	}
	return 0, 0
}

// endedText is a text and its ends: those of thousands of texts are fetched more
// quickly than what the texts themselves point to.
type endedText struct {
	text        string
	first, last uint64
}

func ended(text string) endedText {
	first, last := textEnds(text)
	return endedText{text, first, last}
}

// key is the text as a key.
func (t *endedText) key() textSlot {
	return textSlot{first: t.first, last: t.last, length: int32(len(t.text))}
}

func textHash(first, last uint64, n int) uint64 {
	const k1, k2 = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
	high, low := bits.Mul64(first^uint64(n)^k1, last^k2)
	return high ^ low
}

func load64(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func load32(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

// get returns the value of a key, 0 where it has none.
func (m *textMap) get(key string) int32 {
	if m.count == 0 {
		return 0
	}
	first, last := textEnds(key)
	mask := uint64(len(m.slots) - 1)
	for i := textHash(first, last, len(key)) & mask; ; i = (i + 1) & mask {
		s := &m.slots[i]
		if s.value == 0 {
			return 0
		}
		if s.first == first && s.last == last && int(s.length) == len(key) && (len(key) <= longText || m.texts[i] == key) {
			return s.value
		}
	}
}

// of is get for a text whose ends are known.
func (m *textMap) of(key *endedText) int32 {
	if m.count == 0 {
		return 0
	}
	return m.slots[m.find(key.key(), key.text)].value
}

// find is where a key stands, or where it would. There must be a free slot.
// Of a key that is not long, its text does not matter.
func (m *textMap) find(key textSlot, text string) uint64 {
	mask := uint64(len(m.slots) - 1)
	for i := textHash(key.first, key.last, int(key.length)) & mask; ; i = (i + 1) & mask {
		s := &m.slots[i]
		if s.value == 0 {
			return i
		}
		if s.first == key.first && s.last == key.last && s.length == key.length && (key.length <= longText || m.texts[i] == text) {
			return i
		}
	}
}

// put gives a new key a value above 0.
func (m *textMap) put(key string, value int32) {
	if 2*(m.count+1) > len(m.slots) {
		m.grow()
	}
	if len(key) > longText && m.texts == nil {
		m.texts = make([]string, len(m.slots))
	}
	m.count++
	first, last := textEnds(key)
	at := m.place(textSlot{first, last, int32(len(key)), value})
	if m.texts != nil {
		m.texts[at] = key
	}
}

// number returns the value of a key; a new one gets the count of keys, from 1.
func (m *textMap) number(key textSlot, text string) (value int32, added bool) {
	if 2*(m.count+1) > len(m.slots) {
		m.grow()
	}
	if key.length > longText && m.texts == nil {
		m.texts = make([]string, len(m.slots))
	}
	at := m.find(key, text)
	s := &m.slots[at]
	if s.value > 0 {
		return s.value, false
	}
	m.count++
	*s = textSlot{key.first, key.last, key.length, int32(m.count)}
	if m.texts != nil {
		m.texts[at] = text
	}
	return s.value, true
}

// reset empties the map and keeps its memory.
func (m *textMap) reset() {
	clear(m.slots)
	m.texts, m.count = nil, 0
}

// fitted is a copy that takes no more memory than it must. The values must be
// those that number gave: whatever memory the map had before, the copy is the same.
func (m *textMap) fitted() textMap {
	fit := textMap{slots: make([]textSlot, roomFor(m.count)), count: m.count}
	if m.texts != nil {
		fit.texts = make([]string, len(fit.slots))
	}
	places := make([]int32, m.count) // by value
	for i := range m.slots {
		if value := m.slots[i].value; value > 0 {
			places[value-1] = int32(i)
		}
	}
	for _, i := range places {
		if at := fit.place(m.slots[i]); m.texts != nil {
			fit.texts[at] = m.texts[i]
		}
	}
	return fit
}

// roomFor is how many slots so many keys take.
func roomFor(keys int) int { return max(8, 1<<bits.Len(uint(2*keys-1))) }

// reserve makes room for so many keys, before the first one.
func (m *textMap) reserve(keys int, slots *slab[textSlot]) {
	m.slots = slots.cut(roomFor(keys))
}

func (m *textMap) grow() {
	slots, texts := m.slots, m.texts
	m.slots = make([]textSlot, max(8, 2*len(slots)))
	if texts != nil {
		m.texts = make([]string, len(m.slots))
	}
	for i, s := range slots {
		if s.value == 0 {
			continue
		}
		if at := m.place(s); texts != nil {
			m.texts[at] = texts[i]
		}
	}
}

func (m *textMap) place(s textSlot) uint64 {
	mask := uint64(len(m.slots) - 1)
	i := textHash(s.first, s.last, int(s.length)) & mask
	for m.slots[i].value != 0 {
		i = (i + 1) & mask
	}
	m.slots[i] = s
	return i
}
