package store

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

// tail is the part of a ledger's chain whose moves are not sorted into runs, by
// account. What is in it comes after all runs of its account.
type tail struct {
	mu       sync.Mutex
	from, to int64            // it holds the moves of the transfers after from, up to to
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
// in them, of some 50 bytes each: four ledgers that are about to be sorted.
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

// errStale means that moves were sorted between two reads that were not of one
// state of the database. It is to be tried again.
var errStale = errors.New("the ledger was sorted meanwhile")

// tail calls fn with a tail that reaches to head at least, which is the end of
// the chain in the state of the database that q reads, or read before. fn must
// look at nothing after head, and keep nothing.
func (s *Store) tail(ctx context.Context, q *settlementdb.Queries, number, head int64, fn func(t *tail)) error {
	t := s.tails.of(number)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.reach(ctx, q, number, head); err != nil {
		return err
	}
	if t.from > head { // it begins after the state that is asked for
		t = &tail{}
		if err := t.reach(ctx, q, number, head); err != nil {
			return err
		}
		if t.from > head {
			return errStale
		}
	}
	fn(t)
	return nil
}

// reach reads what the tail lacks up to head.
func (t *tail) reach(ctx context.Context, q *settlementdb.Queries, number, head int64) error {
	if t.to >= head && t.moves != nil {
		return nil
	}
	rows, err := q.ListMoves(ctx, settlementdb.ListMovesParams{Ledger: number, AfterSequence: t.to})
	if err != nil {
		return fmt.Errorf("read moves: %w", err)
	}
	if len(rows) == 0 { // no such ledger: a fault, which Verify will find
		t.reset(head)
		return nil
	}
	if rows[0].Sequence == 0 {
		t.reset(rows[0].Head)
		return nil
	}
	if t.moves == nil || rows[0].First != t.to+1 { // what comes between was sorted, and all before it
		t.reset(rows[0].First - 1)
	}
	for _, row := range rows {
		if err := t.add(number, row); err != nil {
			t.moves, t.to = nil, 0
			return err
		}
	}
	return nil
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
