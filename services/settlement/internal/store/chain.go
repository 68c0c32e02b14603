package store

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"slices"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// chain reads the posted transfers of a ledger in order, those that are rows and
// those in blocks, for Verify.
type chain struct {
	q          *settlementdb.Queries
	number     int64
	verifier   *ledger.Verifier
	keys       *keys
	references *references
	after      int64 // it has read up to this place
	lastID     string
}

// next reads some, and reports false when those are the last.
func (c *chain) next(ctx context.Context) (all []stored, more bool, err error) {
	found, err := c.q.ListChain(ctx, settlementdb.ListChainParams{Ledger: c.number, AfterSequence: c.after, MaxRows: verifyPage})
	rows, err := decodeRows(found, err)
	if err != nil {
		return nil, false, err
	}
	blocks, err := c.q.BlocksAfter(ctx, settlementdb.BlocksAfterParams{Ledger: c.number, AfterSequence: c.after, MaxRows: blocksPage})
	if err != nil {
		return nil, false, err
	}
	upTo := int64(math.MaxInt64) // beyond which there may be others between these
	if len(rows) == verifyPage {
		upTo = rows[verifyPage-1].Sequence
	}
	if len(blocks) == blocksPage {
		upTo = min(upTo, blocks[blocksPage-1].Sequence)
	}
	for _, one := range rows {
		if one.Sequence <= upTo {
			all = append(all, one)
		}
	}
	for _, b := range blocks {
		all = append(all, c.of(b, upTo)...)
	}
	slices.SortStableFunc(all, func(a, b stored) int { return int(min(1, max(-1, a.Sequence-b.Sequence))) })
	c.after = upTo
	return all, upTo < math.MaxInt64, nil
}

// of gives those of a block that come next, and checks that they can be found.
func (c *chain) of(row settlementdb.BlocksAfterRow, upTo int64) (next []stored) {
	all, err := unpack(row)
	if err != nil {
		c.verifier.Fault(fmt.Sprintf("block that ends with transfer %d: %v", row.Sequence, err))
		return nil
	}
	for _, one := range all {
		if one.Sequence <= c.after || one.Sequence > upTo {
			continue
		}
		if one.ID <= c.lastID {
			c.verifier.Fault(fmt.Sprintf("transfer %s: comes after %s, and is not found by its id", one.ID, c.lastID))
		}
		c.lastID, next = one.ID, append(next, one)
		c.keys.packed(c.number, one.Sequence, one.IdempotencyKey)
		c.references.packed(c.number, one.Transfer)
	}
	return next
}

// keys compares the idempotency keys of packed transfers with those that are
// stored for who looks for them: of each ledger, the sum of what is at its places
// less the sum of what is stored.
type keys struct {
	seed maphash.Seed
	sums map[int64]uint64
}

func newKeys() *keys { return &keys{maphash.MakeSeed(), make(map[int64]uint64)} }

func (k *keys) sum(sequence int64, key string) uint64 {
	return maphash.Comparable(k.seed, struct {
		sequence int64
		key      string
	}{sequence, key})
}

func (k *keys) packed(number, sequence int64, key string) { k.sums[number] += k.sum(sequence, key) }

// check reads what is stored of a tenant, and gives what is wrong with it.
func (k *keys) check(ctx context.Context, q *settlementdb.Queries, tenantID string) (faults []string, err error) {
	for after, more := "", true; more; {
		rows, err := q.ListKeys(ctx, settlementdb.ListKeysParams{TenantID: tenantID, AfterKey: after, MaxRows: verifyPage})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if row.Sequence > 0 {
				k.sums[row.Ledger] -= k.sum(row.Sequence, row.IdempotencyKey)
			}
			after = row.IdempotencyKey
		}
		more = len(rows) == verifyPage
	}
	for number, rest := range k.sums {
		if rest != 0 {
			faults = append(faults, fmt.Sprintf("ledger number %d: the stored idempotency keys are not those of its transfers", number))
		}
	}
	missing, err := q.CountKeyless(ctx, tenantID)
	if missing > 0 {
		faults = append(faults, fmt.Sprintf("%d transfers are not found by their idempotency keys", missing))
	}
	return faults, err
}
