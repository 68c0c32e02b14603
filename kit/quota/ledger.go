package quota

import (
	"sync"
	"time"
)

const (
	// DefaultBuckets bounds a Ledger where nothing is said.
	DefaultBuckets = 200_000
	// replicaTime is how long a replica that does not ask counts as one.
	replicaTime = 30 * time.Second
	// mostReplicas bounds those that are counted.
	mostReplicas = 10_000
	// looked is how many buckets are looked at for one that may go.
	looked = 8
)

// LedgerConfig configures a Ledger. Zero fields mean what is written beside
// them.
type LedgerConfig struct {
	Buckets int        // kept at most, the fullest go first; DefaultBuckets
	Parts   func() int // ledgers that each hold a part of every limit; 1
}

// Ledger holds the buckets. It is safe for concurrent use.
type Ledger struct {
	config LedgerConfig

	mu       sync.Mutex
	buckets  map[bucketKey]*bucket
	replicas map[string]time.Time // when each last asked
	pruned   time.Time
	dropped  uint64
}

type bucketKey struct{ limit, key string }

// bucket is a key's tokens. It may be in debt by as much as it holds and one
// of each replica.
type bucket struct {
	rate, burst float64
	level       float64
	at          time.Time // of level
	claims      []claim
}

// NewLedger makes one whose buckets are full.
func NewLedger(config LedgerConfig) *Ledger {
	if config.Buckets < 1 {
		config.Buckets = DefaultBuckets
	}
	if config.Parts == nil {
		config.Parts = func() int { return 1 }
	}
	return &Ledger{config: config, buckets: map[bucketKey]*bucket{}, replicas: map[string]time.Time{}}
}

// Lease answers what a replica asks. Rates are above 0, bursts at least 1 and
// counts not below 0.
func (l *Ledger) Lease(replica string, asks []Ask, now time.Time) Answer {
	parts := float64(max(l.config.Parts(), 1))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen(replica, now)
	answer := Answer{Slices: make([]Slice, 0, len(asks)), Replicas: len(l.replicas)}
	for i := range asks {
		ask := &asks[i]
		b := l.bucket(bucketKey{ask.Limit, ask.Key}, ask.Rate/parts, max(ask.Burst/parts, 1), now)
		b.level = min(b.level+float64(ask.Unused), b.burst)
		b.level = max(b.level-float64(ask.Spent), -b.burst-float64(len(l.replicas)))
		answer.Slices = append(answer.Slices, b.lease(replica, ask, len(l.replicas), now))
	}
	return answer
}

// seen counts the replica, and forgets those that ask no more.
func (l *Ledger) seen(replica string, now time.Time) {
	if _, known := l.replicas[replica]; known || len(l.replicas) < mostReplicas {
		l.replicas[replica] = now
	}
	if now.Sub(l.pruned) < replicaTime/10 {
		return
	}
	l.pruned = now
	for name, last := range l.replicas {
		if now.Sub(last) > replicaTime {
			delete(l.replicas, name)
		}
	}
}

// bucket finds or makes a bucket, filled up to now.
func (l *Ledger) bucket(key bucketKey, rate, burst float64, now time.Time) *bucket {
	b := l.buckets[key]
	if b == nil {
		if len(l.buckets) >= l.config.Buckets {
			l.makeRoom(now)
		}
		b = &bucket{level: burst, at: now}
		l.buckets[key] = b
	}
	b.fill(now)
	b.rate, b.burst = rate, burst
	b.level = min(b.level, burst)
	return b
}

// fill adds what has come since.
func (b *bucket) fill(now time.Time) {
	if passed := now.Sub(b.at); passed > 0 {
		b.level = min(b.level+passed.Seconds()*b.rate, b.burst)
		b.at = now
	}
}

// makeRoom drops the buckets that are full among some, or else the fullest of
// them: a full one comes back as it was. A map begins anywhere each time.
func (l *Ledger) makeRoom(now time.Time) {
	var fullest bucketKey
	best, seen, found := 0.0, 0, false
	for key, b := range l.buckets {
		b.fill(now)
		if b.level >= b.burst {
			delete(l.buckets, key)
			found = true
		} else if share := b.level/b.burst + 2; share > best { // from 1 up
			fullest, best = key, share
		}
		if seen++; seen == looked {
			break
		}
	}
	if !found {
		delete(l.buckets, fullest)
		l.dropped++
	}
}

// Counts are for metrics.
type Counts struct {
	Buckets  int
	Replicas int
	Dropped  uint64 // buckets that were forgotten before they were full
}

// Counts tells how much the ledger holds.
func (l *Ledger) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Counts{Buckets: len(l.buckets), Replicas: len(l.replicas), Dropped: l.dropped}
}
