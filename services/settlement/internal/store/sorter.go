package store

import (
	"cmp"
	"slices"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// sorter makes runs of moves, which are added in the order of the chain.
type sorter struct {
	after progress // what is sorted up to here is left out
	open  map[int64]*openRun
	runs  []run
}

// openRun is one that has room.
type openRun struct {
	run
	before move // the last of lines
	moves  int
}

func newSorter(after progress) *sorter { return &sorter{after: after, open: make(map[int64]*openRun)} }

func (s *sorter) add(at int64, m ledger.Move) {
	if m.Account < s.after.account || m.Account == s.after.account && m.Sequence <= s.after.sequence {
		return
	}
	o := s.open[m.Account]
	if o == nil {
		o = &openRun{run: run{account: m.Account}}
		s.open[m.Account] = o
	}
	if o.moves == maxLines {
		s.runs = append(s.runs, o.run)
		*o = openRun{run: run{account: m.Account}}
	}
	if o.moves > 0 {
		o.lines = appendLine(o.lines, o.move, o.before)
		o.before = o.move
	}
	o.move = move{place{at, m.Sequence}, m.Debits, m.Credits}
	o.moves++
}

// sorted are the runs in the order of their keys.
func (s *sorter) sorted() []run {
	runs := slices.Grow(s.runs, len(s.open))
	for _, o := range s.open {
		runs = append(runs, o.run)
	}
	slices.SortFunc(runs, func(a, b run) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.at, b.at), cmp.Compare(a.sequence, b.sequence))
	})
	return runs
}
