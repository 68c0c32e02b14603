// Package column judges events by the column: a condition is applied to a
// batch of events at a time, which gives a bit for each.
//
//	batch.go   batches: columns of values, bits of what is present
//	plan.go    which fields of the facts a ruleset reads
//	build.go   batches from decoded facts
//	cond.go    conditions: and, or, and the order of their parts
//	leaf.go    the tests that have a kernel
//	memo.go    tests that several rules make
//	text.go    tests of strings, once for each different value
//	kernel.go  loops over values, kernel_amd64.s the same with AVX-512
//	row.go     tests without a kernel: by package program, event by event
//	judge.go   the verdicts of a ruleset on a batch
//
// As in package program, a bit is set only where a condition is known to be
// true: `not` is pushed down to the leaves, and a leaf whose value is missing
// is false under `not` too.
//
// A Ruleset is immutable. A State belongs to one goroutine.
package column

import "math/bits"

// Rows is how many events a batch holds at most.
const Rows = 2048

// Batch holds rows of one scope: events, or the elements of their lists.
type Batch struct {
	N    int
	Cols []Column // by slot; those that nothing reads are empty
}

// Column has the values of one field. By kind as in fact.Slot: N has numbers,
// S strings and currencies, List elements. All are as long as Batch.N, padded
// to whole words of bits; what stands where OK is not set means nothing.
type Column struct {
	OK   Bits
	N    []int64
	S    Text
	List *List
}

// Text has strings as indices into a dictionary. Dict tells dictionaries
// apart: one that batches share may grow from one to the next, at its end.
type Text struct {
	Codes  []uint32
	Values []string
	Dict   *Dict
}

// At returns the string of a row that is present.
func (t *Text) At(row int) string { return t.Values[t.Codes[row]] }

// List has the elements of a repeated field: those of row i are the rows
// Ends[i-1] (0 for the first) to Ends[i] of Elems.
type List struct {
	Ends  []int32
	Elems Batch
}

// Of returns the range of the elements of a row.
func (l *List) Of(row int) (from, to int) {
	if row > 0 {
		from = int(l.Ends[row-1])
	}
	return from, int(l.Ends[row])
}

// Bits has a bit for each row, in words of 64.
type Bits []uint64

func wordsFor(n int) int { return (n + 63) / 64 }

// Has reports whether the bit of a row is set.
func (b Bits) Has(row int) bool { return b[row/64]>>(row%64)&1 != 0 }

func (b Bits) set(row int) { b[row/64] |= 1 << (row % 64) }

// Count is the number of bits that are set.
func (b Bits) Count() int {
	n := 0
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}

// any reports whether a bit is set.
func (b Bits) any() bool {
	for _, word := range b {
		if word != 0 {
			return true
		}
	}
	return false
}

// all sets the bits of the first n rows and clears the rest.
func (b Bits) all(n int) {
	for i := range b {
		b[i] = ^uint64(0)
	}
	if tail := n % 64; tail != 0 {
		b[len(b)-1] = 1<<tail - 1
	}
}
