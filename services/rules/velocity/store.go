// Package velocity counts events by key over sliding windows: how many, the
// sum, the largest and how many different values of a field. store.go holds
// the counters in bounded memory, window.go does the arithmetic of one key.
//
// A window slides in 60 steps: it covers the last 59 to 60 sixtieths of its
// length, and counts all within that exactly. Different values are counted
// exactly up to MaxDistinct. Time is the events' own; an event later than the
// clock by more than Config.Skew counts as now.
//
// A Store is in memory only. It is safe for concurrent use.
package velocity

import (
	"container/list"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	shardCount = 32
	// MaxKey is the longest key, in bytes; longer ones read as missing.
	MaxKey = 256
	// rememberedEvents is the size of each of two generations of event ids.
	rememberedEvents = 1 << 16
	entryOverhead    = 160 // map slot, list element and headers, in bytes
)

// Config bounds a store. Zero fields mean the default.
type Config struct {
	MaxBytes int64            // memory for counters, 64 MiB
	Skew     time.Duration    // how far events may be ahead of the clock, 5 minutes
	Clock    func() time.Time // time.Now
}

// Store holds counters.
type Store struct {
	config Config
	seed   maphash.Seed
	shards [shardCount]shard

	evicted, expired, late, future atomic.Int64

	mu            sync.Mutex
	events, older map[uint64]struct{} // hashes of ids of counted events
}

// Stats tells what a store holds and has dropped.
type Stats struct {
	Keys, Bytes int64
	Evicted     int64 // keys dropped to stay within MaxBytes though they still counted
	Expired     int64 // keys dropped because their window had passed
	Late        int64 // events older than their window
	Future      int64 // events ahead of the clock
}

type shard struct {
	mu      sync.Mutex
	entries map[key]*list.Element // of *entry
	recent  list.List             // most recently used first
	bytes   int64
}

type key struct {
	counter uint64
	Key
}

// Key is what a counter counts apart. Part and Unit may be empty.
type Key struct {
	By   string // value of the field that the counter goes by
	Unit string // such as a currency
	Part string // such as a tenant
}

type entry struct {
	key    key
	step   int64 // length of a step in microseconds
	window window
	bytes  int64
}

// New returns an empty store.
func New(config Config) *Store {
	if config.MaxBytes <= 0 {
		config.MaxBytes = 64 << 20
	}
	if config.Skew <= 0 {
		config.Skew = 5 * time.Minute
	}
	if config.Clock == nil {
		config.Clock = time.Now
	}
	s := &Store{config: config, seed: maphash.MakeSeed(), events: map[uint64]struct{}{}}
	for i := range s.shards {
		s.shards[i].entries = map[key]*list.Element{}
		s.shards[i].recent.Init()
	}
	return s
}

// Spec names a counter. Equal specs share their counts.
type Spec struct {
	Scope  string // whose counter: tenant and ruleset
	Of     string // event or field
	By     string // field of the key
	Window time.Duration
}

// Counter is one counter of a store: a window for each key.
type Counter struct {
	store *Store
	id    uint64
	step  int64
}

// Counter returns the counter of a spec. Its window is at least a minute.
func (s *Store) Counter(spec Spec) Counter {
	var h maphash.Hash
	h.SetSeed(s.seed)
	for _, part := range [...]string{spec.Scope, spec.Of, spec.By, spec.Window.String()} {
		h.WriteString(part)
		h.WriteByte(0)
	}
	return Counter{s, h.Sum64(), max(spec.Window.Microseconds(), 60_000_000) / steps}
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

// FirstTime reports whether an event of this id has not been counted yet in a
// scope and part, and remembers it. It knows the last 65,536 ids at least. An
// empty id is always new.
func (s *Store) FirstTime(scope, part, id string) bool {
	if id == "" {
		return true
	}
	var h maphash.Hash
	h.SetSeed(s.seed)
	h.WriteString(scope)
	h.WriteByte(0)
	h.WriteString(part)
	h.WriteByte(0)
	h.WriteString(id)
	sum := h.Sum64()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.events[sum]; ok {
		return false
	}
	if _, ok := s.older[sum]; ok {
		return false
	}
	if len(s.events) == rememberedEvents {
		s.older, s.events = s.events, make(map[uint64]struct{}, rememberedEvents)
	}
	s.events[sum] = struct{}{}
	return true
}

// Hash returns the hash by which different values are told apart.
func (s *Store) Hash(value string) uint64 { return maphash.String(s.seed, value) }

// Add counts an event of the time at (see Store.Now) and reads the window that
// ends with it. value is added to the sum, hash counts as a value. ok is false
// for a key that is empty or too long.
func (c Counter) Add(at int64, k Key, value int64, hash uint64) (reading Reading, ok bool) {
	return c.access(at, k, func(w *window, step int64) bool { return w.add(step, value, hash) })
}

// Read reads the window that ends at a time. A key never counted reads zero.
func (c Counter) Read(at int64, k Key) (reading Reading, ok bool) {
	return c.access(at, k, nil)
}

func (c Counter) access(at int64, k Key, add func(*window, int64) bool) (Reading, bool) {
	if k.By == "" || len(k.By)+len(k.Unit)+len(k.Part) > MaxKey {
		return Reading{}, false
	}
	step := stepOf(at, c.step)
	shard := &c.store.shards[(maphash.String(c.store.seed, k.By)^c.id)%shardCount]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	element := shard.entries[key{c.id, k}]
	if element == nil {
		if add == nil {
			return Reading{}, true
		}
		owned := Key{strings.Clone(k.By), strings.Clone(k.Unit), strings.Clone(k.Part)}
		element = shard.insert(key{c.id, owned}, c.step)
	}
	e := element.Value.(*entry)
	shard.recent.MoveToFront(element)
	if add != nil {
		if !add(&e.window, step) {
			c.store.late.Add(1)
		}
		shard.resize(e)
	}
	reading := e.window.read(step)
	shard.shrink(c.store, at)
	return reading, true
}

// stepOf numbers the step that a time is in; steps before 1970 are negative.
func stepOf(at, length int64) int64 {
	step := at / length
	if at%length < 0 {
		step--
	}
	return step
}

func (s *shard) insert(k key, step int64) *list.Element {
	e := &entry{key: k, step: step}
	element := s.recent.PushFront(e)
	s.entries[k] = element
	return element
}

// resize accounts for the memory that an entry takes now.
func (s *shard) resize(e *entry) {
	bytes := int64(entryOverhead+len(e.key.By)+len(e.key.Unit)+len(e.key.Part)) + e.window.bytes()
	s.bytes += bytes - e.bytes
	e.bytes = bytes
}

// shrink drops what has expired at the end of the queue, and what is least
// recently used while the shard is above its share.
func (s *shard) shrink(store *Store, at int64) {
	share := store.config.MaxBytes / shardCount
	for range 2 {
		last := s.recent.Back()
		if last == nil || last.Prev() == nil {
			return
		}
		e := last.Value.(*entry)
		if e.window.newest() > stepOf(at, e.step)-steps {
			break
		}
		s.drop(last)
		store.expired.Add(1)
	}
	for s.bytes > share && s.recent.Len() > 1 {
		s.drop(s.recent.Back())
		store.evicted.Add(1)
	}
}

func (s *shard) drop(element *list.Element) {
	e := s.recent.Remove(element).(*entry)
	delete(s.entries, e.key)
	s.bytes -= e.bytes
}

// Stats returns what the store holds and has dropped.
func (s *Store) Stats() Stats {
	stats := Stats{Evicted: s.evicted.Load(), Expired: s.expired.Load(), Late: s.late.Load(), Future: s.future.Load()}
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		stats.Keys += int64(len(shard.entries))
		stats.Bytes += shard.bytes
		shard.mu.Unlock()
	}
	return stats
}
