package velocity

import "sync"

// shard is one partition of the keys.
type shard struct {
	mu          sync.Mutex
	turn        uint32
	index       index
	slab        slab
	sweep, hand cursor // of expiry and of eviction
	events      events
	share       int64 // bytes that it may take
	since       int64 // Unix seconds from which on it is counted
	evicted     int64
	expired     int64
	builder     rebuilder
	reader      reader // of the key at hand
}

// cursor goes round all slots.
type cursor struct{ chunk, slot uint32 }

const (
	// evictSteps and expireSteps bound how many slots one operation looks at.
	// It looks for expired ones with each new key, and every so many events.
	evictSteps  = 4096
	expireSteps = 4
	sweepEvery  = 32
	// compactEvery is how many slots are looked at between emptying chunks.
	compactEvery = 8
	// maxPlainGrowth is the size from which on an entry that is full is merged.
	maxPlainGrowth = 192
)

func (s *shard) init(share int64, a *arena) {
	s.share, s.slab.arena, s.index.arena = share, a, a
	s.events.limit = int(min(max(share/256, 16), 1024))
}

func (s *shard) bytes() int64 { return s.slab.bytes + s.index.bytes() + s.events.bytes() }

func (s *shard) entry(ref uint32) entry {
	data, size := s.slab.slot(ref)
	return entry{data, size}
}

// spot is where a key is. entry and ref mean something where it was found.
type spot struct {
	hash  keyHash
	entry entry
	ref   uint32
	found bool
}

// find looks for a key, of which the hash is known.
func (s *shard) find(key *spot) {
	slots := s.index.slots
	if len(slots) == 0 {
		return
	}
	part := fragment(key.hash)
	for at, mask := s.index.first(key.hash); slots[at] != 0; at = (at + 1) & mask {
		if slots[at]>>32 != part {
			continue
		}
		ref := uint32(slots[at]) - 1
		if e := s.entry(ref); e.is(key.hash) {
			key.ref, key.entry, key.found = ref, e, true
			return
		}
	}
}

// prefetch fetches the entry of a hash, or another with the same part of it.
func (s *shard) prefetch(h keyHash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slots := s.index.slots
	if len(slots) == 0 {
		return
	}
	part := fragment(h)
	for at, mask := s.index.first(h); slots[at] != 0; at = (at + 1) & mask {
		if slots[at]>>32 == part {
			prefetchEntry(s.slab.address(uint32(slots[at]) - 1))
			return
		}
	}
}

// add counts a sample that is not late. Afterwards the key is where it is then.
func (s *shard) add(store *Store, t *table, state *tableState, key *spot, sample *sample) {
	limit := state.distinctLimit(store.config.Distinct)
	if !key.found {
		s.builder.rows = s.builder.rows[:0]
		s.builder.empty(state)
		s.builder.count(sample, sample.time)
		s.write(store, t, state, key, sample.time)
		return
	}
	e := key.entry
	e.data[0] |= referenced
	newest := e.newest()
	if sample.time > newest {
		if !state.reaches(newest, sample.time) {
			e.setRows(0)
			for column := range e.seens() {
				e.setSeen(column, 0, 0)
			}
		}
		newest = sample.time
		e.setNewest(newest)
	}
	for {
		if e.see(sample, state, limit) && (!sample.row || e.addInPlace(sample, state)) {
			return
		}
		if e.dropPassed(state.low(newest)) {
			continue
		}
		if !s.grow(state, key) {
			break
		}
		e = key.entry
	}
	s.builder.open(e, state)
	s.builder.count(sample, newest)
	s.builder.merge(state, newest, limit)
	s.write(store, t, state, key, newest)
}

// write puts what the builder holds into a slot that leaves room for more, the
// entry's own one if that fits.
func (s *shard) write(store *Store, t *table, state *tableState, key *spot, newest uint32) {
	widths, rowBytes, bytes, dropped := s.builder.fit(state)
	if dropped {
		store.crowded.Add(1)
	}
	class := classOf(min(max(bytes+rowBytes+seenBytes, minSlot), maxEntry))
	if !key.found || s.slab.chunks[key.ref>>slotBits].class != class {
		if key.found {
			s.index.remove(key.hash, key.ref)
			s.slab.give(key.ref)
		}
		s.makeRoom(store, class)
		key.ref, key.found = s.slab.take(class), true
		s.index.put(key.hash, key.ref)
	}
	key.entry = s.entry(key.ref)
	s.builder.write(key.entry, t, state, key.hash, newest, &widths, rowBytes)
}

// grow moves an entry as it is into the next larger slot. It returns false
// where rebuilding is called for: nothing is short, something can be dropped
// or merged, or memory is.
func (s *shard) grow(state *tableState, key *spot) bool {
	e, class := key.entry, s.slab.chunks[key.ref>>slotBits].class+1
	if e.size > maxPlainGrowth || e.values() != state.values || e.seens() != state.seens ||
		e.used()+e.rowBytes()+seenBytes <= e.size {
		return false
	}
	if _, chunk := s.slab.chunkBytes(class); s.slab.full(class) && s.bytes()+int64(chunk) > s.share {
		return false
	}
	to := s.slab.take(class)
	larger := s.entry(to)
	head, tail := e.rowsAt()+e.rows()*e.rowBytes(), e.seenTotal()*seenBytes
	copy(larger.data, e.data[:head])
	copy(larger.data[larger.size-tail:], e.data[e.size-tail:e.size])
	s.index.move(key.hash, key.ref, to)
	s.slab.give(key.ref)
	key.ref, key.entry = to, larger
	return true
}

// makeRoom evicts while what a new entry takes would exceed the share. It looks
// at evictSteps slots at most: then the share is exceeded by a chunk.
func (s *shard) makeRoom(store *Store, class uint8) {
	for step := range evictSteps {
		if step%compactEvery == compactEvery-1 {
			s.compact()
		}
		more := s.index.growth()
		if s.slab.full(class) {
			_, chunk := s.slab.chunkBytes(class)
			more += int64(chunk)
		}
		if more == 0 || s.bytes()+more <= s.share || s.index.used == 0 {
			return
		}
		s.evictNext(store)
	}
}

// evictNext looks at a slot: an entry that was used since the last time is
// passed over once, another one is dropped.
func (s *shard) evictNext(store *Store) {
	ref, e, ok := s.next(&s.hand)
	if !ok {
		return
	}
	if e.data[0]&referenced != 0 {
		e.data[0] &^= referenced
		return
	}
	if store.stateOf(e).expired(e.newest(), uint32(store.config.Clock().Unix())) {
		s.expired++
	} else {
		s.evicted++
	}
	s.drop(ref, e)
}

// compact empties a chunk into others of its class when these have room for
// more than a chunk, so that its memory can serve other sizes.
func (s *shard) compact() {
	number, found := s.slab.sparsest()
	if !found {
		return
	}
	k := &s.slab.chunks[number]
	// While it is being emptied nothing is to be placed in it.
	s.slab.close(number)
	size := int(slotSizes[k.class])
	for slot := range int(k.next) {
		if k.data[slot*size]&live == 0 {
			continue
		}
		from := number<<slotBits | uint32(slot)
		to := s.slab.take(k.class)
		k = &s.slab.chunks[number]
		source, target := s.entry(from), s.entry(to)
		copy(target.data[:size], source.data[:size])
		s.index.move(source.hash(), from, to)
	}
	s.slab.dropClosed(number)
}

// expire drops entries that no window reaches any more, a few at a time.
func (s *shard) expire(store *Store, at uint32) {
	for range expireSteps {
		ref, e, ok := s.next(&s.sweep)
		if ok && store.stateOf(e).expired(e.newest(), at) {
			s.drop(ref, e)
			s.expired++
		}
	}
}

func (s *Store) stateOf(e entry) *tableState { return (*s.tables.Load())[e.table()].state.Load() }

func (s *shard) drop(ref uint32, e entry) {
	s.index.remove(e.hash(), ref)
	s.slab.give(ref)
}

// next moves a cursor by one slot and returns the entry there, if any.
func (s *shard) next(c *cursor) (ref uint32, e entry, ok bool) {
	if len(s.slab.chunks) == 0 {
		return 0, entry{}, false
	}
	if int(c.chunk) >= len(s.slab.chunks) {
		*c = cursor{}
	}
	k := &s.slab.chunks[c.chunk]
	if c.slot >= uint32(k.next) {
		*c = cursor{chunk: c.chunk + 1}
		return 0, entry{}, false
	}
	ref = c.chunk<<slotBits | c.slot
	c.slot++
	e = s.entry(ref)
	return ref, e, e.data[0]&live != 0
}
