package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurnsComeOneByOneAndAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := &turns{ledgers: map[ledgerKey]*turn{}}
		key := ledgerKey{"main", "USD"}
		var group sync.WaitGroup
		booking := 0
		for range maxWaiting + 1 {
			group.Go(func() {
				done, err := all.take(t.Context(), key)
				if err != nil {
					t.Error(err)
					return
				}
				if booking++; booking != 1 {
					t.Error("two book at once")
				}
				<-time.After(time.Millisecond)
				booking--
				done()
			})
		}
		synctest.Wait()
		if _, err := all.take(t.Context(), key); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
		if done, err := all.take(t.Context(), ledgerKey{"main", "EUR"}); err != nil {
			t.Errorf("another ledger: %v", err)
		} else {
			done()
		}
		group.Wait()
		if len(all.ledgers) != 0 {
			t.Errorf("%d ledgers are remembered", len(all.ledgers))
		}
	})
}

func TestTurnIsGivenUpWithItsContext(t *testing.T) {
	all := &turns{ledgers: map[ledgerKey]*turn{}}
	done, err := all.take(t.Context(), ledgerKey{})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.take(ended, ledgerKey{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	done()
	if done, err = all.take(t.Context(), ledgerKey{}); err != nil {
		t.Fatal(err)
	}
	done()
}
