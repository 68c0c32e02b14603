package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// counted is a counter of an engine's.
func counted(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

const (
	aheadBatches  = "backlot_settlement_ahead_batches_total"
	redoneBatches = "backlot_settlement_redone_batches_total"
)

// TestEnginesThatBookAheadOfEachOtherKeepTheBooks has two engines book the same
// transfers, so that what each has applied ahead is void again and again.
func TestEnginesThatBookAheadOfEachOtherKeepTheBooks(t *testing.T) {
	suite(t, func(f *fixture) {
		f.purses()
		const clients, rounds = 8, 12
		f.must(pay(ledger.ActionBook, "fund", "source", "a", clients*rounds/2))
		registry := prometheus.NewRegistry()
		engines := []*engine.Engine{f.engine(engine.Config{Registerer: registry, BatchLimit: 4}), f.engine(engine.Config{})}
		var all sync.WaitGroup
		var mu sync.Mutex
		booked := make(map[string]string)
		for c := range clients * len(engines) {
			all.Go(func() {
				for r := range rounds {
					key := fmt.Sprint(c/len(engines), "/", r)
					result := engines[c%len(engines)].Book(f.t.Context(), "main", []ledger.Request{pay(ledger.ActionBook, key, "a", "b", 1)})[0]
					switch {
					case errors.Is(result.Err, ledger.ErrInsufficientFunds):
						continue
					case result.Err != nil:
						f.t.Errorf("%s: %v", key, result.Err)
						continue
					}
					mu.Lock()
					if other := booked[key]; other != "" && other != result.Transfer.ID {
						f.t.Errorf("%s is both %s and %s", key, other, result.Transfer.ID)
					}
					booked[key] = result.Transfer.ID
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if a, err := f.AccountByID(f.t.Context(), "main", "a"); err != nil || a.Balance.DebitsPosted != usd(clients*rounds/2) || len(booked) != clients*rounds/2 {
			f.t.Errorf("%d booked, a has %v, %v", len(booked), a.Balance, err)
		}
		for key, id := range booked {
			if found, err := f.Find(f.t.Context(), "main", key); err != nil || found.ID != id {
				f.t.Errorf("%s was answered as %s, is %s, %v", key, id, found.ID, err)
			}
		}
		f.verified()
	})
}

// TestBatchAheadOfOneThatFailsIsDoneAgain fails a batch while the one after it
// is applied already.
func TestBatchAheadOfOneThatFailsIsDoneAgain(t *testing.T) {
	errTold := errors.New("no")
	for _, c := range []struct {
		name string
		fail func(f *fixture) error // what becomes of the batch that is held up
		want error
	}{
		{"others have written", func(f *fixture) error {
			return f.engine(engine.Config{}).Book(f.t.Context(), "main", []ledger.Request{pay(ledger.ActionBook, "other", "a", "b", 60)})[0].Err
		}, nil},
		{"its key is known", func(f *fixture) error {
			return f.engine(engine.Config{}).Book(f.t.Context(), "main", []ledger.Request{pay(ledger.ActionBook, "first", "a", "b", 60)})[0].Err
		}, nil},
		{"the database is sick", func(*fixture) error { return errTold }, errTold},
	} {
		suite(t, func(f *fixture) {
			f.purses()
			f.must(pay(ledger.ActionBook, "fund", "source", "a", 100))
			started, goOn := make(chan struct{}, 1), make(chan error)
			var once atomic.Bool // it may be done again
			registry := prometheus.NewRegistry()
			held := f.engine(engine.Config{Registerer: registry, Tell: func(
				ctx context.Context, tenantID, currency string, at time.Time, posted store.Posted,
			) ([]store.Fact, error) {
				first := posted.Transfers[0]
				if first.IdempotencyKey == "first" && first.Postings[0].Amount == usd(60) && once.CompareAndSwap(false, true) {
					started <- struct{}{}
					if err := <-goOn; err != nil {
						return nil, err
					}
				}
				return f.tell(ctx, tenantID, currency, at, posted)
			}})
			book := func(key string, minor int64) error {
				return held.Book(f.t.Context(), "main", []ledger.Request{pay(ledger.ActionBook, key, "a", "b", minor)})[0].Err
			}
			if err := book("warm", 1); err != nil {
				f.t.Fatal(err)
			}
			var first, second error
			var all sync.WaitGroup
			all.Go(func() { first = book("first", 60) })
			<-started
			all.Go(func() { second = book("second", 30) })
			fault := c.fail(f)
			if fault != nil && !errors.Is(fault, errTold) {
				f.t.Fatal(fault)
			}
			goOn <- fault
			all.Wait()
			if second != nil && !errors.Is(second, ledger.ErrInsufficientFunds) {
				f.t.Errorf("%s: second: %v", c.name, second)
			}
			short := c.name == "others have written" // 60 went to the other: there is no more for the first
			if short && !errors.Is(first, ledger.ErrInsufficientFunds) || !short && !errors.Is(first, c.want) {
				f.t.Errorf("%s: first: %v", c.name, first)
			}
			want := map[string]int64{"others have written": 91, "its key is known": 91, "the database is sick": 31}[c.name]
			if a, err := f.AccountByID(f.t.Context(), "main", "a"); err != nil || a.Balance.DebitsPosted != usd(want) {
				f.t.Errorf("%s: a has %v, %v", c.name, a.Balance, err)
			}
			if counted(f.t, registry, aheadBatches) < 1 || c.want == nil && counted(f.t, registry, redoneBatches) < 1 {
				f.t.Errorf("%s: %v ahead, %v redone", c.name, counted(f.t, registry, aheadBatches), counted(f.t, registry, redoneBatches))
			}
			f.verified()
		})
	}
}
