// Package store keeps transactions, their logs and the coordinators' leases in
// SQL, SQLite or PostgreSQL.
//
//	store.go     Store: leases, and the writes of single transactions
//	write.go     one write of a transaction
//	commit.go    group commit: the writes of many transactions in one
//	postgres.go  a batch on PostgreSQL: one round trip
//	sqlite.go    a batch on SQLite
//	bundle.go    which facts share a row of the outbox
//	retain.go    removing what ended long ago
//	read.go      reading
//	encode.go    rows to and from the runner's types
//	records.go   the stored form of records
//	metrics.go   what is measured
//
// A transaction takes a row at its beginning, and appends an entry to the log
// for each step; the latest has its state. A small row beside says who drives
// it, and goes at its end. A batch checks once
// that its coordinator has not been ended, and holds that for as long as it
// is written, so one that has lost its transactions cannot write to them. An
// entry is of the transaction's owner, and every place in a log is taken once.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
	coordinatordb "github.com/backlot-video/backlot/sql/gen/coordinator"
)

// forgetAfter is how long a dead coordinator's row is kept: longer than any
// write of it can be on its way.
const forgetAfter = time.Hour

// Fact is one for the outbox.
type Fact struct {
	ID       string
	Envelope []byte // with the transaction's UpdatedAt as sequence
}

// Tell makes the facts of a transaction that has ended.
type Tell func(ctx context.Context, t runner.Transaction) ([]Fact, error)

// Config has what a Store may do without; zero fields mean the defaults.
type Config struct {
	Tell          Tell                  // default: no facts are told
	Told          func()                // called after facts were committed; default none
	QueueLimit    int                   // writes that may wait; more are refused; default 4096
	BatchLimit    int                   // writes in one commit; default 512
	BatchBytes    int                   // about so many bytes in one commit; default 8 MiB
	Commits       int                   // at once; default 1
	CommitTimeout time.Duration         // default 30 s
	Registerer    prometheus.Registerer // default: no metrics
	Clock         func() time.Time      // measures; default time.Now
}

func (c Config) withDefaults() Config {
	orInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	orInt(&c.QueueLimit, 4096)
	orInt(&c.BatchLimit, 512)
	orInt(&c.BatchBytes, 8<<20)
	orInt(&c.Commits, 1)
	if c.CommitTimeout == 0 {
		c.CommitTimeout = 30 * time.Second
	}
	if c.Tell == nil {
		c.Tell = func(context.Context, runner.Transaction) ([]Fact, error) { return nil, nil }
	}
	if c.Told == nil {
		c.Told = func() {}
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

// Store is a runner.Store. It is safe for concurrent use.
type Store struct {
	db        *database.DB
	config    Config
	committer *committer
	metrics   *metrics
}

var _ runner.Store = (*Store)(nil)

// New makes a Store of a database with coordinator's migrations.
func New(db *database.DB, config Config) *Store {
	config = config.withDefaults()
	s := &Store{db: db, config: config, metrics: newMetrics(config.Registerer)}
	s.committer = &committer{engine: sqlite{db}, config: config, metrics: s.metrics}
	if db.Dialect() == database.PostgreSQL {
		s.committer.engine = postgres{db}
	}
	return s
}

// single runs fn in a transaction of its own.
func (s *Store) single(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx, q *coordinatordb.Queries) error) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return fn(ctx, tx, coordinatordb.New(tx))
	})
}

// Join implements runner.Store, and forgets coordinators that are long dead.
func (s *Store) Join(ctx context.Context, lease runner.Lease) error {
	return s.single(ctx, func(ctx context.Context, _ *sql.Tx, q *coordinatordb.Queries) error {
		if _, err := q.PurgeCoordinators(ctx, lease.Until.Add(-forgetAfter).UnixMicro()); err != nil {
			return err
		}
		return q.AddCoordinator(ctx, coordinatordb.AddCoordinatorParams{
			ID: lease.ID, TenantID: "", Host: lease.Host, LeaseUntil: lease.Until.UnixMicro(),
		})
	})
}

// Renew implements runner.Store.
func (s *Store) Renew(ctx context.Context, lease runner.Lease, now time.Time) error {
	return s.single(ctx, func(ctx context.Context, _ *sql.Tx, q *coordinatordb.Queries) error {
		rows, err := q.RenewCoordinator(ctx, coordinatordb.RenewCoordinatorParams{
			ID: lease.ID, LeaseUntil: lease.Until.UnixMicro(), Now: now.UnixMicro(),
		})
		return owned(rows, err)
	})
}

// Leave implements runner.Store.
func (s *Store) Leave(ctx context.Context, id string) error {
	return s.single(ctx, func(ctx context.Context, _ *sql.Tx, q *coordinatordb.Queries) error {
		return q.EndCoordinator(ctx, id)
	})
}

// TakeOver implements runner.Store. The dead are ended in a transaction of its
// own: when it has committed they write no more, and what they had written
// before is seen by the next.
func (s *Store) TakeOver(ctx context.Context, lease runner.Lease, now time.Time) (taken int64, err error) {
	err = s.single(ctx, func(ctx context.Context, _ *sql.Tx, q *coordinatordb.Queries) error {
		_, err := q.EndDead(ctx, coordinatordb.EndDeadParams{ID: lease.ID, Now: now.UnixMicro(), Host: lease.Host})
		return err
	})
	if err != nil {
		return 0, err
	}
	err = s.single(ctx, func(ctx context.Context, _ *sql.Tx, q *coordinatordb.Queries) error {
		taken, err = q.TakeOver(ctx, lease.ID)
		return err
	})
	return taken, err
}

// Begin implements runner.Store.
func (s *Store) Begin(ctx context.Context, owner string, t runner.Transaction, log []tcc.Record) error {
	w, err := beginning(owner, t, log)
	if err != nil {
		return err
	}
	return s.committer.do(ctx, w)
}

// Append implements runner.Store.
func (s *Store) Append(ctx context.Context, owner string, t runner.Transaction, log []tcc.Record) error {
	w, err := following(ctx, owner, t, log, s.config.Tell)
	if err != nil {
		return fmt.Errorf("tell that transaction %s has ended: %w", t.XID, err)
	}
	if err := s.committer.do(ctx, w); err != nil {
		return s.blame(ctx, w, err)
	}
	if len(w.facts) > 0 {
		s.config.Told()
	}
	return nil
}

// blame makes a refusal ErrLost where the transaction is another's. That the
// place is taken, or that nobody drives it, may also be by an earlier write of
// the same owner, whose answer did not arrive.
func (s *Store) blame(ctx context.Context, w *write, err error) error {
	if !errors.Is(err, errTaken) {
		return err
	}
	owner, getErr := coordinatordb.New(s.db.Read()).GetOwner(ctx, coordinatordb.GetOwnerParams{TenantID: w.key.TenantID, Xid: w.key.XID})
	switch {
	case errors.Is(getErr, sql.ErrNoRows):
		return runner.ErrLost
	case getErr == nil && owner != "" && owner != w.owner:
		return runner.ErrLost
	default:
		return errors.Join(err, getErr)
	}
}

// Reopen implements runner.Store. It is rare, and alone in its transaction.
func (s *Store) Reopen(ctx context.Context, owner string, t runner.Transaction, log []tcc.Record) error {
	w, err := following(ctx, owner, t, log, s.config.Tell)
	if err != nil {
		return fmt.Errorf("tell that transaction %s has ended: %w", t.XID, err)
	}
	err = s.single(ctx, func(ctx context.Context, tx *sql.Tx, q *coordinatordb.Queries) error {
		held, err := q.Fence(ctx, owner)
		if err := owned(held, err); err != nil {
			return err
		}
		before, err := s.load(ctx, q, t.Key)
		if err != nil {
			return err
		}
		if last := len(before.Log); last == 0 || before.Log[last-1].Sequence+1 != log[0].Sequence {
			return runner.ErrLost
		}
		rows, err := q.ClaimTransaction(ctx, coordinatordb.ClaimTransactionParams{
			Owner: owner, TenantID: t.TenantID, Xid: t.XID, CreatedAt: w.createdAt,
		})
		if err := owned(rows, err); err != nil {
			return err
		}
		writer := newRowWriter(tx)
		defer writer.close()
		added, err := writer.write(ctx, w)
		if err != nil {
			return err
		}
		if !added {
			return runner.ErrLost
		}
		return writer.tell(ctx)
	})
	if err == nil && len(w.facts) > 0 {
		s.config.Told()
	}
	return err
}

// owned makes what found no row ErrLost.
func owned(rows int64, err error) error {
	if err == nil && rows == 0 {
		return runner.ErrLost
	}
	return err
}

// clean makes a text one that both engines take.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
