// Package pool runs jobs on a bounded number of workers, with a bounded queue
// before them that pushes back.
//
// It neither retries jobs nor orders them, and keeps nothing when the process
// ends. All methods are safe for concurrent use.
package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

var (
	// ErrFull means that as many jobs wait as may.
	ErrFull = errors.New("queue is full")
	// ErrClosed means that the pool takes no more jobs.
	ErrClosed = errors.New("pool is closed")
)

// Pool handles jobs of one type.
type Pool[T any] struct {
	cfg     Config
	handle  func(context.Context, T)
	metrics *metrics
	queue   chan T
	closing chan struct{} // closed first: those who wait in Submit leave

	mu     sync.RWMutex // held to send to queue, exclusively to close it
	closed bool
}

// New makes a pool whose workers call handle once Run runs. The context that
// handle gets ends DrainTimeout after Run's; where it is ended, handle should
// return soon. A panic of handle is logged and counted.
func New[T any](cfg Config, handle func(ctx context.Context, job T)) (*Pool[T], error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	measured, err := newMetrics(cfg)
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", cfg.Name, err)
	}
	return &Pool[T]{
		cfg: cfg, handle: handle, metrics: measured,
		queue: make(chan T, cfg.Queue), closing: make(chan struct{}),
	}, nil
}

// Submit queues a job, waiting while the queue is full. It returns ErrClosed, or
// ctx's error once that ends. Of a job that it accepts, handle gets to know.
func (p *Pool[T]) Submit(ctx context.Context, job T) error {
	return p.submit(ctx.Done(), func() error { return context.Cause(ctx) }, job)
}

// TrySubmit queues a job or returns ErrFull or ErrClosed at once.
func (p *Pool[T]) TrySubmit(job T) error {
	return p.submit(ready, func() error { return ErrFull }, job)
}

var ready = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// submit prefers to queue the job, and gives up with refusal when giveUp is
// closed.
func (p *Pool[T]) submit(giveUp <-chan struct{}, refusal func() error, job T) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return ErrClosed
	}
	select {
	case p.queue <- job:
		p.metrics.queued.Inc()
		return nil
	default:
	}
	select {
	case p.queue <- job:
		p.metrics.queued.Inc()
		return nil
	case <-p.closing:
		return ErrClosed
	case <-giveUp:
		p.metrics.refused.Inc()
		return refusal()
	}
}

// Run works until ctx ends, then refuses new jobs, handles those it accepted
// and returns. Where they outlast DrainTimeout their context ends too, and Run
// still waits for them. It is called once.
func (p *Pool[T]) Run(ctx context.Context) error {
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var workers sync.WaitGroup
	for range p.cfg.Workers {
		workers.Go(func() {
			for job := range p.queue {
				p.do(work, job)
			}
		})
	}
	<-ctx.Done()
	p.close()
	patience := time.AfterFunc(p.cfg.DrainTimeout, cut)
	defer patience.Stop()
	workers.Wait()
	p.metrics.unregister()
	return nil
}

func (p *Pool[T]) close() {
	close(p.closing)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	close(p.queue)
}

func (p *Pool[T]) do(ctx context.Context, job T) {
	p.metrics.queued.Dec()
	p.metrics.running.Inc()
	start := p.cfg.Clock()
	defer func() {
		p.metrics.running.Dec()
		p.metrics.seconds.Observe(p.cfg.Clock().Sub(start).Seconds())
		if failure := recover(); failure != nil {
			p.metrics.panics.Inc()
			p.cfg.Log.LogAttrs(ctx, slog.LevelError, "job panicked", slog.String("pool", p.cfg.Name),
				slog.Any("err", failure), slog.String("stack", string(debug.Stack())))
		}
	}()
	p.handle(ctx, job)
}
