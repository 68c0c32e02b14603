package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/match"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// Matches keeps what is compared of orders, transactions and transfers. It is
// safe for concurrent use.
type Matches struct{ db *database.DB }

// NewMatches makes Matches of a database with settlement's migrations.
func NewMatches(db *database.DB) *Matches { return &Matches{db} }

// MatchKey names a match.
type MatchKey struct{ TenantID, XID string }

// Update changes a match within tx; one that is not there is new to change.
func (s *Matches) Update(ctx context.Context, tx *sql.Tx, key MatchKey, change func(*match.Match)) (match.Match, error) {
	q := settlementdb.New(tx)
	row, err := q.GetMatch(ctx, settlementdb.GetMatchParams{TenantID: key.TenantID, Xid: key.XID})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return match.Match{}, err
	}
	m := decodeMatch(row)
	m.TenantID, m.XID = key.TenantID, key.XID
	change(&m)
	return m, q.PutMatch(ctx, encodeMatch(m))
}

// Write runs fn in a transaction of its own.
func (s *Matches) Write(ctx context.Context, fn database.Func) error { return s.db.Write(ctx, fn) }

// Get returns a match, or ErrNotFound.
func (s *Matches) Get(ctx context.Context, key MatchKey) (match.Match, error) {
	row, err := settlementdb.New(s.db.Read()).GetMatch(ctx, settlementdb.GetMatchParams{TenantID: key.TenantID, Xid: key.XID})
	return decodeMatch(row), notFound(err)
}

// Waiting returns matches that have waited since before a time, the oldest
// first.
func (s *Matches) Waiting(ctx context.Context, before time.Time, limit int) ([]MatchKey, error) {
	rows, err := settlementdb.New(s.db.Read()).ListWaitingMatches(ctx, settlementdb.ListWaitingMatchesParams{
		Before: before.UnixMicro(), MaxRows: int32(limit),
	})
	keys := make([]MatchKey, 0, len(rows))
	for _, row := range rows {
		keys = append(keys, MatchKey{row.TenantID, row.Xid})
	}
	return keys, err
}

// Counts are what there is of all tenants.
type Counts struct {
	Waiting, Different int64
	Oldest             time.Time // of those that wait; zero where none does
}

// Counts counts matches.
func (s *Matches) Counts(ctx context.Context) (c Counts, err error) {
	q := settlementdb.New(s.db.Read())
	if c.Waiting, err = q.CountMatches(ctx, int32(match.Waiting)); err != nil {
		return c, err
	}
	if c.Different, err = q.CountMatches(ctx, int32(match.Different)); err != nil {
		return c, err
	}
	oldest, err := q.OldestWaiting(ctx)
	c.Oldest = timeOf(oldest)
	return c, err
}

// WaitingOf counts what waits of a tenant.
func (s *Matches) WaitingOf(ctx context.Context, tenantID string) (int64, error) {
	return settlementdb.New(s.db.Read()).CountWaitingOf(ctx, tenantID)
}

// DifferencePage asks for differences in the order in which they were found.
type DifferencePage struct {
	AfterTime time.Time // of the last one seen; zero for the beginning
	AfterXID  string
	Closed    bool // whether closed ones are wanted, too
	Limit     int
}

// Differences lists a tenant's matches that differ.
func (s *Matches) Differences(ctx context.Context, tenantID string, page DifferencePage) ([]match.Match, error) {
	rows, err := settlementdb.New(s.db.Read()).ListDifferences(ctx, settlementdb.ListDifferencesParams{
		TenantID: tenantID, Closed: flag(page.Closed), AfterTime: microsOf(page.AfterTime), AfterXid: page.AfterXID,
		MaxRows: int32(page.Limit),
	})
	matches := make([]match.Match, 0, len(rows))
	for _, row := range rows {
		matches = append(matches, decodeMatch(row))
	}
	return matches, err
}

// Purge forgets at most limit matches: those that have agreed since before one
// time, and those that were closed before another.
func (s *Matches) Purge(ctx context.Context, agreed, closed time.Time, limit int) (purged int64, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		purged, err = settlementdb.New(tx).PurgeMatches(ctx, settlementdb.PurgeMatchesParams{
			Before: agreed.UnixMicro(), ClosedBefore: closed.UnixMicro(), MaxRows: int32(limit),
		})
		return err
	})
	return purged, err
}

func decodeMatch(row settlementdb.Match) match.Match {
	m := match.Match{
		TenantID: row.TenantID, XID: row.Xid, Status: match.Status(row.Status),
		OrderID: row.OrderID, Order: match.OrderState(row.OrderState),
		OrderAmount:       money.Amount{Minor: row.OrderAmount, Currency: row.OrderCurrency},
		Transaction:       match.TransactionState(row.TransactionState),
		TransferID:        row.TransferID,
		TransferReference: row.TransferReference,
		TransferAmount:    money.Amount{Minor: row.TransferAmount, Currency: row.TransferCurrency},
		FirstSeenAt:       timeOf(row.FirstSeenAt), UpdatedAt: timeOf(row.UpdatedAt),
		FoundAt: timeOf(row.FoundAt), ClosedAt: timeOf(row.ClosedAt), ClosedBy: row.ClosedBy, Reason: row.Reason,
	}
	for kind := range strings.FieldsSeq(row.Kinds) {
		m.Kinds = append(m.Kinds, match.Kind(kind))
	}
	return m
}

func encodeMatch(m match.Match) settlementdb.PutMatchParams {
	kinds := make([]string, len(m.Kinds))
	for i, kind := range m.Kinds {
		kinds[i] = string(kind)
	}
	return settlementdb.PutMatchParams{
		TenantID: m.TenantID, Xid: m.XID, Status: int32(m.Status),
		OrderID: m.OrderID, OrderState: int32(m.Order), OrderAmount: m.OrderAmount.Minor, OrderCurrency: m.OrderAmount.Currency,
		TransactionState: int32(m.Transaction),
		TransferID:       m.TransferID, TransferReference: m.TransferReference,
		TransferAmount: m.TransferAmount.Minor, TransferCurrency: m.TransferAmount.Currency,
		Kinds: strings.Join(kinds, " "), FirstSeenAt: microsOf(m.FirstSeenAt), UpdatedAt: microsOf(m.UpdatedAt),
		FoundAt: microsOf(m.FoundAt), ClosedAt: microsOf(m.ClosedAt), ClosedBy: m.ClosedBy, Reason: m.Reason,
	}
}
