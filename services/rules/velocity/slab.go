package velocity

import (
	"encoding/binary"
	"slices"
	"unsafe"
)

// slab is memory for entries: chunks that hold slots of one size each. A slot
// without an entry begins with a zero byte. Chunks hold no pointers, so that
// the garbage collector does not look into them.
type slab struct {
	chunks  []chunk
	places  []place  // beside chunks: all that finding a slot needs, so that it stays in the cache
	free    []uint32 // numbers of chunks that were given back
	classes [classes]class
	bytes   int64
	arena   *arena
}

// place is where a chunk's slots are.
type place struct {
	begin *byte
	size  int // of a slot
}

// class is the slots of one size.
type class struct {
	partial []uint32 // chunks that have room
	room    int      // slots in them
}

type chunk struct {
	data    []byte // and slack, so that 8 bytes can be read at any byte of a slot
	class   uint8
	live    uint16
	next    uint16 // slots from here on were never used
	vacant  uint16 // 1 + the first of the slots that were freed
	partial bool
}

const (
	slack    = 8
	minChunk = 512
	maxChunk = 64 << 10
	slotBits = 10 // of a ref: the slot; above them the chunk
	maxSlots = 1 << slotBits
	minSlot  = 64
	maxEntry = 64 << 10 // bytes
	classes  = 37
)

// slotSizes rise by a fifth or more, in cache lines.
var slotSizes = func() (sizes [classes]uint32) {
	size := uint32(minSlot)
	for i := range sizes {
		sizes[i] = min(size, maxEntry)
		size += max(64, size/5/64*64)
	}
	return sizes
}()

// classOf is the smallest class of at least so many bytes, at most maxEntry.
func classOf(bytes int) uint8 {
	lo, hi := 0, classes-1
	for lo < hi {
		mid := (lo + hi) / 2
		if int(slotSizes[mid]) >= bytes {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return uint8(lo)
}

// chunkBytes is what the next chunk of a class takes: a part of what there is,
// so that chunks that are not full stay a small part of it, and a power of two
// where that fits, of which Go wastes nothing.
func (s *slab) chunkBytes(class uint8) (slots, bytes int) {
	size := int(slotSizes[class])
	bytes = minChunk
	for int64(bytes) < max(s.bytes/32, (s.bytes-maxChunk)/12) && bytes < maxChunk {
		bytes *= 2
	}
	slots = min(max((bytes-slack)/size, 1), maxSlots)
	return slots, max(bytes, size+slack)
}

func (s *slab) full(class uint8) bool { return s.classes[class].room == 0 }

// take gives a slot of a class. Its content is not defined.
func (s *slab) take(class uint8) (ref uint32) {
	c := &s.classes[class]
	if c.room == 0 {
		s.addChunk(class)
	}
	number := c.partial[len(c.partial)-1]
	k := &s.chunks[number]
	var slot uint16
	if k.vacant > 0 {
		slot = k.vacant - 1
		k.vacant = binary.LittleEndian.Uint16(k.data[int(slot)*int(slotSizes[class])+2:])
	} else {
		slot = k.next
		k.next++
	}
	k.live++
	c.room--
	if int(k.live) == k.slots() {
		k.partial = false
		c.partial = c.partial[:len(c.partial)-1]
	}
	return number<<slotBits | uint32(slot)
}

func (s *slab) addChunk(class uint8) {
	slots, bytes := s.chunkBytes(class)
	made := chunk{data: s.arena.take(bytes), class: class, partial: true}
	number := uint32(len(s.chunks))
	if n := len(s.free); n > 0 {
		number = s.free[n-1]
		s.free = s.free[:n-1]
	} else {
		s.chunks, s.places = append(s.chunks, chunk{}), append(s.places, place{})
	}
	s.chunks[number], s.places[number] = made, place{&made.data[0], int(slotSizes[class])}
	s.bytes += int64(bytes)
	c := &s.classes[class]
	c.partial = append(c.partial, number)
	c.room += slots
}

func (k *chunk) slots() int { return (len(k.data) - slack) / int(slotSizes[k.class]) }

// slot is the memory of a ref, with the slack after it; size is without.
func (s *slab) slot(ref uint32) (data []byte, size int) {
	size = s.places[ref>>slotBits].size
	return unsafe.Slice(s.address(ref), size+slack), size
}

// address is where the memory of a ref begins.
func (s *slab) address(ref uint32) *byte {
	p := &s.places[ref>>slotBits]
	return (*byte)(unsafe.Add(unsafe.Pointer(p.begin), int(ref&(maxSlots-1))*p.size))
}

// give takes a slot back. A chunk without entries goes back to Go, unless it
// is the last one of its class with room.
func (s *slab) give(ref uint32) {
	number := ref >> slotBits
	k := &s.chunks[number]
	c := &s.classes[k.class]
	slot := uint16(ref & (maxSlots - 1))
	begin := int(slot) * int(slotSizes[k.class])
	k.data[begin] = 0
	binary.LittleEndian.PutUint16(k.data[begin+2:], k.vacant)
	k.vacant = slot + 1
	k.live--
	c.room++
	if !k.partial {
		k.partial = true
		c.partial = append(c.partial, number)
	}
	if k.live == 0 && c.room > k.slots() {
		s.dropChunk(number)
	}
}

// dropChunk gives an empty chunk back.
func (s *slab) dropChunk(number uint32) {
	s.close(number)
	s.dropClosed(number)
}

// close takes the room of a chunk out of its class.
func (s *slab) close(number uint32) {
	k := &s.chunks[number]
	c := &s.classes[k.class]
	at := slices.Index(c.partial, number)
	c.partial[at] = c.partial[len(c.partial)-1]
	c.partial = c.partial[:len(c.partial)-1]
	c.room -= k.slots() - int(k.live)
}

// dropClosed gives a closed chunk back, whose entries are elsewhere.
func (s *slab) dropClosed(number uint32) {
	s.bytes -= int64(len(s.chunks[number].data))
	s.arena.give(s.chunks[number].data)
	s.chunks[number], s.places[number] = chunk{}, place{}
	s.free = append(s.free, number)
}

// clear gives everything back.
func (s *slab) clear() {
	for i := range s.chunks {
		s.arena.give(s.chunks[i].data)
	}
	*s = slab{arena: s.arena}
}

// sparsest is the chunk with the least in it, of those that are empty or whose
// class has room for it elsewhere.
func (s *slab) sparsest() (number uint32, found bool) {
	best := -1
	for i := range s.classes {
		c := &s.classes[i]
		for _, n := range c.partial {
			k := &s.chunks[n]
			if k.live > 0 && c.room < 2*k.slots() {
				continue
			}
			if bytes := int(k.live) * int(slotSizes[i]); best < 0 || bytes < best {
				best, number = bytes, n
			}
		}
	}
	return number, best >= 0
}
