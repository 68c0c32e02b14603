// Package velocity counts events by key over sliding windows: how many, the
// sum, the largest and how many different values of a field.
//
//	velocity.go  Store, its bounds and what it tells of itself
//	plan.go      what is counted: tables of columns and windows, by key
//	run.go       counting and reading, an Op at a time
//	shard.go     a part of the keys: index, slots, events seen, expiry and eviction
//	index.go     from a key's hash to its entry
//	prefetch_*   memory that is fetched before it is needed
//	slab.go      memory of entries, arena.go where it comes from
//	events.go    which events were counted
//	entry.go     an entry: rows of counts in the order of time
//	read.go      windows over the rows
//	rebuild.go   an entry that grows, widens or is merged
//	seen.go      different values: exact, then a sample
//	seal.go      hashes
//	record.go    what a Log is told, and its replay
//	snapshot.go  all counters as bytes, and back
//
// All windows of one key share one entry: a row holds what was counted in the
// same step of every window that reaches it, so a key with few events takes
// few rows whatever its windows are.
//
// A window slides in Config.Steps steps: it covers the last Steps-1 to Steps
// of them and counts all within that exactly. An event that is late by more
// than a window may read that window with the resolution of the next longer
// one. Different values are counted exactly up to Config.Distinct and beyond
// that estimated with a standard error of 1/sqrt(values kept), see seen.go.
// Keys are known by 128-bit hashes only; that two of n keys are taken for one
// has a probability of n*n/2^129, for ten million 10^-25.
//
// Time is the events' own, in whole seconds; an event later than the clock by
// more than Config.Skew counts as now. A Store is safe for concurrent use. It
// starts no goroutine and does no I/O.
package velocity

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Partitions is how many parts the keys are spread over by their hash. A
	// partition has one lock, and one owner among replicas.
	Partitions = 256
	// MaxKey is the longest key with its part, in bytes; longer ones read as
	// missing.
	MaxKey = 256
)

// Config bounds a store. Zero fields mean the default.
type Config struct {
	MaxBytes int64            // memory for counters, 64 MiB; 4 MiB at least
	Steps    int              // in which a window slides, 60; fewer take less memory
	Distinct int              // different values of a key that are counted exactly, 512
	Skew     time.Duration    // how far events may be ahead of the clock, 5 minutes
	Clock    func() time.Time // time.Now
	// Secret makes hashes of keys; stores that exchange counters share it.
	// Random by default.
	Secret []byte
	// Warming tells readings of a window that has been counted for less than
	// its length.
	Warming bool
	// Log is told of each event counted. Nil: none.
	Log Log
	// Allocate returns zeroed memory, such as memory.Allocate in huge pages.
	// Default Go's make.
	Allocate func(bytes int) []byte
}

// Store holds counters.
type Store struct {
	config Config
	keys   hashKeys
	shards [Partitions]shard
	arena  arena

	late, future, crowded atomic.Int64

	tables atomic.Pointer[[]*table]
	mu     sync.Mutex // of adding tables and of changing one
	named  map[tableName]int
}

// Stats tells what a store holds and has dropped.
type Stats struct {
	Keys, Bytes int64
	Evicted     int64 // keys dropped to stay within MaxBytes though they still counted
	Expired     int64 // keys dropped because their windows had passed
	Late        int64 // events older than their windows
	Future      int64 // events ahead of the clock
	Crowded     int64 // samples not counted: too many units of a field, or too many steps of a key
	Warming     int64 // windows counted for less than their length
	Windows     int64
}

// New returns an empty store.
func New(config Config) *Store {
	if config.MaxBytes <= 0 {
		config.MaxBytes = 64 << 20
	}
	config.MaxBytes = max(config.MaxBytes, 4<<20)
	if config.Steps <= 0 {
		config.Steps = 60
	}
	if config.Distinct <= 0 {
		config.Distinct = 512
	}
	config.Steps = min(config.Steps, maxSteps)
	config.Distinct = min(max(config.Distinct, 8), maxDistinct)
	if config.Skew <= 0 {
		config.Skew = 5 * time.Minute
	}
	if config.Clock == nil {
		config.Clock = time.Now
	}
	if len(config.Secret) == 0 {
		config.Secret = make([]byte, 32)
		_, _ = rand.Read(config.Secret) // never fails
	}
	s := &Store{config: config, keys: newHashKeys(config.Secret), named: map[tableName]int{}}
	s.tables.Store(&[]*table{})
	s.arena.allocate = config.Allocate
	for i := range s.shards {
		s.shards[i].init(config.MaxBytes/Partitions, &s.arena)
	}
	return s
}

// Now returns the time at which an event of that time counts, in Unix
// microseconds: its own, or the clock's when it has none or is ahead of it.
func (s *Store) Now(at int64, known bool) int64 {
	now := s.config.Clock()
	if !known {
		return now.UnixMicro()
	}
	if at > now.Add(s.config.Skew).UnixMicro() {
		s.future.Add(1)
		return now.UnixMicro()
	}
	return at
}

// Hash returns the hash by which values and ids of events are told apart. It
// is never 0 but for the empty string.
func (s *Store) Hash(value string) uint64 { return s.keys.value(value) }

// Stats returns what the store holds and has dropped.
func (s *Store) Stats() Stats {
	stats := Stats{Late: s.late.Load(), Future: s.future.Load(), Crowded: s.crowded.Load()}
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		stats.Keys += int64(shard.index.used)
		stats.Bytes += shard.bytes()
		stats.Evicted += shard.evicted
		stats.Expired += shard.expired
		shard.mu.Unlock()
	}
	now := s.config.Clock().Unix()
	for _, t := range *s.tables.Load() {
		state := t.state.Load()
		for i := range state.windows {
			stats.Windows++
			if now-state.windows[i].since < int64(state.windows[i].length) {
				stats.Warming++
			}
		}
	}
	return stats
}
