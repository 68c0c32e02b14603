package store

import (
	"context"
	"errors"
	"sync"

	"github.com/backlot-video/backlot/kit/database"
)

// ErrBusy means that too many bookings wait for one ledger.
var ErrBusy = errors.New("too many bookings wait for the ledger")

// maxWaiting bounds the bookings that wait for one ledger in this process.
const maxWaiting = 1024

// turns lets one booking of this process at a time at each ledger. On
// PostgreSQL bookings side by side would only undo each other: the ledger's
// row is the fence, and a transaction that has waited for it must begin anew.
// SQLite has one writer already, which shares commits among those who wait.
type turns struct {
	mu      sync.Mutex
	ledgers map[ledgerKey]*turn
}

type ledgerKey struct{ tenantID, currency string }

type turn struct {
	free  chan struct{} // holds a value while nobody books
	users int           // that book or wait; guarded by turns.mu
}

// Turn waits for the caller's turn at a ledger; done ends it. It returns
// ErrBusy at once where too many wait, or ctx's error. The caller books
// within the turn by a transaction of its own.
func (s *Store) Turn(ctx context.Context, tenantID, currency string) (done func(), err error) {
	if s.db.Dialect() == database.SQLite {
		return func() {}, nil
	}
	return s.turns.take(ctx, ledgerKey{tenantID, currency})
}

func (t *turns) take(ctx context.Context, key ledgerKey) (done func(), err error) {
	t.mu.Lock()
	ledger, found := t.ledgers[key]
	if !found {
		ledger = &turn{free: make(chan struct{}, 1)}
		ledger.free <- struct{}{}
		t.ledgers[key] = ledger
	}
	if ledger.users > maxWaiting {
		t.mu.Unlock()
		return nil, ErrBusy
	}
	ledger.users++
	t.mu.Unlock()
	select {
	case <-ledger.free:
		return func() {
			ledger.free <- struct{}{}
			t.leave(key, ledger)
		}, nil
	case <-ctx.Done():
		t.leave(key, ledger)
		return nil, ctx.Err()
	}
}

// leave forgets a ledger that nobody uses.
func (t *turns) leave(key ledgerKey, ledger *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ledger.users--
	if ledger.users == 0 {
		delete(t.ledgers, key)
	}
}
