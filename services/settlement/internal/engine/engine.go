// Package engine books transfers in batches.
//
//	engine.go   Engine: Book, Open and their like; who waits for what
//	call.go     Call: what one caller asks of one ledger
//	admit.go    what is let in, and what is decided already
//	book.go     Book, Open: what is asked of several ledgers
//	tx.go       Write and Tx: what has a batch alone
//	writer.go   the writer of a ledger: its queue and its goroutine
//	commit.go   one batch: lock, read, apply, write, commit, answer
//	ahead.go    a batch that is applied while the one before is being written
//	read.go     what a batch reads into the book
//	expiry.go   voiding what was pending for too long
//	ids.go      ids that grow with time
//	metrics.go  what is measured
//
// Each ledger that is in use has a writer with a bounded queue. It takes all
// that waits, applies it to balances that it keeps in memory, writes what came
// of it in one transaction, and answers after the commit. What arrives
// meanwhile is the next batch. A caller whose context ends before its batch is
// formed is left out; from then on nothing is cut.
//
// Where a batch needs no reading, it is applied while the one before is being
// written, on top of what that one will have come to: the processors of this
// process and of the database work at the same time. Where that one fails, both
// are void and done again in order. Nobody is answered before the commit.
//
// Several processes may book at one ledger: a batch first takes the ledger's
// row and its next version. Where that is not the one after the writer's last,
// others have written, and it forgets what it remembers. So no writer can act
// on a state that is not the last one, and none needs a lease.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/admission"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// ErrClosed means that the engine books no more.
var ErrClosed = errors.New("the ledger is closed")

// Config has what an Engine may do without; zero fields mean the defaults.
type Config struct {
	// Tell makes the facts that transfers of a ledger were posted, for the
	// outbox. Default: none.
	Tell func(ctx context.Context, tenantID, currency string, at time.Time, posted store.Posted) ([]store.Fact, error)
	// Told is called after facts were committed.
	Told          func()
	QueueLimit    int             // calls that may wait for one ledger; default and most 1024
	WaitingLimit  int             // requests in them; default 65,536
	BatchLimit    int             // requests in one batch, and those of its last call; default 1024
	AccountLimit  int             // accounts that one writer remembers; default 131,072
	AccountsLimit int             // accounts that all writers remember; default 1,048,576
	LedgerLimit   int             // writers at a time; default 1024
	Idle          time.Duration   // after which a writer ends; default 1 minute
	ExpireEvery   time.Duration   // how often it looks for what is to expire; default 1 s
	ExpireLimit   int             // transfers that expire at a time, at most; default 1024
	Admission     *admission.Gate // before the queues; default: none, they are the only bound
	Log           *slog.Logger
	Registerer    prometheus.Registerer // default: no metrics
	Clock         func() time.Time      // default time.Now
}

func (c Config) withDefaults() Config {
	orInt := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	orInt(&c.QueueLimit, 1024)
	c.QueueLimit = min(c.QueueLimit, 1024)
	orInt(&c.WaitingLimit, 1<<16)
	orInt(&c.BatchLimit, 1024)
	orInt(&c.AccountLimit, 1<<17)
	orInt(&c.AccountsLimit, 1<<20)
	orInt(&c.LedgerLimit, 1024)
	orInt(&c.ExpireLimit, 1024)
	if c.Idle <= 0 {
		c.Idle = time.Minute
	}
	if c.ExpireEvery <= 0 {
		c.ExpireEvery = time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Told == nil {
		c.Told = func() {}
	}
	return c
}

// Engine books at the ledgers of one database. It is safe for concurrent use.
type Engine struct {
	store    *store.Store
	config   Config
	metrics  *metrics
	accounts atomic.Int64 // that all writers remember
	group    sync.WaitGroup

	mu      sync.RWMutex
	writers map[ledgerKey]*writer
	closed  bool
}

type ledgerKey struct{ tenantID, currency string }

// New makes an Engine. Its owner calls Close when it is no longer used.
func New(s *store.Store, config Config) *Engine {
	config = config.withDefaults()
	return &Engine{store: s, config: config, metrics: newMetrics(config.Registerer), writers: make(map[ledgerKey]*writer)}
}

// Close refuses new calls, lets those that wait finish, and waits for it.
func (e *Engine) Close() {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		for _, w := range e.writers {
			close(w.queue)
		}
	}
	e.mu.Unlock()
	e.group.Wait()
}

// Do has one ledger do a call and returns its result. It returns
// *admission.Refusal or ledger.ErrBusy at once where it would take too long or
// too many wait, what Before returns, ErrClosed, or ctx's error where ctx ends
// before the call is in a batch: then nothing was done. After any other error
// that is not of package ledger what came of the call is not known.
func (e *Engine) Do(ctx context.Context, call Call) (results []ledger.Result, err error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if call.Before != nil {
		if err := call.Before(ctx); err != nil {
			return nil, err
		}
	}
	if e.config.Admission != nil {
		pass, refusal := e.config.Admission.Enter(ctx, call.work(ctx))
		if refusal != nil {
			return nil, refusal
		}
		defer func() { pass.Done(outcomeOf(err)) }()
	}
	waiting := newWaiting(ctx, &call)
	if err := e.enqueue(waiting); err != nil {
		return nil, err
	}
	results, err = waiting.wait(ctx)
	return results, err
}

// enqueue puts a call into its ledger's queue.
func (e *Engine) enqueue(c *waiting) error {
	key := ledgerKey{c.call.TenantID, c.call.Currency}
	for {
		e.mu.RLock()
		if e.closed {
			e.mu.RUnlock()
			return ErrClosed
		}
		if w := e.writers[key]; w != nil {
			err := w.offer(c)
			e.mu.RUnlock()
			return err
		}
		e.mu.RUnlock()
		if err := e.start(key); err != nil {
			return err
		}
	}
}

// start starts a ledger's writer, unless there is one.
func (e *Engine) start(key ledgerKey) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return ErrClosed
	case e.writers[key] != nil:
		return nil
	case len(e.writers) >= e.config.LedgerLimit:
		e.metrics.refused.Inc()
		return fmt.Errorf("%w: %d ledgers are in use", ledger.ErrBusy, len(e.writers))
	}
	w := newWriter(e, key)
	e.writers[key] = w
	e.group.Go(w.run)
	return nil
}

// retire ends an idle writer, unless a call has come.
func (e *Engine) retire(w *writer) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || len(w.queue) > 0 {
		return false
	}
	delete(e.writers, w.key)
	return true
}

// Now is the time of the engine's clock, as it is stored.
func (e *Engine) Now() time.Time { return e.config.Clock().UTC().Truncate(time.Microsecond) }

// Load is how busy a ledger's writer is.
type Load struct {
	Waiting  int           // requests in the queue
	Batch    time.Duration // how long a batch takes, smoothed; 0 before the first
	Requests float64       // in a batch, smoothed
	Each     time.Duration // how long a request takes in batches, smoothed
}

// Load tells how busy a ledger is. One without a writer is not.
func (e *Engine) Load(tenantID, currency string) Load {
	e.mu.RLock()
	w := e.writers[ledgerKey{tenantID, currency}]
	e.mu.RUnlock()
	if w == nil {
		return Load{}
	}
	return w.load()
}
