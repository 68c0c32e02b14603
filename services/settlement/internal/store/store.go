// Package store keeps ledgers in SQL, one code for SQLite and PostgreSQL.
//
//	store.go   Store, and Tx: booking within a transaction
//	turn.go    Turn: one booking of this process at a time at each ledger
//	read.go    reading accounts and transfers
//	within.go  reading within a transaction
//	statement.go payout.go reconciliation.go match.go  what is kept beside the ledgers
//	verify.go  giving a whole ledger to a ledger.Verifier
//	encode.go  rows to and from the ledger's types
//
// A transfer's rows, the balances that it changes, its place in the chain and
// the fact of its posting are written in one transaction. Every booking holds
// the row of its ledger (tenant, currency) until it commits, so a ledger has
// one writer at a time, whatever the number of processes. Postings are never
// changed or removed. What may be booked is package ledger's to say.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// ErrNotFound means that there is no such transfer, account or other thing.
var ErrNotFound = errors.New("not found")

// Tell adds the fact that a transfer was posted to the outbox, in tx.
type Tell func(ctx context.Context, tx *sql.Tx, t ledger.Transfer) error

// Store keeps ledgers. It is safe for concurrent use.
type Store struct {
	db        *database.DB
	tell      Tell
	clock     func() time.Time
	transfers *prometheus.CounterVec // type, state
	turns     turns
}

// New makes a Store of a database with settlement's migrations. A nil
// registerer means no metrics.
func New(db *database.DB, tell Tell, clock func() time.Time, registerer prometheus.Registerer) *Store {
	s := &Store{db: db, tell: tell, clock: clock, turns: turns{ledgers: make(map[ledgerKey]*turn)}}
	s.transfers = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "backlot_settlement_transfers_total",
		Help: "Transfers that became pending, posted or voided.",
	}, []string{"type", "state"})
	if registerer != nil {
		registerer.MustRegister(s.transfers)
	}
	return s
}

// count counts a transfer's step once it is committed.
func (s *Store) count(ctx context.Context, t ledger.Transfer) {
	database.AfterCommit(ctx, s.transfers.WithLabelValues(string(t.Type), t.State.String()).Inc)
}

// Tx books within one SQL transaction.
type Tx struct {
	store *Store
	tx    *sql.Tx
	q     *settlementdb.Queries
}

// In books within a transaction of the store's database, which the caller
// commits unless a booking returns an error.
func (s *Store) In(tx *sql.Tx) *Tx { return &Tx{store: s, tx: tx, q: settlementdb.New(tx)} }

// Write runs fn, which books at one ledger, in a transaction of its own when it
// is its turn, and commits it. fn may run again.
func (s *Store) Write(ctx context.Context, tenantID, currency string, fn func(ctx context.Context, tx *Tx) error) error {
	done, err := s.Turn(ctx, tenantID, currency)
	if err != nil {
		return err
	}
	defer done()
	return s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error { return fn(ctx, s.In(tx)) })
}

// Find returns the transfer with this idempotency key, or ErrNotFound.
func (x *Tx) Find(ctx context.Context, tenantID, idempotencyKey string) (ledger.Transfer, error) {
	row, err := x.q.FindTransfer(ctx, settlementdb.FindTransferParams{TenantID: tenantID, IdempotencyKey: idempotencyKey})
	if err != nil {
		return ledger.Transfer{}, notFound(err)
	}
	return withPostings(ctx, x.q, row)
}

// Pend books a draft as pending. An error, such as
// ledger.ErrInsufficientFunds, means that the transaction must not commit.
func (x *Tx) Pend(ctx context.Context, draft ledger.Draft) (ledger.Transfer, error) {
	now := x.store.now()
	head, err := x.lock(ctx, draft.TenantID, draft.Currency, now)
	if err != nil {
		return ledger.Transfer{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return ledger.Transfer{}, err
	}
	t := ledger.Transfer{
		ID: id.String(), TenantID: draft.TenantID, Currency: draft.Currency, Type: draft.Type,
		Reference: draft.Reference, XID: draft.XID, IdempotencyKey: draft.IdempotencyKey, SplitPolicy: draft.SplitPolicy,
	}
	var accounts []ledger.Account
	for _, line := range draft.Lines {
		account, err := x.open(ctx, draft.TenantID, line, now)
		if err != nil {
			return ledger.Transfer{}, err
		}
		accounts = append(accounts, account)
		t.Postings = append(t.Postings, ledger.Posting{
			AccountID: account.ID, Side: line.Side, Amount: line.Amount, Purpose: line.Purpose, OwnerID: line.OwnerID,
		})
	}
	book := ledger.NewBook(head, accounts...)
	if err := book.Pend(&t, now); err != nil {
		return ledger.Transfer{}, err
	}
	x.store.count(ctx, t)
	return t, errors.Join(x.add(ctx, t), x.balance(ctx, book, t))
}

// Post makes the pending transfer with this idempotency key final. It returns
// ErrNotFound, or ledger.ErrState where the transfer is not pending.
func (x *Tx) Post(ctx context.Context, tenantID, idempotencyKey string) (ledger.Transfer, error) {
	t, err := x.end(ctx, tenantID, idempotencyKey, (*ledger.Book).Post)
	if err != nil {
		return ledger.Transfer{}, err
	}
	moved, err := x.q.MoveLedger(ctx, settlementdb.MoveLedgerParams{
		TenantID: t.TenantID, Currency: t.Currency, Sequence: t.Sequence, Hash: t.Hash[:], Now: t.EndedAt.UnixMicro(),
	})
	if err != nil {
		return ledger.Transfer{}, err
	}
	if moved != 1 {
		return ledger.Transfer{}, fmt.Errorf("post transfer %s: the ledger has moved", t.ID)
	}
	if err := x.store.tell(ctx, x.tx, t); err != nil {
		return ledger.Transfer{}, fmt.Errorf("tell of transfer %s: %w", t.ID, err)
	}
	return t, nil
}

// Void ends the pending transfer with this idempotency key without effect. It
// returns ErrNotFound, or ledger.ErrState where the transfer is not pending.
func (x *Tx) Void(ctx context.Context, tenantID, idempotencyKey string) (ledger.Transfer, error) {
	return x.end(ctx, tenantID, idempotencyKey, (*ledger.Book).Void)
}

// end ends a pending transfer by one of Book's steps.
func (x *Tx) end(
	ctx context.Context, tenantID, idempotencyKey string, step func(*ledger.Book, *ledger.Transfer, time.Time) error,
) (ledger.Transfer, error) {
	t, err := x.Find(ctx, tenantID, idempotencyKey)
	if err != nil {
		return ledger.Transfer{}, err
	}
	now := x.store.now()
	head, err := x.lock(ctx, t.TenantID, t.Currency, now)
	if err != nil {
		return ledger.Transfer{}, err
	}
	accounts := make([]ledger.Account, 0, len(t.Postings))
	for _, posting := range t.Postings {
		row, err := x.q.GetAccount(ctx, settlementdb.GetAccountParams{TenantID: tenantID, ID: posting.AccountID})
		if err != nil {
			return ledger.Transfer{}, err
		}
		accounts = append(accounts, decodeAccount(row))
	}
	book := ledger.NewBook(head, accounts...)
	if err := step(book, &t, now); err != nil {
		return ledger.Transfer{}, err
	}
	ended, err := x.q.EndTransfer(ctx, settlementdb.EndTransferParams{
		TenantID: tenantID, ID: t.ID, State: int32(t.State), Sequence: t.Sequence, Hash: hashOf(t), EndedAt: t.EndedAt.UnixMicro(),
	})
	if err != nil {
		return ledger.Transfer{}, err
	}
	if ended != 1 {
		return ledger.Transfer{}, fmt.Errorf("end transfer %s: %w: not pending", t.ID, ledger.ErrState)
	}
	x.store.count(ctx, t)
	return t, x.balance(ctx, book, t)
}

// lock holds the ledger until the transaction ends and returns its head.
func (x *Tx) lock(ctx context.Context, tenantID, currency string, now time.Time) (ledger.Head, error) {
	row, err := x.q.LockLedger(ctx, settlementdb.LockLedgerParams{
		TenantID: tenantID, Currency: currency, Genesis: make([]byte, len(ledger.Head{}.Hash)), Now: now.UnixMicro(),
	})
	if err != nil {
		return ledger.Head{}, fmt.Errorf("lock ledger %s: %w", currency, err)
	}
	return ledger.Head{Sequence: row.Sequence, Hash: digest(row.Hash)}, nil
}

// open returns the account of a line, which it opens if need be.
func (x *Tx) open(ctx context.Context, tenantID string, line ledger.Line, now time.Time) (ledger.Account, error) {
	find := settlementdb.FindAccountParams{
		TenantID: tenantID, OwnerID: line.OwnerID, Purpose: string(line.Purpose), Currency: line.Amount.Currency,
	}
	row, err := x.q.FindAccount(ctx, find)
	if err == nil {
		return decodeAccount(row), nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return ledger.Account{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return ledger.Account{}, err
	}
	account, err := ledger.NewAccount(id.String(), line.Purpose, line.OwnerID, line.Amount.Currency)
	if err != nil {
		return ledger.Account{}, err
	}
	_, err = x.q.AddAccount(ctx, settlementdb.AddAccountParams{
		ID: account.ID, TenantID: tenantID, Purpose: string(account.Purpose), OwnerID: account.OwnerID,
		Currency: account.Currency, NormalSide: int32(account.NormalSide), Overdraft: flag(account.Overdraft),
		CreatedAt: now.UnixMicro(),
	})
	return account, err
}

// add inserts a pending transfer and its postings.
func (x *Tx) add(ctx context.Context, t ledger.Transfer) error {
	err := x.q.AddTransfer(ctx, settlementdb.AddTransferParams{
		ID: t.ID, TenantID: t.TenantID, Currency: t.Currency, Type: string(t.Type), State: int32(t.State),
		Reference: t.Reference, Xid: t.XID, IdempotencyKey: t.IdempotencyKey, SplitPolicy: t.SplitPolicy,
		Sequence: 0, Hash: []byte{}, CreatedAt: t.CreatedAt.UnixMicro(), EndedAt: 0,
	})
	if err != nil {
		return err
	}
	for line, posting := range t.Postings {
		err := x.q.AddPosting(ctx, settlementdb.AddPostingParams{
			TransferID: t.ID, Line: int32(line), TenantID: t.TenantID, AccountID: posting.AccountID,
			Side: int32(posting.Side), Amount: posting.Amount.Minor,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// balance writes the balances of a transfer's accounts.
func (x *Tx) balance(ctx context.Context, book *ledger.Book, t ledger.Transfer) error {
	for _, posting := range t.Postings {
		account, _ := book.Account(posting.AccountID)
		_, err := x.q.SetBalance(ctx, settlementdb.SetBalanceParams{
			TenantID: t.TenantID, ID: account.ID,
			DebitsPosted: account.Balance.DebitsPosted.Minor, CreditsPosted: account.Balance.CreditsPosted.Minor,
			DebitsPending: account.Balance.DebitsPending.Minor, CreditsPending: account.Balance.CreditsPending.Minor,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Now is the time of the store's clock, as it is stored.
func (s *Store) Now() time.Time { return s.now() }

// now is the time to the microsecond, as it is stored and hashed.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }
