package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// session is one lease of this process, and the drives under it. Once its
// lease is lost it is over for good: the next session has another id.
type session struct {
	lease   Lease
	adopt   chan struct{} // a sign that there is something to recover
	running sync.WaitGroup

	mu      sync.Mutex
	closed  bool // no more drives
	ended   bool // those under way are cut
	cancels map[*context.CancelFunc]struct{}
}

// enter counts a drive in, unless the session is closing.
func (s *session) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Add(1)
	return true
}

func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// attach has the session's end call cancel, until detached.
func (s *session) attach(cancel context.CancelFunc) (detach func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		cancel()
	}
	s.cancels[&cancel] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.cancels, &cancel)
	}
}

// end cuts the drives under way.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for cancel := range s.cancels {
		(*cancel)()
	}
}

// sign has adoptAll look for unfinished transactions.
func (s *session) sign() {
	select {
	case s.adopt <- struct{}{}:
	default: // one sign is enough
	}
}

// Run owns and drives transactions until ctx ends, then gives those under way
// Config.DrainTimeout to end and leaves the rest in the log. ready is called
// once, when the first lease is held and recovery has begun. Run returns an
// error only if it cannot begin.
func (r *Runner) Run(ctx context.Context, ready func()) error {
	first := true
	for ctx.Err() == nil {
		s, err := r.join(ctx)
		if err != nil {
			if first {
				return fmt.Errorf("join: %w", err)
			}
			r.config.Log.Error("cannot join the coordinators", "err", err)
			_ = sleep(ctx, r.config.Lease/3)
			continue
		}
		r.session.Store(s)
		if first {
			ready()
			first = false
		}
		r.serve(ctx, s)
	}
	return nil
}

// join takes a new lease and with it what dead coordinators left.
func (r *Runner) join(ctx context.Context) (*session, error) {
	now := r.config.Clock()
	lease := Lease{ID: r.config.NewID(), Host: r.config.Host, Until: now.Add(r.config.Lease)}
	beforeTakeOver.Hit()
	if err := r.store.Join(ctx, lease); err != nil {
		return nil, err
	}
	taken, err := r.store.TakeOver(ctx, lease, now)
	if err != nil {
		return nil, err
	}
	afterTakeOver.Hit()
	if taken > 0 {
		r.config.Log.Info("took over unfinished transactions", "transactions", taken)
	}
	s := &session{lease: lease, adopt: make(chan struct{}, 1), cancels: make(map[*context.CancelFunc]struct{})}
	s.sign()
	return s, nil
}

// serve runs one session, which the runner has, to its end.
func (r *Runner) serve(ctx context.Context, s *session) {
	var helpers sync.WaitGroup
	adopting, stopAdopting := context.WithCancel(ctx)
	defer stopAdopting()
	helpers.Go(func() { r.adoptAll(adopting, s) })
	helpers.Go(func() { r.retain(adopting) })

	lost := r.keep(ctx, s)
	r.session.Store(nil)
	s.close()
	stopAdopting()
	helpers.Wait()
	if lost {
		r.metrics.lost.Inc()
		r.config.Log.Error("lost the lease on transactions", "lease", s.lease.ID)
	} else {
		r.drain(s)
	}
	s.end()
	s.running.Wait()
	if !lost {
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.config.Lease)
		defer cancel()
		if err := r.store.Leave(leaving, s.lease.ID); err != nil {
			r.config.Log.Warn("cannot end the lease, it will run out", "err", err)
		}
	}
}

// drain waits for the drives, but not for long.
func (r *Runner) drain(s *session) {
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	timer := time.NewTimer(r.config.DrainTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// sweepTicks is how many renewals lie between two looks for transactions that
// nobody drives, as a write may leave them that failed and happened all the
// same.
const sweepTicks = 30

// keep renews the lease and takes over from the dead until ctx ends or the
// lease is lost.
func (r *Runner) keep(ctx context.Context, s *session) (lost bool) {
	ticker := time.NewTicker(r.config.Lease / 3)
	defer ticker.Stop()
	for tick := 1; ; tick++ {
		if tick%sweepTicks == 0 {
			s.sign()
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
		if err := r.renew(ctx, s); errors.Is(err, ErrLost) {
			return true
		} else if err != nil && ctx.Err() == nil {
			r.config.Log.Warn("cannot renew the lease", "err", err)
		}
	}
}

func (r *Runner) renew(ctx context.Context, s *session) error {
	now := r.config.Clock()
	lease := s.lease
	lease.Until = now.Add(r.config.Lease)
	bounded, cancel := context.WithTimeout(ctx, r.config.Lease)
	defer cancel()
	if err := r.store.Renew(bounded, lease, now); err != nil {
		return err
	}
	taken, err := r.store.TakeOver(bounded, lease, now)
	if err != nil || taken == 0 {
		return err
	}
	r.config.Log.Info("took over unfinished transactions", "transactions", taken)
	s.sign()
	return nil
}

// adoptAll drives what the session owns and does not drive, at each sign.
func (r *Runner) adoptAll(ctx context.Context, s *session) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.adopt:
		}
		if err := r.adopt(ctx, s); err != nil && ctx.Err() == nil {
			r.config.Log.Error("cannot recover transactions, will try again", "err", err)
			_ = sleep(ctx, r.config.Lease/3)
			s.sign()
		}
	}
}

// adoptPage is how many unfinished transactions are read at a time.
const adoptPage = 128

// adopt goes through all; one that cannot be recovered does not stop it.
func (r *Runner) adopt(ctx context.Context, s *session) error {
	var after Cursor
	var faults []error
	for {
		page, err := r.store.Unfinished(ctx, s.lease.ID, after, adoptPage)
		if err != nil {
			return err
		}
		for _, t := range page {
			after = Cursor{CreatedAt: t.CreatedAt, Key: t.Key}
			if err := r.adoptOne(ctx, s, t); err != nil {
				faults = append(faults, fmt.Errorf("recover transaction %s: %w", t.XID, err))
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if len(page) < adoptPage {
			return errors.Join(faults...)
		}
	}
}

// adoptOne waits for a free slot and drives a transaction from its log, unless
// it is under way.
func (r *Runner) adoptOne(ctx context.Context, s *session, logged Logged) error {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.mu.Lock()
	if d, found := r.active[logged.Key]; found {
		d.wanted = true
		r.mu.Unlock()
		<-r.slots
		return nil
	}
	d, err := r.add(s, logged.Key)
	r.mu.Unlock()
	if err != nil {
		return err
	}
	return d.recover(ctx, logged)
}
