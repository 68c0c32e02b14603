package list

import (
	"hash/maphash"
	"iter"
	"math/bits"
)

const (
	slots    = 12 // of a bucket
	perSlots = 8  // entries that a bucket is to hold on average
)

// bucket is one cache line: a byte of the hash of each of its entries, 0 where
// there is none, and where they lie. It is filled from the first slot on.
type bucket struct {
	tags  uint64
	more  uint32 // tags of slots 8 to 11
	where [slots]uint32
}

// table is a set of strings. A value that is not in it costs one cache miss as
// a rule, one that is costs two.
type table struct {
	blob    []byte // entries, each after its length
	buckets []bucket
	count   int
	lengths []uint16 // different lengths of entries, ascending; of prefixes only
}

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// place returns the bucket and the tag of a hash.
func (t *table) place(h uint64) (at int, tag uint64) {
	hi, _ := bits.Mul64(h, uint64(len(t.buckets)))
	return int(hi), max(h&0xff, 1)
}

func (t *table) has(s string, h uint64) bool {
	if len(t.buckets) == 0 {
		return false
	}
	at, tag := t.place(h)
	pattern := tag * lows
	for {
		b := &t.buckets[at]
		// The classic test for zero bytes: the first found is one, others may
		// be mistaken, which comparing the entry shows.
		x := b.tags ^ pattern
		for found := (x - lows) & ^x & highs; found != 0; found &= found - 1 {
			if t.is(b.where[bits.TrailingZeros64(found)>>3], s) {
				return true
			}
		}
		if b.tags>>56 == 0 {
			return false
		}
		y := b.more ^ uint32(pattern)
		for found := (y - uint32(lows&0xffffffff)) & ^y & uint32(highs&0xffffffff); found != 0; found &= found - 1 {
			if t.is(b.where[8+bits.TrailingZeros32(found)>>3], s) {
				return true
			}
		}
		if b.more>>24 == 0 {
			return false
		}
		if at++; at == len(t.buckets) {
			at = 0
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
	t.buckets = make([]bucket, (entries+perSlots-1)/perSlots)
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
	at, tag := t.place(maphash.Bytes(seed, entry))
	for {
		b := &t.buckets[at]
		for slot := range slots {
			old := b.tags >> (8 * slot) & 0xff
			if slot >= 8 {
				old = uint64(b.more) >> (8 * (slot - 8)) & 0xff
			}
			switch {
			case old == 0:
				if slot < 8 {
					b.tags |= tag << (8 * slot)
				} else {
					b.more |= uint32(tag) << (8 * (slot - 8))
				}
				b.where[slot] = uint32(offset)
				return true
			case old == tag:
				if same, _ := t.entry(int(b.where[slot])); string(same) == string(entry) {
					return false
				}
			}
		}
		if at++; at == len(t.buckets) {
			at = 0
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
	return int64(cap(t.blob)) + 64*int64(len(t.buckets)) + 2*int64(cap(t.lengths))
}
