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
	// EachInBlocks finds them. Else it is 0.
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

// EachInBlocks has fn look at the transfers of a ledger that are in blocks from one
// place in its chain to another, in that order. The next one takes the memory of the
// last. It returns an error where one is missing, perhaps after fn has seen others.
func (s *Store) EachInBlocks(ctx context.Context, number, first, last int64, fn func(*ledger.Transfer)) error {
	q := s.queries()
	for next := first; next <= last; {
		blocks, err := q.BlocksAfter(ctx, settlementdb.BlocksAfterParams{
			Ledger: number, AfterSequence: next - 1, MaxRows: int32(min(blocksPage, 1+(last-next)/maxBlock)),
		})
		if err != nil {
			return err
		}
		before := next
		for _, b := range blocks {
			err := unpackEach(b, func(one *stored) error {
				if one.Sequence != next || next > last {
					return nil
				}
				if err := s.name(ctx, q, one); err != nil {
					return err
				}
				fn(&one.Transfer)
				next++
				return nil
			})
			if err != nil {
				return fmt.Errorf("block that ends with transfer %d of ledger %d: %w", b.Sequence, number, err)
			}
		}
		if next == before {
			return fmt.Errorf("%w: transfer %d of ledger %d is in none", errBlock, next, number)
		}
	}
	return nil
}
