// Package counting keeps velocity counters across restarts and shares them
// among replicas.
//
//	counting.go  Counts: what programs count with; start and stop
//	recorder.go  what is counted goes into the journal before it is told
//	replay.go    and from there back into a store
//	snapshot.go  all counters in a file, so that a replay is short
//	cluster.go   which replica owns which partition of the keys
//	remote.go    counting at other replicas
//	server.go    counting for other replicas
//	convert.go   proto <-> velocity
//	metrics.go   what is measured
//
// A partition of the keys is counted by one replica, its owner; one more, its
// standby, counts along from the journal. What is promised: whatever was
// counted for an event that has been confirmed (see Confirm) is counted again
// after a crash, once. While the broker is away counting goes on: Confirm then
// does not wait, what is counted waits in a bounded buffer, and a crash loses
// what is neither in the journal nor in the last snapshot.
package counting

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// Journal is where counted events are kept; *mq.Journal is one.
type Journal interface {
	Append(ctx context.Context, id string, data []byte) (sequence uint64, err error)
	Bounds(ctx context.Context) (first, last uint64, err error)
	Read(ctx context.Context, from uint64, handle func(mq.Entry) error) error
	Follow(ctx context.Context, from uint64, handle func(mq.Entry) error) error
}

// Config has what counting needs. Zero fields mean the default.
type Config struct {
	Velocity velocity.Config // its Log is set here
	Dir      string          // required: of the snapshot
	// Open connects to the journal. Nil: there is none, and only snapshots
	// outlast the process.
	Open             func(ctx context.Context) (Journal, error)
	OpenTimeout      time.Duration // how long starting waits for the journal; 10 s
	SnapshotInterval time.Duration // 1 minute
	// Unconfirmed lets events be answered before the journal has them.
	Unconfirmed bool
	// Peers are the replicas. Nil: this one is alone.
	Peers      Peers
	Timeout    time.Duration // of counting at another replica; 50 ms
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

const (
	defaultOpenTimeout = 10 * time.Second
	defaultInterval    = time.Minute
	defaultTimeout     = 50 * time.Millisecond
	reopenWait         = 5 * time.Second
	stopTimeout        = 10 * time.Second
	snapshotName       = "velocity.snapshot"
)

// Counts is a store of counters that outlasts its process. It implements
// velocity.Counters.
type Counts struct {
	*velocity.Store
	config   Config
	epoch    string
	metrics  *metrics
	recorder *recorder
	cluster  *cluster

	journal atomic.Pointer[Journal]
	// applying is held while an entry of the journal is applied and while a
	// snapshot is written: no entry is half in a snapshot.
	applying sync.Mutex
	through  uint64    // entries of others up to it are in the store
	saved    [2]uint64 // the recorder's position and through, of the last snapshot
	restored *note     // of the snapshot that this process began with
	marks    []uint64
}

// New returns counters as the last process left them in its snapshot. A
// snapshot that cannot be read is put aside; then the journal has to do.
func New(config Config) (*Counts, error) {
	setDefaults(&config)
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	c := &Counts{config: config, epoch: id.String()}
	c.recorder = newRecorder(c, config.Unconfirmed)
	config.Velocity.Log = c.recorder
	if config.Open == nil {
		config.Velocity.Log = nil
	}
	c.Store = velocity.New(config.Velocity)
	c.cluster = newCluster(c)
	c.metrics = newMetrics(c)
	if err := c.restore(filepath.Join(config.Dir, snapshotName)); err != nil {
		return nil, err
	}
	return c, nil
}

func setDefaults(config *Config) {
	if config.OpenTimeout <= 0 {
		config.OpenTimeout = defaultOpenTimeout
	}
	if config.SnapshotInterval <= 0 {
		config.SnapshotInterval = defaultInterval
	}
	if config.Timeout <= 0 {
		config.Timeout = defaultTimeout
	}
	if config.Velocity.Clock == nil {
		config.Velocity.Clock = time.Now
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
}

// Start opens the journal and replays it. When that takes longer than
// OpenTimeout it goes on in Serve, and windows are warming meanwhile.
func (c *Counts) Start(ctx context.Context) error {
	if c.config.Open == nil {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, c.config.OpenTimeout)
	defer cancel()
	err := c.open(limited)
	if err != nil && ctx.Err() == nil {
		c.config.Log.Warn("velocity begins without its journal", "err", err)
		c.cluster.fill()
		return nil
	}
	return err
}

// open connects to the journal and replays what the snapshot does not have.
func (c *Counts) open(ctx context.Context) error {
	journal, err := c.config.Open(ctx)
	if err != nil {
		return err
	}
	if err := c.replay(ctx, journal); err != nil {
		return err
	}
	c.journal.Store(&journal)
	return nil
}

// Serve publishes, follows other replicas and writes snapshots until ctx ends;
// then it publishes what is left and writes the last snapshot.
func (c *Counts) Serve(ctx context.Context) error {
	var running sync.WaitGroup
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	running.Go(func() { c.keepSnapshots(ctx) })
	running.Go(func() { c.cluster.run(ctx) })
	if c.config.Open != nil {
		running.Go(func() { c.serveJournal(ctx, work) })
	}
	<-ctx.Done()
	last, cancel := context.WithTimeout(work, stopTimeout)
	defer cancel()
	err := c.recorder.flush(last)
	stop()
	running.Wait()
	return errors.Join(err, c.saveSnapshot())
}

// serveJournal publishes until work ends and follows until ctx does.
func (c *Counts) serveJournal(ctx, work context.Context) {
	var following sync.WaitGroup
	defer following.Wait()
	for c.journal.Load() == nil {
		if !sleep(ctx, min(reopenWait, c.config.OpenTimeout)) {
			return
		}
		attempt, cancel := context.WithTimeout(ctx, max(c.config.OpenTimeout, reopenWait))
		if err := c.open(attempt); err != nil && ctx.Err() == nil {
			c.config.Log.Warn("velocity has no journal", "err", err)
		}
		cancel()
	}
	journal := *c.journal.Load()
	c.cluster.filled()
	following.Go(func() { c.follow(ctx, journal) })
	c.recorder.run(work, journal)
}

// Confirm returns once the journal has all that was counted before the call,
// so that no crash loses it. It does not wait for a journal that fails. The
// error is ctx's.
func (c *Counts) Confirm(ctx context.Context) error { return c.recorder.confirm(ctx) }

// sleep waits, and reports false once ctx ends.
func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
