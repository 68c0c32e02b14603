// Package admission decides at the door whether work will be done in time, and
// lets in no more than will.
//
//	admission.go  Gate: Enter and Done
//	config.go     Config and its defaults
//	hold.go       Look and Hold, for who would have to read the work first
//	core.go       who may come in, who is next; without clock, lock or goroutine
//	fair.go       the queue: tenants in turns, by weight
//	meter.go      how fast work is done, and how wrong estimates are
//	batch.go      what a batch takes by what is in it
//	refusal.go    Refusal, and when to try again
//	metrics.go    what is measured
//
// A Gate stands before something that does work in batches with a rate of its
// own, such as the writer of a ledger. It estimates how long a newcomer would
// take: what is before it, times what a unit of work has taken lately. Where
// that does not fit the newcomer's deadline, it is refused at once and told
// when to try again; else it waits for its tenant's turn. Only so much is let
// through at a time that batches are well filled and the order of turns still
// counts for something.
//
// Work that is already decided (a Confirm, a Cancel) is never refused: it goes
// before all other. Work that mostly fails trips a breaker.
//
// A plain queue of 1024 accepts what it cannot do in time whenever work is
// slower than 1024 in a deadline (Little's law); a limit on concurrency, as in
// failsafe-go, knows nothing of deadlines or tenants. The package does no
// work itself, keeps nothing, and is of one process. All methods are safe for
// concurrent use.
package admission

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/backlot-video/backlot/kit/breaker"
)

// Work is what asks to be let in.
type Work struct {
	Tenant  string // whose turn it takes
	Shard   string // whose places it takes, for example a ledger; may be empty
	Cost    int    // units of work, for example bookings; below 1 counts as 1
	Decided bool   // it is never refused, and goes first
	Hold    *Hold  // the room that Look kept for it, if it was asked
}

// Outcome is what became of work.
type Outcome = breaker.Outcome

// The outcomes. A refusal for reasons of business is a success.
const (
	Succeeded = breaker.Succeeded
	Failed    = breaker.Failed    // what does the work is sick
	Undecided = breaker.Undecided // the work was given up
)

// Gate lets work in.
type Gate struct {
	cfg     Config
	metrics *metrics
	breaker breaker.Breaker

	mu      sync.Mutex
	core    *core
	tripped bool // the breaker was open at the last look
}

// New makes a Gate, or returns every fault of cfg.
func New(cfg Config) (*Gate, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	g := &Gate{cfg: cfg, core: newCore(cfg)}
	measured, err := newMetrics(cfg, g.Load)
	if err != nil {
		return nil, fmt.Errorf("admission of %s: %w", cfg.Service, err)
	}
	g.metrics = measured
	return g, nil
}

// Close takes the Gate's metrics away. Work may still come and go.
func (g *Gate) Close() { g.metrics.unregister() }

// Pass is leave to do work. Whoever has it calls Done once.
type Pass struct {
	gate  *Gate
	job   *job
	probe bool
}

// Enter returns when the work may be done, or a *Refusal, or ctx's error. It
// waits no longer than ctx and Config.Patience allow.
func (g *Gate) Enter(ctx context.Context, work Work) (*Pass, error) {
	now := g.cfg.Clock()
	probe, allowed := false, true
	if !work.Decided && !g.cfg.FixedQueue {
		probe, allowed = g.breaker.Allow(now)
	}
	if !allowed {
		refusal := &Refusal{Reason: Broken, RetryAfter: g.jittered(2 * max(g.breaker.OpenUntil().Sub(now), minRetry))}
		g.metrics.refuse(work.Tenant, refusal.Reason)
		return nil, refusal
	}
	job := newJob(ctx, now, g.cfg, work)
	g.mu.Lock()
	job.kept = work.Hold.take(g, job.Cost)
	refusal := g.core.offer(now, job)
	g.dispatch(now)
	g.mu.Unlock()
	if refusal == nil {
		refusal = g.wait(ctx, job)
	}
	if refusal == nil {
		g.metrics.admit(work)
		return &Pass{gate: g, job: job, probe: probe}, nil
	}
	g.judge(now, probe, Undecided)
	if err := context.Cause(ctx); err != nil {
		g.metrics.gaveUp.Inc()
		return nil, err
	}
	refusal.RetryAfter = g.jittered(refusal.RetryAfter)
	g.metrics.refuse(work.Tenant, refusal.Reason)
	return nil, refusal
}

// wait waits until the job may start.
func (g *Gate) wait(ctx context.Context, j *job) *Refusal {
	select {
	case <-j.ready:
		return j.refusal
	default:
	}
	var over <-chan time.Time
	if !j.deadline.IsZero() {
		timer := time.NewTimer(j.deadline.Sub(g.cfg.Clock()))
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-j.ready:
		return j.refusal
	case <-ctx.Done():
	case <-over:
	}
	now := g.cfg.Clock()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case j.refusal != nil:
		return j.refusal
	case j.started && ctx.Err() == nil:
		return nil
	case j.started:
		g.core.finish(now, j, Undecided)
	default:
		g.core.leave(j)
		if !j.Decided && !j.deadline.IsZero() && !now.Before(j.deadline) {
			g.core.meter.judge(true)
		}
	}
	g.dispatch(now)
	return g.core.refusal(now, Overdue, 0)
}

// dispatch starts what may start. mu is held.
func (g *Gate) dispatch(now time.Time) {
	for j := g.core.next(now); j != nil; j = g.core.next(now) {
		close(j.ready)
	}
}

// Done tells that the work has come to its end, and how.
func (p *Pass) Done(outcome Outcome) {
	g := p.gate
	now := g.cfg.Clock()
	g.mu.Lock()
	g.core.finish(now, p.job, outcome)
	g.dispatch(now)
	g.mu.Unlock()
	g.metrics.done(now, p.job)
	g.judge(now, p.probe, outcome)
}

// judge tells the breaker of an outcome, and the log where that opens or
// closes it.
func (g *Gate) judge(now time.Time, probe bool, outcome Outcome) {
	if g.cfg.FixedQueue {
		return
	}
	open := g.breaker.Done(now, probe, outcome, g.cfg.Breaker)
	g.mu.Lock()
	changed := open != g.tripped
	g.tripped = open
	g.mu.Unlock()
	if !changed {
		return
	}
	g.metrics.trip(open)
	if open {
		g.cfg.Log.Error("work fails, nothing new is let in", slog.String("service", g.cfg.Service), slog.Duration("open", g.cfg.Breaker.Open))
	} else {
		g.cfg.Log.Info("work succeeds again", slog.String("service", g.cfg.Service))
	}
}

// jittered spreads a time evenly between half of it and one and a half.
func (g *Gate) jittered(d time.Duration) time.Duration {
	return min(d/2+time.Duration(g.cfg.Random()*float64(d)), maxRetry)
}

// Load is how busy a Gate is.
type Load struct {
	Waiting  int           // jobs in the queue
	InFlight int           // jobs that were let through
	Window   int           // units that are let through at a time
	Wait     time.Duration // what the next job of a tenant without others would take
	Each     time.Duration // what a unit takes when there is much to do
	Margin   float64       // by which estimates are raised
}

// Load tells how busy the Gate is.
func (g *Gate) Load() Load {
	now := g.cfg.Clock()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.core.load(now)
}
