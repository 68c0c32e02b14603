package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/backlot-video/backlot/kit/database"
)

const (
	begin = "BEGIN ISOLATION LEVEL READ COMMITTED"
	// passLedger is LockLedger and MoveLedger: it takes a ledger's row, in the
	// version that the batch before left, and does not wait for another writer: that
	// one may wait for the rows that this batch has written. Where the version is
	// another one it fails, so that what is sent behind it is not done: it divides by
	// the number of rows.
	passLedger = `WITH held AS (SELECT number FROM ledgers WHERE number = $11 AND version = $1 - 1 FOR UPDATE NOWAIT),
		passed AS (
			UPDATE ledgers SET version = $1, accounts = $2, sequence = $3, hash = $4, updated_at = $5,
				unsorted_moves = $6, sorted_to = $7, sorting_to = $8, sorting_account = $9, sorting_sequence = $10
			WHERE number = (SELECT number FROM held) AND version = $1 - 1 RETURNING 1
		)
		SELECT 1 / COUNT(*) FROM passed`
)

// overlap writes a batch on PostgreSQL while the one before it is committed,
// which is mostly waiting for the disk. Its rows come first, with no lock on the
// ledger, and its ledger last: that is in order since it is one row, whose
// version must be the one that the batch before has left. Whatever another
// writer did meanwhile fails on that, or on the places in the chain.
func (s *Store) overlap(ctx context.Context, b *Batch, turn Turn) (fresh bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	conn, err := s.db.Read().Conn(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	err = postgres{conn: conn}.native(func(conn *pgx.Conn) error {
		fresh, err = overlapOn(ctx, conn, b, turn)
		return err
	})
	return fresh, database.Explain(err)
}

// overlapOn leaves the connection in no transaction.
func overlapOn(ctx context.Context, conn *pgx.Conn, b *Batch, turn Turn) (fresh bool, err error) {
	defer func() {
		if conn.PgConn().TxStatus() == 'I' {
			return
		}
		if _, fault := conn.PgConn().Exec(ctx, "ROLLBACK").ReadAll(); fault != nil {
			err = errors.Join(err, fault, conn.Close(ctx))
		}
	}()
	l, w, rows := b.ledger, &b.written, &queued{}
	rows.add(begin)
	rows.rows(l, w)
	if fresh, err = rows.outcome(rows.send(ctx, conn)); err != nil || !fresh {
		return fresh, err
	}
	if err := turn.Await(); err != nil {
		return false, err
	}
	turn.Held()
	last := &queued{}
	last.add(passLedger,
		l.Version, w.LastNumber, w.Head.Sequence, w.Head.Hash[:], w.at.UnixMicro(), l.Unsorted,
		l.progress.sortedTo, l.progress.sortingTo, l.progress.account, l.progress.sequence, l.Number)
	commit := last.add("COMMIT")
	fresh, err = last.outcome(last.send(ctx, conn))
	if err == nil && fresh && commit.tag.String() != "COMMIT" {
		err = fmt.Errorf("commit: the server answers %q", commit.tag)
	}
	return err == nil && fresh, err
}
