// Package bucket limits how often something may happen, for each key: token
// buckets, kept as the one instant at which a bucket would be full again (the
// generic cell rate algorithm, ITU-T I.371). Such a bucket fills by itself as
// time passes, and one that is full need not be kept at all.
//
// It has no clock and no goroutine. A Table is safe for concurrent use.
package bucket

import (
	"errors"
	"math"
	"sync"
	"time"
)

const (
	shards = 64
	// looked is how many buckets are looked at for one that may go when room is
	// needed.
	looked = 8
	// DefaultKeys bounds the buckets of a table where nothing is said.
	DefaultKeys = 100_000
)

// Limit is the rate and the size of buckets.
type Limit struct {
	Rate  float64 // tokens per second, above 0
	Burst float64 // tokens that a full bucket holds, at least 1
}

// Check tells what keeps a limit from being kept.
func (l Limit) Check() error {
	switch {
	case !(l.Rate > 0) || l.Rate > 1e8:
		return errors.New("rate: must be above 0 and at most 100,000,000 a second")
	case !(l.Burst >= 1) || l.Burst/l.Rate > 366*24*3600:
		return errors.New("burst: must be at least 1 and no more than a year fills")
	}
	return nil
}

// Table is a bucket for each key.
type Table struct {
	interval float64 // nanoseconds that make a token
	capacity int64   // nanoseconds that make a full bucket
	perShard int
	shards   [shards]shard
}

type shard struct {
	mu   sync.Mutex
	full map[uint64]int64 // when each bucket is full again, Unix nanoseconds
	_    [40]byte         // a line of the processor's cache each
}

// New returns a table for a limit that Check has passed. keys bounds the
// buckets; below 1: DefaultKeys.
func New(limit Limit, keys int) *Table {
	if keys < 1 {
		keys = DefaultKeys
	}
	t := &Table{
		interval: 1e9 / limit.Rate, capacity: int64(math.Round(limit.Burst * 1e9 / limit.Rate)),
		perShard: max((keys+shards-1)/shards, 1),
	}
	for i := range t.shards {
		t.shards[i].full = map[uint64]int64{}
	}
	return t
}

// Take takes tokens of a key's bucket at an instant (Unix nanoseconds), more
// than 0 and not above the burst. Where there are not as many it takes none and
// tells after how long there will be.
func (t *Table) Take(key uint64, tokens float64, now int64) (wait time.Duration, taken bool) {
	// The hash of a key is spread over its bits; the map looks at others.
	s := &t.shards[key>>32%shards]
	s.mu.Lock()
	full, known := s.full[key]
	// A bucket that would take longer to fill than an empty one was written
	// before the clock was set back.
	start := min(max(full, now), now+t.capacity)
	next := start + int64(t.interval*tokens+.5)
	if late := next - now - t.capacity; late > 0 {
		s.mu.Unlock()
		return time.Duration(late), false
	}
	if !known && len(s.full) >= t.perShard {
		s.makeRoom(now)
	}
	s.full[key] = next
	s.mu.Unlock()
	return 0, true
}

// makeRoom drops the buckets that are full among some, or else the fullest of
// them. The map begins at a random one each time.
func (s *shard) makeRoom(now int64) {
	var fullest uint64
	soonest, seen := int64(math.MaxInt64), 0
	dropped := false
	for key, full := range s.full {
		if full <= now {
			delete(s.full, key)
			dropped = true
		} else if full < soonest {
			fullest, soonest = key, full
		}
		if seen++; seen == looked {
			break
		}
	}
	if !dropped {
		delete(s.full, fullest)
	}
}

// Len is the number of buckets kept.
func (t *Table) Len() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.full)
		s.mu.Unlock()
	}
	return n
}
