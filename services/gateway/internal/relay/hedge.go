package relay

import (
	"context"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// racer is one copy of a hedged request.
type racer struct {
	flight *flight
	cancel context.CancelFunc
	err    error
}

// hedges tells whether a request is sent a second time where the first has no
// answer in time.
func (f *flight) hedges() bool {
	h := f.plan.route.Policy.Hedge
	return h != nil && h.Max > 0 && f.whole && f.x.Request.Upgrade == nil && idempotent(f.x.Request.Method)
}

// race sends a request to one endpoint after another, with a pause between,
// until one has answered. Each copy beyond the first counts as a retry. Those
// that lost are cut off.
func (f *flight) race() error {
	h := f.plan.route.Policy.Hedge
	results := make(chan *racer, h.Max+1)
	var running []*racer
	start := func(budget bool) error {
		endpoint, err := f.plan.part.cluster.Pick(f.plan.Key, f.plan.Keyed, f.tried)
		if err != nil {
			return err
		}
		f.tried = append(f.tried, endpoint)
		f.x.Attempts++
		running = append(running, f.launch(endpoint, budget, results))
		return nil
	}
	if err := start(false); err != nil {
		return err
	}
	timer := time.NewTimer(h.After)
	defer timer.Stop()
	for over := 0; ; {
		select {
		case r := <-results:
			if over++; r.err == nil {
				f.win(r, running)
				return nil
			}
			r.cancel()
			if over == len(running) {
				return r.err
			}
		case <-timer.C:
			if len(running) <= h.Max && f.plan.part.cluster.BeginRetry() {
				if start(true) != nil {
					f.plan.part.cluster.EndRetry()
					continue
				}
				f.relay.metrics.hedges.WithLabelValues(f.x.Cluster).Inc()
				timer.Reset(h.After)
			}
		}
	}
}

// launch sends a copy from a goroutine of its own.
func (f *flight) launch(e *upstream.Endpoint, budget bool, results chan<- *racer) *racer {
	ctx, cancel := context.WithCancel(f.ctx)
	copied := *f.x
	copied.Response = exchange.Response{}
	copied.Upstream = e.Address()
	copied.Client = quiet{f.x.Client}
	r := &racer{cancel: cancel, flight: &flight{
		relay: f.relay, ctx: ctx, x: &copied, plan: f.plan, deadline: f.deadline, held: f.held, whole: true, budget: budget, eager: true,
	}}
	f.racing = append(f.racing, r)
	f.racers.Go(func() {
		r.err = r.flight.send(e)
		for again := 0; r.err != nil && r.flight.try.stale && again < staleTries && ctx.Err() == nil; again++ {
			t := &r.flight.try // a kept connection that was closed already: as if it had not been tried
			r.flight.budget, t.budget = t.budget, false
			r.flight.drop(r.err)
			r.err = r.flight.send(e)
		}
		if r.err == nil && ctx.Err() != nil { // it lost, and answered nevertheless
			r.flight.try.finish(upstream.Aborted, 0)
			r.flight.try.close()
			r.err = exchange.ErrGone
		}
		if r.err != nil {
			r.flight.endRetry()
		}
		results <- r
	})
	return r
}

// win takes the answer of a copy over and cuts the others off.
func (f *flight) win(winner *racer, running []*racer) {
	for _, r := range running {
		if r != winner {
			r.cancel()
		}
	}
	f.try = winner.flight.try
	f.x.Response, f.x.Upstream = winner.flight.x.Response, winner.flight.x.Upstream
	f.winner = winner
}

// settle waits for the copies that lost, and ends those that answered after
// all.
func (f *flight) settle() {
	f.racers.Wait()
	for _, r := range f.racing {
		if r != f.winner && r.err == nil {
			r.flight.try.finish(upstream.Aborted, 0)
			r.flight.try.close()
			r.flight.endRetry()
		}
		r.cancel()
	}
	f.racing, f.winner = nil, nil
}

// quiet is the client's side as a copy sees it: interim answers of copies are
// nobody's.
type quiet struct{ exchange.Client }

// WriteHead implements exchange.Client.
func (quiet) WriteHead(*exchange.Response) error { return nil }
