package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

var (
	// ErrBusy means that MaxActive transactions are under way.
	ErrBusy = errors.New("too many transactions under way")
	// ErrConflict means that the xid is that of a transaction with other
	// content.
	ErrConflict = errors.New("another transaction has this xid")
	// ErrStopped means that this process owns no transactions at the moment.
	ErrStopped = errors.New("coordinator is not running")
)

// BusyError is ErrBusy with a hint.
type BusyError struct{ RetryAfter time.Duration }

func (e *BusyError) Error() string { return ErrBusy.Error() }

// Unwrap makes it ErrBusy.
func (e *BusyError) Unwrap() error { return ErrBusy }

// Wait says when Submit answers.
type Wait int

// The waits.
const (
	WaitAccepted  Wait = 1 // the transaction is durable
	WaitDecided   Wait = 2 // the outcome is certain
	WaitConfirmed Wait = 3 // every branch is confirmed or cancelled, or it is parked
)

// Config has what a Runner may do without; zero fields mean the defaults.
type Config struct {
	Host         string        // names the data folder, which one process has; default a new name
	MaxActive    int           // transactions under way; default 1024
	Attempts     int           // calls of a Confirm or Cancel before parking; default 100
	TryTimeout   time.Duration // where Submit gives none; default 10 s
	CallTimeout  time.Duration // one call of a participant; default 5 s
	FirstBackoff time.Duration // before the second call; default 50 ms
	MostBackoff  time.Duration // default 10 s
	Lease        time.Duration // after which others take over; default 3 s
	DrainTimeout time.Duration // for what is under way at a stop; default 1 s
	Retention    time.Duration // after which ended transactions are removed; default never
	Seed         uint64        // of the jitter; 0 is a seed like any other

	Clock      func() time.Time      // default time.Now
	Log        *slog.Logger          // default none
	Registerer prometheus.Registerer // default none
	NewID      func() string         // of a lease, never the same twice; required
}

func (c Config) withDefaults() Config {
	orInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	orDuration := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	orInt(&c.MaxActive, 1024)
	orInt(&c.Attempts, 100)
	orDuration(&c.TryTimeout, 10*time.Second)
	orDuration(&c.CallTimeout, 5*time.Second)
	orDuration(&c.FirstBackoff, 50*time.Millisecond)
	orDuration(&c.MostBackoff, 10*time.Second)
	orDuration(&c.Lease, 3*time.Second)
	orDuration(&c.DrainTimeout, time.Second)
	if c.Host == "" {
		c.Host = c.NewID()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Runner drives transactions. Make one with New and call Run.
type Runner struct {
	config       Config
	store        Store
	participants Participants
	backoff      *backoff
	metrics      *metrics
	slots        chan struct{} // one for each transaction under way
	session      atomic.Pointer[session]

	mu     sync.Mutex
	active map[Key]*drive
}

// New makes a Runner, which does nothing before Run.
func New(store Store, participants Participants, config Config) *Runner {
	config = config.withDefaults()
	return &Runner{
		config: config, store: store, participants: participants,
		backoff: newBackoff(config.FirstBackoff, config.MostBackoff, config.Seed),
		metrics: newMetrics(config.Registerer),
		slots:   make(chan struct{}, config.MaxActive),
		active:  make(map[Key]*drive),
	}
}

// Submission asks for a transaction.
type Submission struct {
	Key
	Spec    tcc.Spec
	Timeout time.Duration // of the Try phase; 0 means the default
	Wait    Wait          // 0 means WaitDecided
}

// Submit starts a transaction, or finds the one with the same key and content,
// and returns as Wait says. It may return ErrBusy (a *BusyError), ErrConflict,
// ErrStopped or tcc.ErrSpec. When ctx ends while it waits the transaction goes
// on; calling again with the same key waits for the same one.
func (r *Runner) Submit(ctx context.Context, s Submission) (Status, error) {
	if err := s.Spec.Validate(); err != nil {
		return Status{}, err
	}
	if s.Wait == 0 {
		s.Wait = WaitDecided
	}
	for {
		d, fresh, err := r.claim(s.Key)
		if err != nil {
			return Status{}, err
		}
		if fresh {
			err = d.begin(ctx, s)
		} else {
			err = d.begun(ctx)
		}
		switch {
		case errors.Is(err, ErrExists):
			return r.existing(ctx, s)
		case errors.Is(err, errRetryClaim):
			continue
		case err != nil:
			return Status{}, err
		}
		if !fresh && d.status().Spec.Digest() != s.Spec.Digest() {
			return Status{}, fmt.Errorf("submit %s: %w", s.XID, ErrConflict)
		}
		return d.wait(ctx, s.Wait)
	}
}

// errRetryClaim means that a drive ended before it began.
var errRetryClaim = errors.New("claim again")

// claim finds the drive of a key, or makes one in a free slot.
func (r *Runner) claim(key Key) (d *drive, fresh bool, err error) {
	s := r.session.Load()
	if s == nil {
		return nil, false, ErrStopped
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if d, found := r.active[key]; found {
		return d, false, nil
	}
	select {
	case r.slots <- struct{}{}:
	default:
		r.metrics.refused.Inc()
		return nil, false, &BusyError{RetryAfter: r.backoff.jitter(2 * r.config.FirstBackoff)}
	}
	d, err = r.add(s, key)
	return d, true, err
}

// add makes a drive in a slot that the caller has taken; r.mu is held.
func (r *Runner) add(s *session, key Key) (*drive, error) {
	d := newDrive(r, s, key)
	if !s.enter() {
		<-r.slots
		return nil, ErrStopped
	}
	r.active[key] = d
	r.metrics.active.Inc()
	return d, nil
}

// remove ends what add began. It tells whether recovery has passed the
// transaction by because of d.
func (r *Runner) remove(d *drive) (wanted bool) {
	r.mu.Lock()
	delete(r.active, d.key)
	wanted = d.wanted
	r.mu.Unlock()
	r.metrics.active.Dec()
	<-r.slots
	d.session.running.Done()
	return wanted
}

// existing answers Submit for a transaction that is in the store and not under
// way here: it has ended, is parked, or another coordinator drives it.
func (r *Runner) existing(ctx context.Context, s Submission) (Status, error) {
	status, err := r.Get(ctx, s.Key)
	if err != nil {
		return Status{}, err
	}
	if status.Spec.Digest() != s.Spec.Digest() {
		return Status{}, fmt.Errorf("submit %s: %w", s.XID, ErrConflict)
	}
	if reached(status.State, s.Wait) {
		return status, nil
	}
	return r.poll(ctx, s.Key, s.Wait)
}

// poll waits for a transaction that another coordinator drives.
func (r *Runner) poll(ctx context.Context, key Key, wait Wait) (Status, error) {
	for attempt := 2; ; attempt++ {
		if err := sleep(ctx, min(r.backoff.wait(attempt), time.Second)); err != nil {
			return Status{}, err
		}
		status, err := r.Get(ctx, key)
		if err != nil || reached(status.State, wait) {
			return status, err
		}
	}
}

// reached reports whether a wait is over in a state.
func reached(state tcc.State, wait Wait) bool {
	switch wait {
	case WaitAccepted:
		return true
	case WaitConfirmed:
		return state.Ended() || state == tcc.Parked
	default:
		return state.Decided()
	}
}

// Get returns a transaction as its log has it, or ErrNotFound.
func (r *Runner) Get(ctx context.Context, key Key) (Status, error) {
	status, _, err := r.Log(ctx, key)
	return status, err
}

// Log returns a transaction and its log, or ErrNotFound.
func (r *Runner) Log(ctx context.Context, key Key) (Status, []tcc.Record, error) {
	logged, err := r.store.Load(ctx, key)
	if err != nil {
		return Status{}, nil, err
	}
	status, err := r.stand(logged)
	return status, logged.Log, err
}

// stand derives from the log what a transaction has become.
func (r *Runner) stand(logged Logged) (Status, error) {
	machine, err := tcc.Restore(logged.Spec, r.config.Attempts, logged.Log)
	if err != nil {
		return Status{}, fmt.Errorf("transaction %s: %w", logged.XID, err)
	}
	logged.Spec = machine.Spec()
	return Status{Transaction: logged.Transaction, Branches: machine.Branches()}, nil
}

// sleep waits, or returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
