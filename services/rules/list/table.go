package list

import (
	"hash/maphash"
	"iter"
	"math/bits"
)

const (
	slots   = 8 // of a group
	average = 6 // entries that a group is to hold
)

// table is a set of strings: a block of entries, and a hash table of groups of
// slots. A group has a byte of the hash of each of its entries, 0 where there
// is none; it is filled from the lowest on, and those that find it full go to
// the next. The bytes lie apart from the offsets, since most values are not in
// most lists: those end at bytes, of which a million take 1.3 MB.
type table struct {
	blob    []byte // entries, each after its length
	tags    []uint64
	offsets []uint32 // of entries in blob, by group and slot
	count   int
	lengths []uint16 // different lengths of entries, ascending; of prefixes only
}

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// place returns the group and the tag of a hash.
func (t *table) place(h uint64) (group int, tag uint64) {
	hi, _ := bits.Mul64(h, uint64(len(t.tags)))
	return int(hi), max(h&0xff, 1)
}

func (t *table) has(s string, h uint64) bool {
	if len(t.tags) == 0 {
		return false
	}
	group, tag := t.place(h)
	pattern := tag * lows
	for {
		tags := t.tags[group]
		// The classic test for zero bytes: the first found is one, others may
		// be mistaken, which comparing the entry shows.
		x := tags ^ pattern
		for found := (x - lows) & ^x & highs; found != 0; found &= found - 1 {
			if t.is(t.offsets[group*slots+bits.TrailingZeros64(found)>>3], s) {
				return true
			}
		}
		if tags>>56 == 0 {
			return false
		}
		if group++; group == len(t.tags) {
			group = 0
		}
	}
}

// is reports whether the entry at an offset is s.
func (t *table) is(offset uint32, s string) bool {
	entry, _ := t.entry(int(offset))
	return string(entry) == s
}

// entry returns the entry at an offset and where the next begins.
func (t *table) entry(offset int) (entry []byte, next int) {
	n := int(t.blob[offset])
	offset++
	if n >= 0x80 {
		n = n&0x7f | int(t.blob[offset])<<7
		offset++
	}
	return t.blob[offset : offset+n], offset + n
}

// push appends an entry to a block of entries.
func push[T string | []byte](blob []byte, entry T) []byte {
	if n := len(entry); n < 0x80 {
		blob = append(blob, byte(n))
	} else {
		blob = append(blob, byte(n)|0x80, byte(n>>7))
	}
	return append(blob, entry...)
}

// newTable takes a block of so many entries over and drops those that are
// there twice. take is called for each that stays, if it is not nil.
func newTable(blob []byte, entries int, take func(entry []byte)) table {
	t := table{blob: blob}
	if entries == 0 {
		return t
	}
	groups := (entries + average - 1) / average
	t.tags, t.offsets = make([]uint64, groups), make([]uint32, groups*slots)
	kept := 0
	for at := 0; at < len(blob); {
		entry, next := t.entry(at)
		if t.insert(entry, kept) {
			kept += copy(blob[kept:], blob[at:next])
			t.count++
			if take != nil {
				take(blob[kept-len(entry) : kept])
			}
		}
		at = next
	}
	t.blob = blob[:kept]
	if cap(blob)-kept > kept/4 {
		t.blob = append(make([]byte, 0, kept), t.blob...)
	}
	return t
}

// insert files an entry that will lie at an offset, unless it is there.
func (t *table) insert(entry []byte, offset int) bool {
	group, tag := t.place(maphash.Bytes(seed, entry))
	for {
		for slot := range slots {
			switch t.tags[group] >> (8 * slot) & 0xff {
			case 0:
				t.tags[group] |= tag << (8 * slot)
				t.offsets[group*slots+slot] = uint32(offset)
				return true
			case tag:
				if same, _ := t.entry(int(t.offsets[group*slots+slot])); string(same) == string(entry) {
					return false
				}
			}
		}
		if group++; group == len(t.tags) {
			group = 0
		}
	}
}

// all yields the entries; they must not be kept or changed.
func (t *table) all() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for at := 0; at < len(t.blob); {
			entry, next := t.entry(at)
			if !yield(entry) {
				return
			}
			at = next
		}
	}
}

func (t *table) size() int64 {
	return int64(cap(t.blob)) + 8*int64(len(t.tags)) + 4*int64(len(t.offsets)) + 2*int64(cap(t.lengths))
}
