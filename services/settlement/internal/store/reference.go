package store

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// references compares the references of a tenant's packed transfers with those
// that are stored for who looks for them: of each stretch of a ledger, the sum of
// what is at its places less the sum of what is stored. Only stretches where
// something is wrong are looked at one by one.
type references struct {
	q        *settlementdb.Queries
	tenantID string
	seed     maphash.Seed
	sums     map[stretch]uint64
	faults   []string
}

// stretch is so many places of a ledger as a block has at most.
type stretch struct{ ledger, number int64 }

func stretchOf(number, sequence int64) stretch { return stretch{number, sequence / maxBlock} }

func newReferences(q *settlementdb.Queries, tenantID string) *references {
	return &references{q: q, tenantID: tenantID, seed: maphash.MakeSeed(), sums: make(map[stretch]uint64)}
}

func (r *references) sum(row settlementdb.ListReferencesRow) uint64 {
	return maphash.Comparable(r.seed, row)
}

// packed adds the next transfer that is in a block.
func (r *references) packed(number int64, t ledger.Transfer) {
	if t.Reference != "" {
		r.sums[stretchOf(number, t.Sequence)] += r.sum(settlementdb.ListReferencesRow{
			Reference: t.Reference, ID: t.ID, Ledger: number, Sequence: t.Sequence,
		})
	}
}

// check reads what is stored, and names what is wrong with it.
func (r *references) check(ctx context.Context) (faults []string, err error) {
	err = r.each(ctx, func(row settlementdb.ListReferencesRow) error {
		r.sums[stretchOf(row.Ledger, row.Sequence)] -= r.sum(row)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for at, rest := range r.sums {
		if rest == 0 {
			delete(r.sums, at)
		}
	}
	if len(r.sums) == 0 {
		return nil, nil
	}
	if err := r.misled(ctx); err != nil {
		return nil, err
	}
	for at := range r.sums {
		if err := r.missing(ctx, at); err != nil {
			return nil, err
		}
	}
	return r.faults, nil
}

func (r *references) full() bool { return len(r.faults) >= ledger.MaxFaults }

func (r *references) fault(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// each gives what is stored, in order, until there are faults enough.
func (r *references) each(ctx context.Context, fn func(row settlementdb.ListReferencesRow) error) error {
	var last settlementdb.ListReferencesRow
	for more := true; more && !r.full(); {
		rows, err := r.q.ListReferences(ctx, settlementdb.ListReferencesParams{
			TenantID: r.tenantID, AfterReference: last.Reference, AfterID: last.ID, MaxRows: verifyPage,
		})
		if err != nil {
			return err
		}
		for _, last = range rows {
			if err := fn(last); err != nil {
				return err
			}
		}
		more = len(rows) == verifyPage
	}
	return nil
}

// misled names references that lead to another transfer than theirs, or to none.
func (r *references) misled(ctx context.Context) error {
	return r.each(ctx, func(row settlementdb.ListReferencesRow) error {
		if _, wrong := r.sums[stretchOf(row.Ledger, row.Sequence)]; !wrong || r.full() {
			return nil
		}
		places := placeReader{q: r.q, ledger: row.Ledger}
		switch one, err := places.packed(ctx, row.Sequence); {
		case errors.Is(err, errBlock):
			r.fault("reference %q of transfer %s: %v", row.Reference, row.ID, err)
		case err != nil:
			return err
		case one.TenantID != r.tenantID || one.ID != row.ID || one.Reference != row.Reference:
			r.fault("reference %q of transfer %s: leads to transfer %d of ledger %d, which is another one",
				row.Reference, row.ID, row.Sequence, row.Ledger)
		}
		return nil
	})
}

// missing names transfers of a stretch that are not found by their references.
func (r *references) missing(ctx context.Context, at stretch) error {
	after, last := at.number*maxBlock-1, (at.number+1)*maxBlock-1
	for after < last && !r.full() {
		blocks, err := r.q.BlocksAfter(ctx, settlementdb.BlocksAfterParams{Ledger: at.ledger, AfterSequence: after, MaxRows: blocksPage})
		if err != nil {
			return err
		}
		if len(blocks) == 0 {
			return nil
		}
		for _, b := range blocks {
			after = b.Sequence
			packed, err := unpack(b)
			if err != nil {
				continue // the chain's to say
			}
			if err := r.missingOf(ctx, at, packed); err != nil {
				return err
			}
		}
	}
	return nil
}

// missingOf names those of a block that are of the stretch.
func (r *references) missingOf(ctx context.Context, at stretch, packed []stored) error {
	for _, one := range packed {
		if r.full() {
			return nil
		}
		if one.Reference == "" || one.TenantID != r.tenantID || stretchOf(at.ledger, one.Sequence) != at {
			continue
		}
		found, err := r.q.CountReference(ctx, settlementdb.CountReferenceParams{TenantID: r.tenantID, Reference: one.Reference, ID: one.ID})
		if err != nil {
			return err
		}
		if found == 0 {
			r.fault("transfer %s: is not found by its reference %q", one.ID, one.Reference)
		}
	}
	return nil
}
