package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// tail is the end of a ledger's chain, whose moves are not all sorted into runs,
// by account. Some may be in runs already: those of an account that are not after
// its last one.
type tail struct {
	mu       sync.Mutex
	from, to int64            // it holds the moves of the transfers after from, up to to; those up to from are in runs
	count    int              // moves
	held     *atomic.Int64    // moves of all tails that are remembered; nil if this one is not
	moves    map[int64][]move // by account, in order
}

// tails remembers the tails of ledgers in use: who reads a balance reads only
// the batches since the last time.
type tails struct {
	mu   sync.Mutex
	all  map[int64]*tail // by number of the ledger
	held *atomic.Int64   // moves in these
}

// maxTails bounds the ledgers whose tails are remembered, and maxHeld the moves
// in them, of some 50 bytes each: those of three ledgers that are being sorted, or
// four that are about to be.
const (
	maxTails = 64
	maxHeld  = 4 * defaultSortAfter
)

func (s *tails) of(number int64) *tail {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.all[number]
	if s.all == nil || t == nil && len(s.all) >= maxTails || s.held.Load() > maxHeld {
		s.all, s.held, t = make(map[int64]*tail), new(atomic.Int64), nil
	}
	if t == nil {
		t = &tail{held: s.held}
		s.all[number] = t
	}
	return t
}

// state is what a state of the database says of a ledger: where its chain ends,
// and up to where all is in runs.
type state struct{ head, sortedTo int64 }

// errStale means that moves were sorted between two reads that were not of one
// state of the database. It is to be tried again.
var errStale = errors.New("the ledger was sorted meanwhile")

// tail calls fn with a tail that holds all that is in no run in a state of the
// database, which q reads, or which was read before. fn must look at nothing after
// the state's head, and keep nothing.
func (s *Store) tail(ctx context.Context, q *settlementdb.Queries, number int64, at state, fn func(t *tail)) error {
	t := s.tails.of(number)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.reach(ctx, q, number, at.head); err != nil {
		return err
	}
	if t.from > at.sortedTo { // it begins after the state that is asked for
		t = &tail{}
		if err := t.reach(ctx, q, number, at.head); err != nil {
			return err
		}
		if t.from > at.sortedTo {
			return errStale
		}
	}
	fn(t)
	return nil
}

// reach reads what the tail lacks up to head, and forgets what is sorted.
func (t *tail) reach(ctx context.Context, q *settlementdb.Queries, number, head int64) error {
	if t.to >= head && t.moves != nil {
		return nil
	}
	rows, err := q.ListMoves(ctx, settlementdb.ListMovesParams{Ledger: number, AfterSequence: t.to})
	if err != nil {
		return fmt.Errorf("read moves: %w", err)
	}
	if len(rows) == 0 { // no such ledger: a fault, which Verify will find
		t.reset(0)
		return nil
	}
	if sorted := rows[0].SortedTo; t.moves == nil || sorted > t.to {
		t.reset(sorted)
	} else if sorted > t.from {
		t.cut(sorted)
	}
	if rows[0].Sequence == 0 {
		return nil
	}
	for _, row := range rows {
		if err := t.add(number, row); err != nil {
			t.moves, t.to = nil, 0
			return err
		}
	}
	return nil
}

// cut forgets what is up to a place in the chain.
func (t *tail) cut(from int64) {
	count := 0
	for account, moves := range t.moves {
		kept := moves[sort.Search(len(moves), func(i int) bool { return moves[i].sequence > from }):]
		if len(kept) == 0 {
			delete(t.moves, account)
		} else {
			t.moves[account] = slices.Clone(kept)
		}
		count += len(kept)
	}
	t.hold(count - t.count)
	t.from, t.count = from, count
}

// reset empties the tail.
func (t *tail) reset(from int64) {
	t.hold(-t.count)
	t.from, t.to, t.count, t.moves = from, from, 0, make(map[int64][]move)
}

// add adds the moves of a batch.
func (t *tail) add(number int64, row settlementdb.ListMovesRow) error {
	err := decodeMoves(row.Moves, number<<32, row.First, func(m ledger.Move) { t.put(row.At, m) })
	if err != nil {
		return fmt.Errorf("batch that ends with %d: %w", row.Sequence, err)
	}
	t.to = row.Sequence
	return nil
}

// hold counts moves that come, or go.
func (t *tail) hold(moves int) {
	if t.held != nil {
		t.held.Add(int64(moves))
	}
}

func (t *tail) put(at int64, m ledger.Move) {
	t.moves[m.Account] = append(t.moves[m.Account], move{place{at, m.Sequence}, m.Debits, m.Credits})
	t.count++
	t.hold(1)
}

// upTo are the moves of an account up to a place, and up to head in the chain.
func (t *tail) upTo(account int64, p place, head int64) []move {
	moves := t.moves[account]
	return moves[:sort.Search(len(moves), func(i int) bool { return moves[i].sequence > head || moves[i].after(p) })]
}
