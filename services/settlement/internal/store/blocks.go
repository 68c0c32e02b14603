package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// LastPacked is the id that those of transfers to come must be after; empty where
// there is none.
func (s *Session) LastPacked(ctx context.Context, l Ledger) (string, error) {
	id, err := s.q.LastBlockID(ctx, l.Number)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

// byID finds a transfer, or returns sql.ErrNoRows.
func byID(ctx context.Context, q *settlementdb.Queries, tenantID, id string) (stored, error) {
	row, err := q.GetTransfer(ctx, settlementdb.GetTransferParams{TenantID: tenantID, ID: id})
	if err == nil {
		return decodeTransfer(row)
	}
	if !errors.Is(err, sql.ErrNoRows) || !isID(id) {
		return stored{}, err
	}
	blocks, err := q.BlocksOfID(ctx, settlementdb.BlocksOfIDParams{TenantID: tenantID, ID: id})
	if err != nil {
		return stored{}, err
	}
	for _, b := range blocks {
		all, err := unpack(settlementdb.BlocksAfterRow(b))
		if err != nil {
			return stored{}, fmt.Errorf("block that ends with transfer %s: %w", b.LastID, err)
		}
		at, found := slices.BinarySearchFunc(all, id, func(one stored, id string) int { return strings.Compare(one.ID, id) })
		if found {
			return all[at], nil
		}
	}
	return stored{}, sql.ErrNoRows
}

// byKey finds a transfer, or returns sql.ErrNoRows.
func byKey(ctx context.Context, q *settlementdb.Queries, tenantID, key string) (stored, error) {
	at, err := q.FindKey(ctx, settlementdb.FindKeyParams{TenantID: tenantID, IdempotencyKey: key})
	if err != nil {
		return stored{}, err
	}
	if at.Sequence > 0 {
		return packedOf(ctx, q, at.Ledger, at.Sequence, key)
	}
	row, err := q.FindTransfer(ctx, settlementdb.FindTransferParams{TenantID: tenantID, IdempotencyKey: key})
	if err != nil {
		return stored{}, err
	}
	return decodeTransfer(settlementdb.GetTransferRow(row))
}

// packedOf is the transfer of a key, which is at a place in a ledger's chain.
func packedOf(ctx context.Context, q *settlementdb.Queries, number, sequence int64, key string) (stored, error) {
	places := placeReader{q: q, ledger: number}
	one, err := places.packed(ctx, sequence)
	if err == nil && one.IdempotencyKey != key {
		err = fmt.Errorf("%w: transfer %d of ledger %d has another idempotency key than %q", errBlock, sequence, number, key)
	}
	return one, err
}

// placeReader finds transfers of a ledger by their places in its chain. It
// remembers the last block.
type placeReader struct {
	q      *settlementdb.Queries
	ledger int64
	block  []stored
}

// of finds a posted transfer wherever it is; of one that is a row, it gives what
// a statement says.
func (p *placeReader) of(ctx context.Context, sequence int64) (stored, error) {
	if one, found := p.remembered(sequence); found {
		return one, nil
	}
	row, err := p.q.PlaceOf(ctx, settlementdb.PlaceOfParams{Ledger: p.ledger, Sequence: sequence})
	if errors.Is(err, sql.ErrNoRows) {
		return p.packed(ctx, sequence)
	}
	return stored{Transfer: ledger.Transfer{ID: row.ID, Type: ledger.Type(row.Type), Reference: row.Reference}}, err
}

// packed finds one that is in a block.
func (p *placeReader) packed(ctx context.Context, sequence int64) (stored, error) {
	if one, found := p.remembered(sequence); found {
		return one, nil
	}
	blocks, err := p.q.BlocksAfter(ctx, settlementdb.BlocksAfterParams{Ledger: p.ledger, AfterSequence: sequence - 1, MaxRows: 1})
	if err != nil {
		return stored{}, err
	}
	for _, b := range blocks {
		if p.block, err = unpack(b); err != nil {
			return stored{}, fmt.Errorf("block that ends with transfer %d of ledger %d: %w", b.Sequence, p.ledger, err)
		}
	}
	one, found := p.remembered(sequence)
	if !found {
		return stored{}, fmt.Errorf("%w: transfer %d of ledger %d is in none", errBlock, sequence, p.ledger)
	}
	return one, nil
}

func (p *placeReader) remembered(sequence int64) (stored, bool) {
	at := sort.Search(len(p.block), func(i int) bool { return p.block[i].Sequence >= sequence })
	if at == len(p.block) || p.block[at].Sequence != sequence {
		return stored{}, false
	}
	return p.block[at], true
}

// span asks for some transfers that are in blocks.
type span struct {
	page     Page
	from, to int64         // booked at from on, before to, in microseconds
	types    []ledger.Type // any, if none
}

// always is any time.
func always(page Page) span { return span{page: page, from: math.MinInt64, to: math.MaxInt64} }

// blocksPage is how many blocks are read at a time.
const blocksPage = 4

// of gives the first of a ledger.
func (s span) of(ctx context.Context, q *settlementdb.Queries, number int64) (found []stored, err error) {
	for after, more := s.page.After, true; more && len(found) < s.page.Limit; {
		blocks, err := q.BlocksAfterID(ctx, settlementdb.BlocksAfterIDParams{
			Ledger: number, AfterID: after, FromTime: s.from, ToTime: s.to, MaxRows: blocksPage,
		})
		if err != nil {
			return nil, err
		}
		for _, b := range blocks {
			all, err := unpack(settlementdb.BlocksAfterRow(b))
			if err != nil {
				return nil, fmt.Errorf("block that ends with transfer %s: %w", b.LastID, err)
			}
			for _, one := range all {
				if one.ID > s.page.After && (len(s.types) == 0 || slices.Contains(s.types, one.Type)) {
					found = append(found, one)
				}
			}
			after = b.LastID
		}
		more = len(blocks) == blocksPage
	}
	return found, nil
}

// withPacked gives the first of a tenant's transfers that are rows, which were
// found, and of those that are in blocks, by id. q must read one state of the
// database: what is booked between two reads may have ids before those of the
// second.
func (s *Store) withPacked(
	ctx context.Context, q *settlementdb.Queries, tenantID string, found []stored, wanted span,
) ([]ledger.Transfer, error) {
	ledgers, err := q.ListLedgers(ctx, tenantID)
	if err != nil {
		return nil, err
	}
	for _, l := range ledgers {
		packed, err := wanted.of(ctx, q, l.Number)
		if err != nil {
			return nil, err
		}
		found = append(found, packed...)
	}
	return s.first(ctx, q, found, wanted.page.Limit)
}

// first gives the first of what was found, by id.
func (s *Store) first(ctx context.Context, q *settlementdb.Queries, found []stored, limit int) ([]ledger.Transfer, error) {
	slices.SortFunc(found, func(a, b stored) int { return strings.Compare(a.ID, b.ID) })
	return s.named(ctx, q, found[:min(len(found), limit)])
}

// list gives a page of a tenant's transfers; q must read one state.
func (s *Store) list(ctx context.Context, q *settlementdb.Queries, tenantID string, page Page) ([]ledger.Transfer, error) {
	rows, err := q.ListTransfers(ctx, settlementdb.ListTransfersParams{TenantID: tenantID, AfterID: page.After, MaxRows: int32(page.Limit)})
	found, err := decodeRows(rows, err)
	if err != nil {
		return nil, err
	}
	return s.withPacked(ctx, q, tenantID, found, always(page))
}

// listOf gives a page of those of a reference, which is not empty; q must read
// one state.
func (s *Store) listOf(ctx context.Context, q *settlementdb.Queries, tenantID, reference string, page Page) ([]ledger.Transfer, error) {
	rows, err := q.ListTransfersOf(ctx, settlementdb.ListTransfersOfParams{
		TenantID: tenantID, Reference: reference, AfterID: page.After, MaxRows: int32(page.Limit),
	})
	found, err := decodeRows(rows, err)
	if err != nil {
		return nil, err
	}
	packed, err := q.PlacesOf(ctx, settlementdb.PlacesOfParams{
		TenantID: tenantID, Reference: reference, AfterID: page.After, MaxRows: int32(page.Limit),
	})
	if err != nil {
		return nil, err
	}
	places := map[int64]*placeReader{}
	for _, at := range packed {
		if places[at.Ledger] == nil {
			places[at.Ledger] = &placeReader{q: q, ledger: at.Ledger}
		}
		one, err := places[at.Ledger].packed(ctx, at.Sequence)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return s.first(ctx, q, found, page.Limit)
}
