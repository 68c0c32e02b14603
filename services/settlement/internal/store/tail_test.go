package store

import (
	"testing"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// TestTailsAreForgottenWhereTheyHoldTooMuch fills tails as reading does.
func TestTailsAreForgottenWhereTheyHoldTooMuch(t *testing.T) {
	var s tails
	fill := func(number int64, moves int) *tail {
		one := s.of(number)
		one.reset(0)
		for range moves {
			one.put(1, ledger.Move{Account: number})
		}
		return one
	}
	first := fill(1, defaultSortAfter)
	if s.of(1) != first {
		t.Fatal("a tail is forgotten that is within the bound")
	}
	for number := int64(2); number <= 4; number++ {
		fill(number, defaultSortAfter)
	}
	if held := s.held.Load(); held != maxHeld || len(s.all) != 4 || s.of(1) != first {
		t.Fatalf("%d moves in %d tails, want %d in 4", held, len(s.all), maxHeld)
	}
	fill(5, 1)
	if again := s.of(1); again == first || len(s.all) != 1 || s.held.Load() != 0 {
		t.Errorf("%d tails with %d moves are left above the bound, the first one is the same: %t", len(s.all), s.held.Load(), again == first)
	}
	first.put(1, ledger.Move{}) // somebody still reads it
	first.reset(0)
	if held := s.held.Load(); held != 0 {
		t.Errorf("one that was forgotten counts: %d", held)
	}
	for number := range int64(maxTails) {
		fill(number+10, 1)
	}
	if len(s.all) > maxTails {
		t.Errorf("%d tails", len(s.all))
	}
}

// TestTailForgetsWhatIsSorted fills a tail that is remembered, whose beginning is
// sorted again and again while it is read.
func TestTailForgetsWhatIsSorted(t *testing.T) {
	var s tails
	one := s.of(1)
	one.reset(0)
	for sequence := int64(1); sequence <= 1000; sequence++ {
		one.put(sequence, ledger.Move{Account: sequence % 7, Sequence: sequence})
		one.put(sequence, ledger.Move{Account: 7, Sequence: sequence})
		if sequence%100 == 50 {
			one.cut(sequence - 20)
		}
	}
	left := 0
	for account, moves := range one.moves {
		left += len(moves)
		if moves[0].sequence <= 930 {
			t.Errorf("account %d has a move of %d", account, moves[0].sequence)
		}
	}
	if left != 140 || one.count != left || s.held.Load() != int64(left) || one.from != 930 {
		t.Errorf("%d moves are left after %d, counted as %d and %d, want 140 after 930", left, one.from, one.count, s.held.Load())
	}
}
