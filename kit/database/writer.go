package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// writer runs callers' functions on SQLite's only writing connection. Its
// goroutine opens a transaction for the jobs that wait, hands it to one caller
// after the other, each within a savepoint, and commits once for all.
// Functions run in their callers' goroutines, which keeps panics there.
type writer struct {
	db      *sql.DB
	limit   int
	metrics *metrics
	told    func(*sql.DB) // called after each batch, when its callers are answered
	queue   chan *job
	kept    *job          // came while a batch was made, and is to be alone; the goroutine's own
	closing chan struct{} // closed by stop
	stopped chan struct{} // closed when the goroutine has ended
	once    sync.Once
}

// job is one caller's function. The caller takes turn and answers on ran,
// perhaps several times, until a result comes or it left.
type job struct {
	turn   chan *sql.Tx
	ran    chan error
	single bool          // in a transaction of its own, without a savepoint
	result chan error    // of length 1
	left   chan struct{} // closed when the caller no longer waits
}

func startWriter(cfg Config, db *sql.DB, measured *metrics, told func(*sql.DB)) *writer {
	w := &writer{
		db: db, limit: cfg.BatchLimit, metrics: measured, told: told,
		queue:   make(chan *job, cfg.QueueLimit),
		closing: make(chan struct{}), stopped: make(chan struct{}),
	}
	go w.loop()
	return w
}

// stop lets the accepted jobs finish and waits for it.
func (w *writer) stop() {
	w.once.Do(func() { close(w.closing) })
	<-w.stopped
}

// do is a caller's side of a job.
func (w *writer) do(ctx context.Context, fn Func) error { return w.wait(ctx, fn, false) }

// doAlone is do in a transaction that holds nothing else.
func (w *writer) doAlone(ctx context.Context, fn Func) error { return w.wait(ctx, fn, true) }

func (w *writer) wait(ctx context.Context, fn Func, single bool) error {
	j := &job{
		single: single,
		turn:   make(chan *sql.Tx), ran: make(chan error),
		result: make(chan error, 1), left: make(chan struct{}),
	}
	defer close(j.left)
	if err := context.Cause(ctx); err != nil {
		w.metrics.refused.Inc()
		return err
	}
	select {
	case <-w.closing:
		return ErrClosed
	case <-ctx.Done():
		w.metrics.refused.Inc()
		return context.Cause(ctx)
	case w.queue <- j:
	}
	done := ctx.Done()
	for {
		select {
		case tx := <-j.turn:
			done = nil // from here on it is not cut
			j.run(ctx, tx, fn)
		case err := <-j.result:
			return err
		case <-done:
			w.metrics.refused.Inc()
			return context.Cause(ctx)
		case <-w.stopped:
			select {
			case err := <-j.result:
				return err
			default:
				return ErrClosed
			}
		}
	}
}

// errLeft tells the writer that nobody waits for a result: the caller's
// context ended, or its function did not return.
var errLeft = errors.New("caller has left")

func (j *job) run(ctx context.Context, tx *sql.Tx, fn Func) {
	err := errLeft
	defer func() { j.ran <- err }()
	err = fn(ctx, tx)
}

func (w *writer) loop() {
	defer close(w.stopped)
	for {
		if j := w.kept; j != nil {
			w.kept = nil
			w.batch(j)
			w.told(w.db)
			continue
		}
		select {
		case j := <-w.queue:
			w.batch(j)
			w.told(w.db)
		case <-w.closing:
			select {
			case j := <-w.queue:
				w.batch(j)
			default:
				return
			}
		}
	}
}

// batch runs first and the jobs that queue up behind it in one transaction.
// Where that breaks, each that has no result yet runs in one of its own.
func (w *writer) batch(first *job) {
	w.metrics.queued.Set(float64(len(w.queue)))
	if first.single {
		w.metrics.batch.Observe(1)
		w.alone(first)
		return
	}
	var open []*job // they ran or are to run, and have no result
	err := w.transaction(func(tx *sql.Tx) error {
		for next, n := first, 1; next != nil; next, n = w.next(n), n+1 {
			open = append(open, next)
			settled, err := next.offer(tx)
			if settled {
				open = open[:len(open)-1]
			}
			if err != nil {
				return err
			}
		}
		w.metrics.batch.Observe(float64(len(open)))
		return nil
	})
	for _, j := range open {
		if err != nil {
			w.alone(j)
		} else {
			j.result <- nil
		}
	}
}

// alone runs a job in a transaction that holds nothing else.
func (w *writer) alone(j *job) {
	settled := false
	err := w.transaction(func(tx *sql.Tx) (err error) {
		settled, err = j.offer(tx)
		return err
	})
	if !settled {
		j.result <- err
	}
}

// next is a job that waits, or nil.
func (w *writer) next(have int) *job {
	if have >= w.limit {
		return nil
	}
	select {
	case j := <-w.queue:
		if j.single {
			w.kept = j
			return nil
		}
		return j
	default:
		return nil
	}
}

func (w *writer) transaction(fill func(*sql.Tx) error) error {
	ctx := context.Background()
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := fill(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	start := w.metrics.clock()
	if err := tx.Commit(); err != nil {
		return errors.Join(fmt.Errorf("commit: %w", err), ignoreDone(tx.Rollback()))
	}
	w.metrics.commit.Observe(w.metrics.clock().Sub(start).Seconds())
	return nil
}

// offer lets the job run in tx under a savepoint. It is settled where it needs
// no commit: it failed and has its error, or its caller has left. An error
// means that tx is no longer usable.
func (j *job) offer(tx *sql.Tx) (settled bool, err error) {
	if j.single { // an error undoes the transaction, and nothing else with it
		select {
		case j.turn <- tx:
			return false, <-j.ran
		case <-j.left:
			return false, errLeft
		}
	}
	ctx := context.Background()
	if _, err := tx.ExecContext(ctx, "SAVEPOINT job"); err != nil {
		return false, err
	}
	select {
	case j.turn <- tx:
		err = <-j.ran
	case <-j.left:
		err = errLeft
	}
	if err == nil {
		_, err := tx.ExecContext(ctx, "RELEASE job")
		return false, err
	}
	j.result <- err
	_, err = tx.ExecContext(ctx, "ROLLBACK TO job; RELEASE job")
	return true, err
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
