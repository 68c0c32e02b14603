// Package sparse holds who viewed what: a matrix of zeros and ones, stored
// by rows. It keeps no weights, ids or times. A Matrix is immutable after it
// is made, so that goroutines may share it.
package sparse

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Pair says that row holds column.
type Pair struct{ Row, Col uint32 }

// Matrix has the columns of row r, ascending and without duplicates, at
// Index[Start[r]:Start[r+1]]. Start has Rows+1 elements.
type Matrix struct {
	Rows, Cols int
	Start      []int
	Index      []uint32
}

// New returns the matrix of the pairs, in any order; duplicates count once.
// It sorts pairs in place. A pair out of range is an error.
func New(rows, cols int, pairs []Pair) (*Matrix, error) {
	slices.SortFunc(pairs, func(a, b Pair) int {
		if a.Row != b.Row {
			return int(a.Row) - int(b.Row)
		}
		return int(a.Col) - int(b.Col)
	})
	pairs = slices.Compact(pairs)
	m := &Matrix{Rows: rows, Cols: cols, Start: make([]int, rows+1), Index: make([]uint32, len(pairs))}
	for i, p := range pairs {
		if int(p.Row) >= rows || int(p.Col) >= cols {
			return nil, fmt.Errorf("pair (%d, %d) is outside %d by %d", p.Row, p.Col, rows, cols)
		}
		m.Start[p.Row+1]++
		m.Index[i] = p.Col
	}
	for r := range rows {
		m.Start[r+1] += m.Start[r]
	}
	return m, nil
}

// Row returns the columns of row r, ascending. Do not change them.
func (m *Matrix) Row(r int) []uint32 { return m.Index[m.Start[r]:m.Start[r+1]] }

// Len returns the number of ones.
func (m *Matrix) Len() int { return len(m.Index) }

// Pairs returns the ones, row by row.
func (m *Matrix) Pairs() []Pair {
	pairs := make([]Pair, 0, m.Len())
	for r := range m.Rows {
		for _, c := range m.Row(r) {
			pairs = append(pairs, Pair{uint32(r), c})
		}
	}
	return pairs
}

// ColumnCounts returns how many rows hold each column.
func (m *Matrix) ColumnCounts() []int {
	counts := make([]int, m.Cols)
	for _, c := range m.Index {
		counts[c]++
	}
	return counts
}

// Transpose returns the matrix with rows and columns exchanged.
func (m *Matrix) Transpose() *Matrix {
	t := &Matrix{Rows: m.Cols, Cols: m.Rows, Start: make([]int, m.Cols+1), Index: make([]uint32, m.Len())}
	for _, c := range m.Index {
		t.Start[c+1]++
	}
	for c := range m.Cols {
		t.Start[c+1] += t.Start[c]
	}
	next := slices.Clone(t.Start)
	for r := range m.Rows {
		for _, c := range m.Row(r) {
			t.Index[next[c]] = uint32(r)
			next[c]++
		}
	}
	return t
}

// Shuffle returns a random matrix in which every row and every column keeps
// its number of ones: tastes are gone, activity and popularity stay. It
// exchanges the columns of random pairs of ones wherever both rows allow it,
// ten attempts for each one.
func (m *Matrix) Shuffle(seed uint64) *Matrix {
	random := rand.New(rand.NewPCG(seed, 0x5eed))
	pairs := m.Pairs()
	held := make(map[Pair]struct{}, len(pairs))
	for _, p := range pairs {
		held[p] = struct{}{}
	}
	for range 10 * len(pairs) {
		a, b := &pairs[random.IntN(len(pairs))], &pairs[random.IntN(len(pairs))]
		newA, newB := Pair{a.Row, b.Col}, Pair{b.Row, a.Col}
		_, takenA := held[newA]
		_, takenB := held[newB]
		if takenA || takenB {
			continue
		}
		delete(held, *a)
		delete(held, *b)
		*a, *b = newA, newB
		held[newA], held[newB] = struct{}{}, struct{}{}
	}
	shuffled, err := New(m.Rows, m.Cols, pairs)
	if err != nil {
		panic(err) // the pairs came from a matrix of this size
	}
	return shuffled
}
