package sparse

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func sample(t *testing.T, rows, cols, ones int) *Matrix {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 1))
	pairs := make([]Pair, ones)
	for i := range pairs {
		pairs[i] = Pair{uint32(random.IntN(rows)), uint32(random.IntN(cols))}
	}
	m, err := New(rows, cols, pairs)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestNewSortsAndDropsDuplicates(t *testing.T) {
	m, err := New(3, 4, []Pair{{2, 1}, {0, 3}, {2, 1}, {0, 0}, {2, 0}})
	if err != nil {
		t.Fatal(err)
	}
	for r, want := range [][]uint32{{0, 3}, {}, {0, 1}} {
		if !slices.Equal(m.Row(r), want) {
			t.Errorf("row %d is %v, want %v", r, m.Row(r), want)
		}
	}
	if got := m.ColumnCounts(); !slices.Equal(got, []int{2, 1, 0, 1}) {
		t.Errorf("column counts are %v", got)
	}
}

func TestNewRefusesPairsOutOfRange(t *testing.T) {
	for _, p := range []Pair{{3, 0}, {0, 4}} {
		if _, err := New(3, 4, []Pair{p}); err == nil {
			t.Errorf("%v was accepted", p)
		}
	}
}

func TestTransposeTwiceIsTheSame(t *testing.T) {
	m := sample(t, 50, 30, 400)
	back := m.Transpose().Transpose()
	if !slices.Equal(back.Pairs(), m.Pairs()) {
		t.Error("the matrix changed")
	}
}

func TestShuffleKeepsActivityAndPopularity(t *testing.T) {
	m := sample(t, 50, 30, 400)
	s := m.Shuffle(7)
	if !slices.Equal(s.Start, m.Start) || !slices.Equal(s.ColumnCounts(), m.ColumnCounts()) {
		t.Error("the counts changed")
	}
	kept := 0
	for r := range m.Rows {
		for _, c := range m.Row(r) {
			if slices.Contains(s.Row(r), c) {
				kept++
			}
		}
	}
	if kept > m.Len()/2 {
		t.Errorf("%d of %d pairs stayed", kept, m.Len())
	}
	if !slices.Equal(m.Shuffle(7).Index, s.Index) {
		t.Error("the same seed gave another shuffle")
	}
}

func TestEmptyMatrix(t *testing.T) {
	m, err := New(0, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.Shuffle(1).Len() != 0 || m.Transpose().Len() != 0 || len(m.ColumnCounts()) != 0 {
		t.Error("not empty")
	}
}
