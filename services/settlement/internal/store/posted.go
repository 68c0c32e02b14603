package store

import (
	"context"
	"fmt"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// Posted is what a batch posts, for facts.
type Posted struct {
	Transfers []*ledger.Transfer // in the order of the chain
	// Ledger is its number where they all are in blocks, one after the other: then
	// InBlocks finds them. Else it is 0.
	Ledger int64
}

// Posted is what the batch posts.
func (b *Batch) Posted() Posted {
	all, n := b.written.Posted, len(b.written.Posted)
	posted := Posted{Transfers: all}
	if n > 0 && n == len(b.written.packed) && all[n-1].Sequence-all[0].Sequence == int64(n-1) {
		posted.Ledger = b.ledger.Number
	}
	return posted
}

// InBlocks gives the transfers of a ledger that are in blocks from one place in
// its chain to another. It returns an error where one is missing.
func (s *Store) InBlocks(ctx context.Context, number, first, last int64) ([]ledger.Transfer, error) {
	q := s.queries()
	found := make([]stored, 0, min(maxBlock, max(0, last-first+1)))
	for next := first; next <= last; {
		blocks, err := q.BlocksAfter(ctx, settlementdb.BlocksAfterParams{
			Ledger: number, AfterSequence: next - 1, MaxRows: int32(min(blocksPage, 1+(last-next)/maxBlock)),
		})
		if err != nil {
			return nil, err
		}
		before := next
		for _, b := range blocks {
			all, err := unpack(b)
			if err != nil {
				return nil, fmt.Errorf("block that ends with transfer %d of ledger %d: %w", b.Sequence, number, err)
			}
			for _, one := range all {
				if one.Sequence == next && next <= last {
					found, next = append(found, one), next+1
				}
			}
		}
		if next == before {
			return nil, fmt.Errorf("%w: transfer %d of ledger %d is in none", errBlock, next, number)
		}
	}
	return s.named(ctx, q, found)
}
