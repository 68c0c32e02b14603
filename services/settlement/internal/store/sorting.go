package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

const (
	// defaultSortAfter is how many postings a ledger's moves hold before they are
	// sorted. To write the runs of 10,000 accounts takes some 50 ms in all, nearly
	// however many postings there are of each, and to sort them as much. Who reads all
	// of them for the first time has eight megabytes before him.
	defaultSortAfter = 1 << 19
	// defaultStep is how many runs a batch writes, or of how many batches it deletes
	// the moves, and stepSize how many bytes those are: what comes meanwhile waits
	// for it.
	defaultStep = 512
	stepSize    = 1 << 18
	// maxPlans bounds the ledgers whose steps are known, some 10 MB of each.
	maxPlans = 8
	// planPage is of how many batches moves are read at a time.
	planPage = 64
)

// progress is how far a ledger's moves are sorted, as its row has it.
type progress struct {
	sortedTo  int64 // all up to this place in the chain is in runs
	sortingTo int64 // up to here it is being sorted, or is so and being deleted; 0 if neither
	account   int64 // runs are written up to the one of this account
	sequence  int64 // that ends so; or moves are deleted up to here
}

// written tells whether all runs are, and only moves are left to delete.
func (p progress) written() bool { return p.sortedTo == p.sortingTo }

// step is what a batch does to sort: it writes runs, or deletes moves.
type step struct {
	from, to progress
	runs     []run
	deleteTo int64 // deletes those after from.sequence, where it has no runs
}

// plans are the steps to come of ledgers. They are made of what is stored:
// where they are lost, they are made again.
type plans struct {
	making sync.Mutex // held while those of a ledger are made, which takes twice its memory

	mu  sync.Mutex
	all map[int64][]step // by number of the ledger
}

// next gives the step that begins with a progress, and forgets those before.
func (p *plans) next(number int64, from progress) (step, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	steps := p.all[number]
	at := slices.IndexFunc(steps, func(s step) bool { return s.from == from })
	if at < 0 {
		delete(p.all, number)
		return step{}, false
	}
	clear(steps[:at])
	p.all[number] = steps[at:]
	return steps[at], true
}

func (p *plans) put(number int64, steps []step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil || len(p.all) >= maxPlans {
		p.all = make(map[int64][]step)
	}
	p.all[number] = steps
}

// sort begins to sort a ledger that holds enough moves, or goes on with it, where
// it is known how.
func (s *Store) sort(l *Ledger) {
	l.step = step{}
	if l.progress.sortingTo == 0 && l.Unsorted >= s.sortAfter {
		l.Unsorted, l.progress.sortingTo = 0, l.Head.Sequence
	} else if next, found := s.plans.next(l.Number, l.progress); found {
		l.step, l.progress = next, next.to
	}
}

// Unplanned tells whether a ledger is being sorted, but it is not known how its
// next batch is to go on with that: then Plan is to be called.
func (s *Store) Unplanned(l Ledger) bool {
	if l.progress.sortingTo == 0 {
		return false
	}
	_, found := s.plans.next(l.Number, l.progress)
	return !found
}

// Plan reads what is to be sorted of a ledger and makes steps of it, which its
// batches to come do. That takes some time, and goes on beside them. Where not all
// of it is committed yet, or another ledger is read, it does nothing, and is to be
// called again.
func (s *Store) Plan(ctx context.Context, l Ledger) error {
	if !s.plans.making.TryLock() {
		return nil
	}
	defer s.plans.making.Unlock()
	p := &planner{size: s.step, at: l.progress, sorter: newSorter(l.progress)}
	committed, err := s.readMoves(ctx, l, p)
	if err != nil {
		return fmt.Errorf("sort ledger %d: %w", l.Number, err)
	}
	if committed {
		s.plans.put(l.Number, p.plan())
	}
	return nil
}

// readMoves has p read a ledger's moves up to the cut, if all of these are
// committed. Each page is a transaction of its own: moves do not change until they
// are deleted, which is later, and a long one would keep SQLite's log from beginning
// anew while batches are added to it.
func (s *Store) readMoves(ctx context.Context, l Ledger, p *planner) (committed bool, err error) {
	err = s.reading(ctx, func(q *settlementdb.Queries) error {
		head, err := q.GetHead(ctx, l.Number)
		committed = err == nil && head.Sequence >= l.progress.sortingTo
		return err
	})
	for more := committed; more && err == nil; {
		err = s.reading(ctx, func(q *settlementdb.Queries) error {
			more, err = p.read(ctx, q, l.Number)
			return err
		})
	}
	return committed, err
}

// planner makes steps of what it reads, in order, from where it is at.
type planner struct {
	size   int // of a step
	at     progress
	sorter *sorter
	moves  []portion
	steps  []step
}

// portion is the moves of a batch.
type portion struct {
	end  int64 // in the chain
	size int
}

var errMissing = errors.New("stored moves are missing")

// read reads a page of moves that are not deleted, and sorts them where they are
// not; more tells whether there are others.
func (p *planner) read(ctx context.Context, q *settlementdb.Queries, number int64) (more bool, err error) {
	end := p.at.sortedTo
	if p.at.written() {
		end = p.at.sequence
	}
	if len(p.moves) > 0 {
		end = p.moves[len(p.moves)-1].end
	}
	rows, err := q.MovesUpTo(ctx, settlementdb.MovesUpToParams{Ledger: number, AfterSequence: end, UpTo: p.at.sortingTo, MaxRows: planPage})
	if err != nil {
		return false, err
	}
	for _, row := range rows {
		if row.First != end+1 {
			return false, fmt.Errorf("%w: after %d", errMissing, end)
		}
		end = row.Sequence
		p.moves = append(p.moves, portion{end, len(row.Moves)})
		if p.at.written() {
			continue
		}
		if err := decodeMoves(row.Moves, number<<32, row.First, func(m ledger.Move) { p.sorter.add(row.At, m) }); err != nil {
			return false, err
		}
	}
	if len(rows) == planPage {
		return true, nil
	}
	if end != p.at.sortingTo {
		return false, fmt.Errorf("%w: after %d", errMissing, end)
	}
	return false, nil
}

// plan makes steps of what was read.
func (p *planner) plan() []step {
	if !p.at.written() {
		p.write(p.sorter.sorted())
	}
	for len(p.moves) > 0 {
		n := p.fit(len(p.moves), func(i int) int { return p.moves[i].size })
		end := p.moves[n-1].end
		to := progress{sortedTo: p.at.sortedTo, sortingTo: p.at.sortingTo, sequence: end}
		if end == p.at.sortingTo {
			to = progress{sortedTo: end}
		}
		p.add(step{to: to, deleteTo: end})
		p.moves = p.moves[n:]
	}
	return p.steps
}

// write makes steps that write runs.
func (p *planner) write(runs []run) {
	for deleted := p.at.sortedTo; len(runs) > 0; {
		n := p.fit(len(runs), func(i int) int { return len(runs[i].lines) })
		last := runs[n-1]
		to := progress{sortedTo: p.at.sortedTo, sortingTo: p.at.sortingTo, account: last.account, sequence: last.sequence}
		if n == len(runs) {
			to = progress{sortedTo: p.at.sortingTo, sortingTo: p.at.sortingTo, sequence: deleted}
		}
		p.add(step{to: to, runs: runs[:n:n]})
		runs = runs[n:]
	}
}

func (p *planner) add(s step) {
	s.from = p.at
	p.at, p.steps = s.to, append(p.steps, s)
}

// fit is how many of the first of n things go into a step, at least one.
func (p *planner) fit(n int, size func(i int) int) (count int) {
	for total := 0; count < min(n, p.size); count++ {
		if total += size(count); total > stepSize && count > 0 {
			break
		}
	}
	return count
}
