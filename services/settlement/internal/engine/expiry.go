package engine

import (
	"context"
	"errors"
	"time"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// expirePage is how many transfers expire in one call.
const expirePage = 128

// Run voids pending transfers whose time is over, until ctx ends, and returns
// nil then. What waits for it is in the database, so nothing is forgotten when
// a process ends, and several may run it.
func (e *Engine) Run(ctx context.Context) error {
	ticker := time.NewTicker(e.config.ExpireEvery)
	defer ticker.Stop()
	for {
		if _, err := e.Expire(ctx); err != nil && ctx.Err() == nil {
			e.config.Log.Error("cannot void expired transfers, will try again", "err", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Expire voids pending transfers whose time is over, at most Config.ExpireLimit,
// and returns how many it found.
func (e *Engine) Expire(ctx context.Context) (found int, err error) {
	due, err := e.store.Expired(ctx, e.config.Clock(), e.config.ExpireLimit)
	if err != nil {
		return 0, err
	}
	calls := make(map[ledgerKey]*Call)
	var failure error
	flush := func(call *Call) {
		results, err := e.Do(ctx, *call)
		for _, result := range results {
			err = errors.Join(err, result.Err)
		}
		failure = errors.Join(failure, err)
		call.expire = nil
	}
	for _, one := range due {
		key := ledgerKey{one.TenantID, one.Currency}
		if calls[key] == nil {
			calls[key] = &Call{TenantID: one.TenantID, Currency: one.Currency}
		}
		calls[key].expire = append(calls[key].expire, one.ID)
		if len(calls[key].expire) == expirePage {
			flush(calls[key])
		}
	}
	for _, call := range calls {
		if len(call.expire) > 0 {
			flush(call)
		}
	}
	return len(due), failure
}

// find resolves which ledger a target belongs to.
func (e *Engine) find(ctx context.Context, tenantID string, target ledger.Target) (currency string, err error) {
	var t ledger.Transfer
	if target.ID != "" {
		t, err = e.store.Transfer(ctx, tenantID, target.ID)
	} else {
		t, err = e.store.Find(ctx, tenantID, target.IdempotencyKey)
	}
	return t.Currency, err
}
