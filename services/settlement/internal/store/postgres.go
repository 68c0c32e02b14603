package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
	"github.com/backlot-video/backlot/sql/gen/settlementpg"
)

// PostgreSQL's codes of a key that is taken, of a lock that another one has, and
// of two that wait for each other.
const (
	uniqueViolation  = "23505"
	lockNotAvailable = "55P03"
	divisionByZero   = "22012" // of passLedger
	deadlockDetected = "40P01"
)

// chainKeys are those of places in a ledger's chain, or an account's.
var chainKeys = []string{"transfers_chain", "blocks_key", "blocks_by_id", "moves_key", "history_by_time"}

// postgres reads and writes with an array for each column, by native pgx on
// the connection that the transaction has.
type postgres struct {
	conn  *sql.Conn
	store *Store
	q     *settlementdb.Queries
}

// writePostgres is Write on PostgreSQL. The ledger's row, which Lock holds, is
// what keeps writers apart, so each statement may see what others committed.
func (s *Store) writePostgres(ctx context.Context, fn func(ctx context.Context, session *Session) error) error {
	conn, err := s.db.Read().Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	inside, committed := database.Hooked(ctx)
	q := settlementdb.New(tx)
	session := &Session{Tx: tx, store: s, q: q, rows: postgres{conn, s, q}}
	if err := fn(inside, session); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	committed()
	return nil
}

// native runs fn with the connection as pgx has it.
func (p postgres) native(fn func(conn *pgx.Conn) error) error {
	return p.conn.Raw(func(driver any) error {
		native, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("connection is a %T", driver)
		}
		return fn(native.Conn())
	})
}

func (p postgres) named(ctx context.Context, l Ledger, names []ledger.Name) ([]ledger.Account, error) {
	var found []settlementdb.GetAccountRow
	params := settlementpg.FindAccountsParams{TenantID: l.TenantID, Currency: l.Currency}
	for _, name := range names {
		params.OwnerIds, params.Purposes = append(params.OwnerIds, name.OwnerID), append(params.Purposes, string(name.Purpose))
	}
	err := p.native(func(conn *pgx.Conn) error {
		rows, err := settlementpg.New(conn).FindAccounts(ctx, params)
		found = accountRows(rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p.store.accounts(ctx, p.q, found...)
}

func (p postgres) accounts(ctx context.Context, l Ledger, ids []string) ([]ledger.Account, error) {
	var found []settlementdb.GetAccountRow
	err := p.native(func(conn *pgx.Conn) error {
		rows, err := settlementpg.New(conn).GetAccounts(ctx, settlementpg.GetAccountsParams{TenantID: l.TenantID, Ids: ids})
		found = accountRows(rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p.store.accounts(ctx, p.q, found...)
}

func (p postgres) byKey(ctx context.Context, l Ledger, keys []string) (found []stored, err error) {
	var packed []settlementpg.FindPackedRow
	err = p.native(func(conn *pgx.Conn) error {
		rows, err := settlementpg.New(conn).FindTransfers(ctx, settlementpg.FindTransfersParams{TenantID: l.TenantID, Keys: keys})
		if found, err = decodeRows(rows, err); err != nil {
			return err
		}
		packed, err = settlementpg.New(conn).FindPacked(ctx, settlementpg.FindPackedParams{TenantID: l.TenantID, Keys: keys})
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, at := range packed {
		one, err := packedOf(ctx, p.q, at.Ledger, at.Sequence, at.IdempotencyKey)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, nil
}

// write sends a batch in one round trip.
func (p postgres) write(ctx context.Context, l Ledger, w *written) (bool, error) {
	q := &queued{}
	if w.unlocked {
		q.add(settlementdb.LockLedger, l.TenantID, l.Currency).expect(1, &q.moved)
	}
	q.rows(l, w)
	q.add(settlementdb.MoveLedger, w.LastNumber, w.Head.Sequence, w.Head.Hash[:], w.at.UnixMicro(), l.Unsorted,
		l.progress.sortedTo, l.progress.sortingTo, l.progress.account, l.progress.sequence, l.Number, l.Version).expect(1, &q.moved)
	err := p.native(func(conn *pgx.Conn) error { return q.send(ctx, conn) })
	return q.outcome(err)
}

// rows queues all but the ledger's row.
func (q *queued) rows(l Ledger, w *written) {
	if len(w.Opened) > 0 {
		q.accounts(l, w)
	}
	if len(w.Ended) > 0 {
		q.ended(l, w)
	}
	if len(w.Held) > 0 {
		q.balances(w)
	}
	q.blocks(l, w)
	if len(w.Moves) > 0 {
		q.add(settlementdb.AddMoves, l.Number, w.Head.Sequence, w.Moves[0].Sequence, w.at.UnixMicro(), w.moves)
	}
	q.step(l)
	if len(w.facts) > 0 {
		p := settlementpg.AddFactsParams{TenantID: l.TenantID, At: w.at.UnixMicro()}
		for _, fact := range w.facts {
			p.Ids, p.Envelopes = append(p.Ids, fact.ID), append(p.Envelopes, fact.Envelope)
		}
		q.add(settlementpg.AddFacts, p.Ids, p.TenantID, p.At, p.Envelopes)
	}
	if len(w.Added) > 0 {
		q.copyKeys(l, w)
	}
	if len(w.rows) > 0 {
		q.copyRows(l, w)
	}
}

// outcome tells apart what went wrong: ErrMoved, or false where an id or an
// idempotency key was taken.
func (q *queued) outcome(err error) (bool, error) {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		switch {
		case answer.Code == lockNotAvailable, answer.Code == divisionByZero, answer.Code == deadlockDetected,
			answer.Code == uniqueViolation && slices.Contains(chainKeys, answer.ConstraintName):
			return false, ErrMoved // another writer is there, or has gone on from where this one thought it was
		case answer.Code == uniqueViolation:
			return false, nil
		}
	}
	if err == nil && q.moved && !q.taken {
		err = ErrMoved
	}
	return !q.taken, err
}

func (q *queued) accounts(l Ledger, w *written) {
	p := settlementpg.AddAccountsParams{TenantID: l.TenantID, Currency: l.Currency, At: w.at.UnixMicro()}
	for _, a := range w.Opened {
		p.Numbers, p.Ids, p.States = append(p.Numbers, a.Number), append(p.Ids, a.ID), append(p.States, int32(a.State))
		p.Purposes, p.OwnerIds = append(p.Purposes, string(a.Purpose)), append(p.OwnerIds, a.OwnerID)
		p.NormalSides, p.Overdrafts = append(p.NormalSides, int32(a.NormalSide)), append(p.Overdrafts, flag(a.Overdraft))
	}
	q.add(settlementpg.AddAccounts, p.Numbers, p.Ids, p.TenantID, p.Purposes, p.OwnerIds, p.Currency, p.NormalSides,
		p.Overdrafts, p.States, p.At).expect(len(w.Opened), &q.taken)
	q.add(settlementpg.AddBalances, p.Numbers)
}

func (q *queued) ended(l Ledger, w *written) {
	var p settlementpg.EndTransfersParams
	for _, t := range w.Ended {
		p.Ids, p.States = append(p.Ids, t.ID), append(p.States, int32(t.State))
		p.Sequences, p.Hashes = append(p.Sequences, t.Sequence), append(p.Hashes, hashOf(t))
	}
	q.add(settlementpg.EndTransfers, w.at.UnixMicro(), l.TenantID, p.Ids, p.States, p.Sequences, p.Hashes).expect(len(w.Ended), &q.moved)
}

func (q *queued) balances(w *written) {
	n := len(w.Held)
	p := settlementpg.SetBalancesParams{Accounts: make([]int64, n), DebitsPending: make([]int64, n), CreditsPending: make([]int64, n)}
	for i, a := range w.Held {
		p.Accounts[i] = a.Number
		p.DebitsPending[i], p.CreditsPending[i] = a.Balance.DebitsPending.Minor, a.Balance.CreditsPending.Minor
	}
	q.add(settlementpg.SetBalances, p.Accounts, p.DebitsPending, p.CreditsPending).expect(n, &q.moved)
}

// blocks queues those of a batch's transfers that are in blocks.
func (q *queued) blocks(l Ledger, w *written) {
	if len(w.blocks) > 0 {
		p := settlementpg.AddBlocksParams{Ledger: l.Number, At: w.at.UnixMicro()}
		for _, b := range w.blocks {
			p.Sequences, p.LastIds, p.Transfers = append(p.Sequences, b.sequence), append(p.LastIds, b.lastID), append(p.Transfers, b.transfers)
		}
		q.add(settlementpg.AddBlocks, p.Ledger, p.Sequences, p.LastIds, p.At, p.Transfers)
	}
	if len(w.referenced) > 0 {
		p := settlementpg.AddBlockReferencesParams{TenantID: l.TenantID, Ledger: l.Number}
		for _, t := range w.referenced {
			p.Refs, p.Ids, p.Sequences = append(p.Refs, t.Reference), append(p.Ids, t.ID), append(p.Sequences, t.Sequence)
		}
		q.add(settlementpg.AddBlockReferences, p.TenantID, p.Refs, p.Ids, p.Ledger, p.Sequences)
	}
}

// step queues what a batch does to sort the moves of others. Of two that
// overlap, each deletes others.
func (q *queued) step(l Ledger) {
	if l.step.deleteTo > 0 {
		q.add(settlementdb.DeleteMoves, l.Number, l.step.from.sequence, l.step.deleteTo)
	}
	n := len(l.step.runs)
	if n == 0 {
		return
	}
	p := settlementpg.AddRunsParams{
		Accounts: make([]int64, n), At: make([]int64, n), Sequences: make([]int64, n), Debits: make([]int64, n), Credits: make([]int64, n),
		Lines: make([][]byte, n),
	}
	for i := range l.step.runs {
		r := &l.step.runs[i]
		p.Accounts[i], p.At[i], p.Sequences[i], p.Debits[i], p.Credits[i] = r.account, r.at, r.sequence, r.debits, r.credits
		p.Lines[i] = r.lines
	}
	q.add(settlementpg.AddRuns, p.Accounts, p.At, p.Sequences, p.Debits, p.Credits, p.Lines)
}
