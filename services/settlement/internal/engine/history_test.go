package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/statement"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// TestHistoryIsTheSameSortedAndUnsorted asks for every balance that there was,
// and for pages of the statement, while what is asked moves into runs: of one
// store that remembers much, and of a new one each time.
func TestHistoryIsTheSameSortedAndUnsorted(t *testing.T) {
	suite(t, func(f *fixture) {
		f.purses()
		f.must(pay(ledger.ActionBook, "fund", "source", "a", 1_000_000))
		f.Engine = f.sorting(40)
		type moment struct {
			at      time.Time
			credits int64
		}
		moments, credits := []moment{}, int64(0)
		for i := range 30 {
			f.pass(time.Millisecond)
			var batch []ledger.Request
			for j := range 1 + i%4 {
				credits += int64(1 + j)
				batch = append(batch, pay(ledger.ActionBook, fmt.Sprint(i, "/", j), "a", "b", int64(1+j)))
			}
			f.must(batch...)
			moments = append(moments, moment{f.Now(), credits})
			for _, s := range []*store.Store{f.Store, store.New(f.db)} {
				m := moments[rand.IntN(len(moments))]
				for _, ask := range []moment{m, {m.at.Add(time.Microsecond), m.credits}, {moments[0].at.Add(-time.Microsecond), 0}, moments[len(moments)-1]} {
					got, err := s.BalanceAsOf(f.t.Context(), "main", "b", ask.at)
					if err != nil || got.CreditsPosted.Minor != ask.credits {
						f.t.Fatalf("after %d batches, at %v: %v, %v, want %d", i+1, ask.at, got, err, ask.credits)
					}
				}
				b, err := s.AccountByID(f.t.Context(), "main", "b")
				if err != nil || b.Balance.CreditsPosted.Minor != credits {
					f.t.Fatalf("after %d batches it has %v, %v, want %d", i+1, b.Balance, err, credits)
				}
				f.wholeStatement(s, b, moments[0].at, f.Now().Add(time.Microsecond), credits)
			}
		}
		f.verified()
	})
}

// sorting is an engine whose ledgers are sorted after so many moves.
func (f *fixture) sorting(moves int) *engine.Engine {
	e := engine.New(store.New(f.db).SortAfter(moves, 2), engine.Config{Clock: f.clock, Tell: f.tell})
	f.t.Cleanup(e.Close)
	return e
}

// wholeStatement reads a statement in pages of seven lines.
func (f *fixture) wholeStatement(s *store.Store, account ledger.Account, from, to time.Time, sum int64) {
	f.t.Helper()
	balance := int64(0)
	for after, more := (statement.Place{}), true; more; {
		page, err := s.Statement(f.t.Context(), account, from, to, after, 7)
		if err != nil || page.Closing.Minor != sum || page.Opening.Minor != 0 || len(page.Lines) == 0 {
			f.t.Fatalf("page after %v: %+v, %v", after, page, err)
		}
		for _, line := range page.Lines {
			balance += line.Amount.Minor
			if line.Balance.Minor != balance || line.TransferID == "" {
				f.t.Fatalf("line %+v, want a balance of %d", line, balance)
			}
			after = statement.Place{PostedAt: line.PostedAt, Sequence: line.Sequence}
		}
		more = page.More
	}
	if balance != sum {
		f.t.Fatalf("the lines sum to %d, want %d", balance, sum)
	}
}

// TestBalancesAreOfOneStateWhileTheLedgerIsSorted has readers look at a pair
// of accounts whose sum never changes from what one of them pays the other.
func TestBalancesAreOfOneStateWhileTheLedgerIsSorted(t *testing.T) {
	suite(t, func(f *fixture) {
		f.purses()
		f.must(pay(ledger.ActionBook, "fund", "source", "a", 1_000_000))
		f.Engine = f.sorting(11)
		var done atomic.Bool
		var group sync.WaitGroup
		for _, s := range []*store.Store{f.Store, f.Store, store.New(f.db)} {
			group.Go(func() {
				last := int64(0)
				for !done.Load() {
					b, err := s.AccountByID(f.t.Context(), "main", "b")
					if err != nil || b.Balance.CreditsPosted.Minor < last || b.Balance.CreditsPosted.Minor > 300 {
						f.t.Errorf("%v after %d, %v", b.Balance, last, err)
						return
					}
					last = b.Balance.CreditsPosted.Minor
					accounts, err := s.Accounts(f.t.Context(), "main", "", store.Page{Limit: 100})
					sum := int64(0)
					for _, account := range accounts {
						sum += account.Balance.CreditsPosted.Minor - account.Balance.DebitsPosted.Minor
					}
					if err != nil || sum != 0 {
						f.t.Errorf("all accounts sum to %d, %v", sum, err)
						return
					}
				}
			})
		}
		for i := range 300 {
			f.must(pay(ledger.ActionBook, fmt.Sprint("p", i), "a", "b", 1))
		}
		done.Store(true)
		group.Wait()
		f.verified()
	})
}

// TestOneRunOfManyPostings sorts a hot account's postings into several runs at
// once.
func TestOneRunOfManyPostings(t *testing.T) {
	suite(t, func(f *fixture) {
		f.purses()
		f.must(pay(ledger.ActionBook, "fund", "source", "a", 1_000_000))
		f.Engine = f.sorting(2400)
		var requests []ledger.Request
		for i := range 1201 {
			requests = append(requests, pay(ledger.ActionBook, fmt.Sprint("p", i), "a", "b", 1))
		}
		for part := range slices.Chunk(requests, 300) {
			f.pass(time.Millisecond)
			f.must(part...)
		}
		b, err := f.AccountByID(f.t.Context(), "main", "b")
		if err != nil || b.Balance.CreditsPosted.Minor != 1201 {
			f.t.Fatal(b, err)
		}
		if then, err := f.Store.BalanceAsOf(f.t.Context(), "main", "b", f.Now().Add(-2*time.Millisecond)); err != nil || then.CreditsPosted.Minor != 900 {
			f.t.Errorf("it had %v, %v", then, err)
		}
		if _, err := f.Store.BalanceAsOf(f.t.Context(), "main", "nobody", f.Now()); !errors.Is(err, ledger.ErrNotFound) {
			f.t.Error(err)
		}
		f.verified()
	})
}

// TestLedgerIsSortedWhileItIsInUse books until all that was posted by then is
// sorted, by one engine and by another that goes on where it ends.
func TestLedgerIsSortedWhileItIsInUse(t *testing.T) {
	suite(t, func(f *fixture) {
		f.purses()
		f.must(pay(ledger.ActionBook, "fund", "source", "a", 1_000_000))
		count := 0
		for range 2 {
			f.Engine = f.sorting(11)
			for begun := f.sortedTo(); f.sortedTo() < begun+20; count++ {
				if count > 5000 {
					f.t.Fatalf("after %d batches it is sorted up to %d", count, f.sortedTo())
				}
				f.must(pay(ledger.ActionBook, fmt.Sprint("p", count), "a", "b", 1))
			}
		}
		f.verified()
	})
}

// sortedTo is up to where the ledger is sorted.
func (f *fixture) sortedTo() (place int64) {
	f.t.Helper()
	if err := f.db.Read().QueryRowContext(f.t.Context(), "SELECT MAX(sorted_to) FROM ledgers").Scan(&place); err != nil {
		f.t.Fatal(err)
	}
	return place
}
