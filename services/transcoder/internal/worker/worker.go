// Package worker takes queued jobs from the store and runs them, a bounded
// number at a time, and cleans up after those that ended.
//
//   - worker.go hands jobs out; run.go runs one; recover.go sees to what an
//     earlier process left; live.go tells of running jobs as they go.
//
// The queue is the store's: what no worker is free for stays there, and the
// intake refuses uploads when it is long. Only one process works on a node's
// jobs, that which holds the lock of its data folder.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/pool"
	"github.com/backlot-video/backlot/services/transcoder"
	"github.com/backlot-video/backlot/services/transcoder/internal/job"
)

// Store keeps jobs; *store.Store is one.
type Store interface {
	Job(ctx context.Context, id string) (job.Job, error)
	ChangeJob(ctx context.Context, id string, change func(j *job.Job) error) (job.Job, error)
	SaveProgress(ctx context.Context, j job.Job) error
	Due(ctx context.Context, now time.Time, n int64) ([]string, error)
	Unclean(ctx context.Context, after string, n int64) ([]job.Job, error)
	MarkClean(ctx context.Context, id string) error
}

// Files holds the sources of jobs by upload.
type Files interface {
	Path(uploadID string) string
	Remove(uploadID string) error
}

// Config of a Worker; all fields must be set.
type Config struct {
	Workers    int              // jobs at a time
	Place      transcoder.Place // for output
	Ladder     func() transcoder.Ladder
	Clock      func() time.Time
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}

const (
	// poll is how often the queue is looked at without being woken: for jobs
	// that are due again, and for FFmpeg being installed.
	poll = 2 * time.Second
	// cleanEvery is how often ended jobs are looked through for leftovers.
	cleanEvery = time.Minute
)

// Worker runs jobs. Its methods may be called by several goroutines.
type Worker struct {
	cfg     Config
	runtime *transcoder.Runtime
	store   Store
	files   Files
	live    live
	metrics metrics
	pool    *pool.Pool[string]
	wake    chan struct{} // of length 1

	mu    sync.Mutex
	taken map[string]bool // ids that the pool has
}

// New makes a worker that does nothing until Run.
func New(runtime *transcoder.Runtime, s Store, files Files, cfg Config) (*Worker, error) {
	w := &Worker{
		cfg: cfg, runtime: runtime, store: s, files: files, live: newLive(),
		metrics: newMetrics(cfg.Registerer), wake: make(chan struct{}, 1), taken: map[string]bool{},
	}
	var err error
	w.pool, err = pool.New(pool.Config{
		Service: "transcoder", Name: "worker", Workers: cfg.Workers, Queue: cfg.Workers,
		// A job that is cut short is run again by the next process.
		DrainTimeout: time.Millisecond,
		Log:          cfg.Log, Registerer: cfg.Registerer, Clock: cfg.Clock,
	}, w.handle)
	return w, err
}

// Wake makes the worker look at the queue now.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends. Running jobs are then stopped and go back into the
// queue.
func (w *Worker) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { _ = w.pool.Run(ctx) })
	defer running.Wait()
	next := time.NewTicker(poll)
	defer next.Stop()
	clean := time.NewTicker(cleanEvery)
	defer clean.Stop()
	var last string
	for {
		fault := ""
		if err := w.dispatch(ctx); err != nil && ctx.Err() == nil {
			fault = err.Error()
		}
		if fault != "" && fault != last {
			w.cfg.Log.Error("no job can be started", "err", fault)
		}
		last = fault
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		case <-next.C:
		case <-clean.C:
			w.cleanEnded(ctx)
		}
	}
}

// dispatch gives due jobs to workers that are free.
func (w *Worker) dispatch(ctx context.Context) error {
	free := w.cfg.Workers - w.busy()
	if free <= 0 {
		return nil
	}
	ids, err := w.store.Due(ctx, w.cfg.Clock(), int64(w.cfg.Workers+free))
	if err != nil || len(ids) == 0 {
		return err
	}
	if err := w.runtime.Check(); err != nil {
		return err
	}
	for _, id := range ids {
		if free == 0 || !w.take(id) {
			continue
		}
		free--
		if err := w.pool.TrySubmit(id); err != nil {
			w.release(id)
			if errors.Is(err, pool.ErrClosed) {
				return nil
			}
			return fmt.Errorf("submit job: %w", err)
		}
	}
	return nil
}

// handle runs one job of the pool's.
func (w *Worker) handle(ctx context.Context, id string) {
	defer w.Wake()
	defer w.release(id)
	w.run(ctx, id)
}

func (w *Worker) busy() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.taken)
}

func (w *Worker) take(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken[id] {
		return false
	}
	w.taken[id] = true
	return true
}

func (w *Worker) release(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.taken, id)
}

// Live returns j with the progress that it has here, if it runs here.
func (w *Worker) Live(j job.Job) job.Job { return w.live.overlay(j) }

// Watch returns a channel that gets a token when a job that runs here changes,
// and what ends the watch.
func (w *Worker) Watch(id string) (changed <-chan struct{}, stop func()) { return w.live.watch(id) }

// Cancelled stops the job, which the store knows as cancelled, and cleans up
// after it.
func (w *Worker) Cancelled(ctx context.Context, j job.Job) {
	if w.live.cancel(j.ID, transcoder.ErrCancelled) {
		return
	}
	w.live.changed(j.ID)
	w.clean(ctx, j)
}
