package informer

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config holds what has a default.
type Config struct {
	// Namespace to hold; empty means all.
	Namespace string
	// SnapshotFile keeps the last good state on disk; empty means none.
	SnapshotFile string
	// SnapshotEvery is the shortest time between two writes of the snapshot;
	// default 1 s.
	SnapshotEvery time.Duration
	// ListTimeout is how long a listing may be silent; default 5 s.
	ListTimeout time.Duration
	// IdleTimeout is how long a watch may be silent, bookmarks included,
	// before it is opened anew; default 45 s.
	IdleTimeout time.Duration
	// Resync is how often handlers are told of all objects anew, as Updated
	// whose Old is Object. Each time is drawn between 0.9 and 1.1 times this,
	// after a first wait of up to as much, so that informers do not do it
	// together. 0: never.
	Resync time.Duration
	// QueueEvents is how many events, besides one for each object, may wait
	// for a handler of Follow before they are coalesced; default 1,024.
	QueueEvents int
	// MaxObjects bounds what is held: a list or change that would exceed it
	// is a failure, and the last good state stays; default 1,000,000.
	MaxObjects int
	// BackoffMin and BackoffMax bound the wait after a failure, drawn at
	// random up to a bound that doubles; default 100 ms and 10 s.
	BackoffMin, BackoffMax time.Duration
	// Seed of what is drawn at random; 0: another one each time.
	Seed uint64
	// Log is discarded where nil.
	Log *slog.Logger
	// Registerer receives the metrics; nil means none.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() Config {
	fill := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	fill(&c.SnapshotEvery, time.Second)
	fill(&c.ListTimeout, 5*time.Second)
	fill(&c.IdleTimeout, 45*time.Second)
	fill(&c.BackoffMin, 100*time.Millisecond)
	fill(&c.BackoffMax, 10*time.Second)
	if c.QueueEvents <= 0 {
		c.QueueEvents = 1024
	}
	if c.MaxObjects <= 0 {
		c.MaxObjects = 1_000_000
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
