package program

// textMap finds small numbers by text. It is built once and then only read;
// looking a text up hashes at most sixteen of its bytes.
type textMap struct {
	slots []textSlot // a power of two, at most half full
	count int
}

type textSlot struct {
	key   string
	value int32 // 0: free
}

// textHash mixes the length and both ends of a text.
func textHash(s string) uint64 {
	const m1, m2 = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
	n := len(s)
	var first, last uint64
	switch {
	case n >= 8:
		first, last = load64(s), load64(s[n-8:])
	case n >= 4:
		first, last = load32(s), load32(s[n-4:])
	case n > 0:
		first = uint64(s[0]) | uint64(s[n>>1])<<8 | uint64(s[n-1])<<16
	}
	h := (first ^ uint64(n)) * m1
	h = (h ^ h>>32 ^ last) * m2
	return h ^ h>>29
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
	mask := uint64(len(m.slots) - 1)
	for i := textHash(key) & mask; ; i = (i + 1) & mask {
		s := &m.slots[i]
		if s.value == 0 {
			return 0
		}
		if s.key == key {
			return s.value
		}
	}
}

// put gives a key a value above 0.
func (m *textMap) put(key string, value int32) {
	if 2*(m.count+1) > len(m.slots) {
		old := m.slots
		m.slots = make([]textSlot, max(8, 2*len(old)))
		for _, s := range old {
			if s.value != 0 {
				m.place(s)
			}
		}
	}
	m.count++
	m.place(textSlot{key, value})
}

func (m *textMap) place(s textSlot) {
	mask := uint64(len(m.slots) - 1)
	i := textHash(s.key) & mask
	for m.slots[i].value != 0 {
		i = (i + 1) & mask
	}
	m.slots[i] = s
}
