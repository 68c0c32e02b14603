package store

import (
	"math"
	"slices"
	"testing"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

func FuzzDecodeMoves(f *testing.F) {
	f.Add(encodeMoves(1<<32, 7, []ledger.Move{
		{Account: 1<<32 + 1, Sequence: 7, Debits: 499}, {Account: 1<<32 + 2, Sequence: 7, Credits: math.MaxInt64}, {Account: 1<<32 + 1, Sequence: 9, Debits: 500},
	}))
	f.Add([]byte{})
	f.Add([]byte{1, 2, 3})
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var moves, again []ledger.Move
		if decodeMoves(raw, 1<<32, 7, func(m ledger.Move) { moves = append(moves, m) }) != nil {
			return
		}
		if err := decodeMoves(encodeMoves(1<<32, 7, moves), 1<<32, 7, func(m ledger.Move) { again = append(again, m) }); err != nil || !slices.Equal(moves, again) {
			t.Fatalf("%x reads as %v, then as %v, %v", raw, moves, again, err)
		}
	})
}

func FuzzDecodeRun(f *testing.F) {
	f.Add(appendLine(appendLine(nil, move{place{1, 2}, 3, 4}, move{}), move{place{5, 6}, 7, 4}, move{place{1, 2}, 3, 4}))
	f.Add([]byte(nil))
	f.Add([]byte{1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, raw []byte) {
		row := settlementdb.RunsAfterRow{At: 9, Sequence: 9, Debits: 9, Credits: 9, Lines: raw}
		moves, err := decodeRun(row)
		if err != nil {
			return
		}
		row.Lines = nil
		for i, last := 0, (move{}); i < len(moves)-1; i++ {
			row.Lines, last = appendLine(row.Lines, moves[i], last), moves[i]
		}
		again, err := decodeRun(row)
		if err != nil || !slices.Equal(moves, again) {
			t.Fatalf("%x reads as %v, then as %v, %v", raw, moves, again, err)
		}
	})
}

func TestSortedMovesAreInRunsOfBoundedSize(t *testing.T) {
	all, sorting := &tail{}, newSorter(progress{})
	all.reset(0)
	put := func(at int64, m ledger.Move) {
		all.put(at, m)
		sorting.add(at, m)
	}
	const hot, moves = 1<<32 + 1, 3*maxLines + 5
	for i := range int64(moves) {
		put(1000+i/10, ledger.Move{Account: hot, Sequence: i + 1, Credits: 2 * (i + 1)})
		put(1000+i/10, ledger.Move{Account: hot + 1 + i%7, Sequence: i + 1, Debits: 2 * (i + 1)})
	}
	runs := sorting.sorted()
	got := make(map[int64][]move)
	for i, r := range runs {
		if i > 0 && (r.account < runs[i-1].account || r.account == runs[i-1].account && !r.after(runs[i-1].place)) {
			t.Fatalf("run %d is out of order", i)
		}
		part, err := decodeRun(settlementdb.RunsAfterRow{At: r.at, Sequence: r.sequence, Debits: r.debits, Credits: r.credits, Lines: r.lines})
		if err != nil || len(part) > maxLines {
			t.Fatalf("run %d has %d moves, %v", i, len(part), err)
		}
		got[r.account] = append(got[r.account], part...)
	}
	if len(got) != len(all.moves) || len(runs) != 4+7 {
		t.Fatalf("%d runs of %d accounts", len(runs), len(got))
	}
	for account, want := range all.moves {
		if !slices.Equal(got[account], want) {
			t.Errorf("account %d has other moves", account)
		}
	}
}

func TestTailUpToAPlaceKnowsNothingAfterTheHead(t *testing.T) {
	all := &tail{}
	all.reset(10)
	for _, m := range []struct{ at, sequence int64 }{{100, 11}, {100, 12}, {200, 13}, {300, 14}} {
		all.put(m.at, ledger.Move{Account: 1, Sequence: m.sequence, Debits: m.sequence})
	}
	for _, c := range []struct {
		place place
		head  int64
		want  int
	}{
		{place{100, 0}, 14, 0}, {place{100, 11}, 14, 1}, {place{199, 0}, 14, 2}, {place{200, math.MaxInt64}, 14, 3}, {ever, 14, 4}, {ever, 12, 2}, {ever, 9, 0},
	} {
		if got := len(all.upTo(1, c.place, c.head)); got != c.want {
			t.Errorf("up to %v of %d: %d, want %d", c.place, c.head, got, c.want)
		}
	}
}
