package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

var (
	// ErrKeyReused means an idempotency key that was used for something else.
	ErrKeyReused = errors.New("idempotency key was used for another request")
	// ErrPlace means a part of a file that does not follow the one before.
	ErrPlace = errors.New("data does not follow what is there")
	// ErrEnded means a reconciliation that is no longer open.
	ErrEnded = errors.New("reconciliation has ended")
)

// ReconciliationState is where a reconciliation stands. The numbers are stored
// and the contract's.
type ReconciliationState int

// The states.
const (
	ReconciliationOpen     ReconciliationState = 1
	ReconciliationFinished ReconciliationState = 2
	ReconciliationFailed   ReconciliationState = 3
)

// Reconciliation is a comparison with a file. Mapping and Report are messages
// of the contract, which the store does not read.
type Reconciliation struct {
	ID, TenantID, Name   string
	State                ReconciliationState
	From, To             time.Time
	Mapping, Report      []byte
	Problem              string
	Size                 int64 // bytes of the file that are here
	IdempotencyKey       string
	CreatedAt, UpdatedAt time.Time
}

// Reconciliations keeps reconciliations and their files. It is safe for
// concurrent use.
type Reconciliations struct{ db *database.DB }

// NewReconciliations makes Reconciliations of a database with settlement's
// migrations.
func NewReconciliations(db *database.DB) *Reconciliations { return &Reconciliations{db} }

func (s *Reconciliations) read() *settlementdb.Queries { return settlementdb.New(s.db.Read()) }

// Add opens a reconciliation, or returns the one with its key. With another
// name, time or mapping it returns ErrKeyReused.
func (s *Reconciliations) Add(ctx context.Context, r Reconciliation) (added Reconciliation, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		q := settlementdb.New(tx)
		_, err := q.AddReconciliation(ctx, settlementdb.AddReconciliationParams{
			ID: r.ID, TenantID: r.TenantID, Name: r.Name, FromTime: microsOf(r.From), ToTime: microsOf(r.To),
			Mapping: r.Mapping, Report: []byte{}, IdempotencyKey: r.IdempotencyKey, Now: microsOf(r.CreatedAt),
		})
		if err != nil {
			return err
		}
		row, err := q.FindReconciliation(ctx, settlementdb.FindReconciliationParams{TenantID: r.TenantID, IdempotencyKey: r.IdempotencyKey})
		added = decodeReconciliation(row)
		return err
	})
	if err != nil {
		return Reconciliation{}, err
	}
	same := microsOf(added.From) == microsOf(r.From) && microsOf(added.To) == microsOf(r.To)
	if added.Name != r.Name || !same || string(added.Mapping) != string(r.Mapping) {
		return Reconciliation{}, ErrKeyReused
	}
	return added, nil
}

// Get returns a reconciliation, or ErrNotFound.
func (s *Reconciliations) Get(ctx context.Context, tenantID, id string) (Reconciliation, error) {
	row, err := s.read().GetReconciliation(ctx, settlementdb.GetReconciliationParams{TenantID: tenantID, ID: id})
	if err != nil {
		return Reconciliation{}, fmt.Errorf("reconciliation %s: %w", id, notFound(err))
	}
	return decodeReconciliation(row), nil
}

// lastID is before all ids in lists that run backwards.
const lastID = "z"

// List lists a tenant's reconciliations, the newest first; before is the last id
// seen, empty for the beginning.
func (s *Reconciliations) List(ctx context.Context, tenantID, before string, limit int) ([]Reconciliation, error) {
	if before == "" {
		before = lastID
	}
	rows, err := s.read().ListReconciliations(ctx, settlementdb.ListReconciliationsParams{
		TenantID: tenantID, BeforeID: before, MaxRows: int32(limit),
	})
	list := make([]Reconciliation, 0, len(rows))
	for _, row := range rows {
		list = append(list, decodeReconciliation(row))
	}
	return list, err
}

// AddPart adds a part of the file at an offset, and returns the file's size. A
// part that is there already changes nothing; one that does not follow gets
// ErrPlace, and one of a reconciliation that has ended ErrEnded.
func (s *Reconciliations) AddPart(
	ctx context.Context, tenantID, id string, offset int64, data []byte, now time.Time,
) (size int64, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		q := settlementdb.New(tx)
		row, err := q.GetReconciliation(ctx, settlementdb.GetReconciliationParams{TenantID: tenantID, ID: id})
		if err != nil {
			return fmt.Errorf("reconciliation %s: %w", id, notFound(err))
		}
		size = row.Size
		end := offset + int64(len(data))
		switch {
		case row.State != int32(ReconciliationOpen):
			return ErrEnded
		case end <= row.Size:
			return nil
		case offset != row.Size:
			return fmt.Errorf("%w: %d bytes are here, the part begins at %d", ErrPlace, row.Size, offset)
		}
		grown, err := q.GrowReconciliation(ctx, settlementdb.GrowReconciliationParams{
			TenantID: tenantID, ID: id, Size: row.Size, NextSize: end, Now: microsOf(now),
		})
		if err != nil {
			return err
		}
		if grown != 1 {
			return ErrPlace
		}
		size = end
		return q.AddReconciliationPart(ctx, settlementdb.AddReconciliationPartParams{ReconciliationID: id, Start: offset, Data: data})
	})
	return size, err
}

// Part returns the part of the file that begins at an offset, or ErrNotFound.
func (s *Reconciliations) Part(ctx context.Context, id string, offset int64) ([]byte, error) {
	data, err := s.read().GetReconciliationPart(ctx, settlementdb.GetReconciliationPartParams{ReconciliationID: id, Start: offset})
	return data, notFound(err)
}

// End writes how a reconciliation ended, with its differences, and forgets the
// file. It returns ErrEnded where it had ended before.
func (s *Reconciliations) End(ctx context.Context, r Reconciliation, differences [][]byte) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		q := settlementdb.New(tx)
		ended, err := q.EndReconciliation(ctx, settlementdb.EndReconciliationParams{
			TenantID: r.TenantID, ID: r.ID, State: int32(r.State), Report: r.Report, Problem: r.Problem, Now: microsOf(r.UpdatedAt),
		})
		if err != nil {
			return err
		}
		if ended != 1 {
			return ErrEnded
		}
		for place, difference := range differences {
			err := q.AddReconciliationDifference(ctx, settlementdb.AddReconciliationDifferenceParams{
				ReconciliationID: r.ID, Place: int64(place) + 1, Difference: difference,
			})
			if err != nil {
				return err
			}
		}
		return q.DropReconciliationParts(ctx, r.ID)
	})
}

// Difference is one that a reconciliation has found, a message of the contract.
type Difference struct {
	Place int64 // from 1
	Data  []byte
}

// Differences lists what a reconciliation has found, after a place.
func (s *Reconciliations) Differences(ctx context.Context, id string, after int64, limit int) ([]Difference, error) {
	rows, err := s.read().ListReconciliationDifferences(ctx, settlementdb.ListReconciliationDifferencesParams{
		ReconciliationID: id, AfterPlace: after, MaxRows: int32(limit),
	})
	list := make([]Difference, 0, len(rows))
	for _, row := range rows {
		list = append(list, Difference{row.Place, row.Difference})
	}
	return list, err
}

func decodeReconciliation(row settlementdb.Reconciliation) Reconciliation {
	return Reconciliation{
		ID: row.ID, TenantID: row.TenantID, Name: row.Name, State: ReconciliationState(row.State),
		From: timeOf(row.FromTime), To: timeOf(row.ToTime), Mapping: row.Mapping, Report: row.Report,
		Problem: row.Problem, Size: row.Size, IdempotencyKey: row.IdempotencyKey,
		CreatedAt: timeOf(row.CreatedAt), UpdatedAt: timeOf(row.UpdatedAt),
	}
}

// Payments lists a tenant's transfers of two types that began in [from, to), by
// id.
func (s *Store) Payments(
	ctx context.Context, tenantID string, first, second ledger.Type, from, to time.Time, page Page,
) ([]ledger.Transfer, error) {
	var list []ledger.Transfer
	err := s.reading(ctx, func(q *settlementdb.Queries) error {
		rows, err := q.ListPayments(ctx, settlementdb.ListPaymentsParams{
			TenantID: tenantID, FirstType: string(first), SecondType: string(second),
			FromTime: microsOf(from), ToTime: microsOf(to), AfterID: page.After, MaxRows: int32(page.Limit),
		})
		found, err := decodeRows(rows, err)
		if err != nil {
			return err
		}
		wanted := span{page: page, from: microsOf(from), to: microsOf(to), types: []ledger.Type{first, second}}
		list, err = s.withPacked(ctx, q, tenantID, found, wanted)
		return err
	})
	return list, err
}
