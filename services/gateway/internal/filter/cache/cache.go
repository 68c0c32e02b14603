// Package cache keeps what was verified until it expires, under a SHA-256
// digest, in a fixed number of places: four for each set of digests. A fifth
// of a set takes the place that expires first.
//
// Reading takes no lock and allocates nothing. It keeps no secret: a digest
// does not give away what it was made of.
package cache

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"
)

// Digest names what was verified.
type Digest = [32]byte

const ways = 4

// Table is the cache. Make one by New; it is safe for concurrent use.
type Table[V any] struct {
	sets []set[V]
	mask uint64
}

type set[V any] [ways]atomic.Pointer[entry[V]]

type entry[V any] struct {
	digest Digest
	until  int64
	value  V
}

// New returns an empty table of at least so many places, 8 bytes each.
func New[V any](places int) *Table[V] {
	sets := 1 << bits.Len(uint(max(places/ways, 1)-1))
	return &Table[V]{sets: make([]set[V], sets), mask: uint64(sets - 1)}
}

func (t *Table[V]) set(digest *Digest) *set[V] {
	return &t.sets[binary.LittleEndian.Uint64(digest[:8])&t.mask]
}

// Get returns what was put under a digest, if it is good after now (Unix
// nanoseconds).
func (t *Table[V]) Get(digest *Digest, now int64) (value V, found bool) {
	s := t.set(digest)
	for i := range s {
		if e := s[i].Load(); e != nil && e.digest == *digest && e.until > now {
			return e.value, true
		}
	}
	return value, false
}

// Put keeps a value until a time (Unix nanoseconds), and longer where nothing
// takes its place: Get does not give it then.
func (t *Table[V]) Put(digest *Digest, until int64, value V) {
	s := t.set(digest)
	place, soonest := 0, int64(0)
	for i := range s {
		e := s[i].Load()
		if e == nil || e.digest == *digest {
			place = i
			break
		}
		if i == 0 || e.until < soonest {
			place, soonest = i, e.until
		}
	}
	s[place].Store(&entry[V]{digest: *digest, until: until, value: value})
}
