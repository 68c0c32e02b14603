package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// Tx books within a batch that it has alone, for what must read before it
// books, or keeps rows beside the ledger. It is valid until its function
// returns.
type Tx struct{ batch *batch }

// Write runs fn alone in a batch of one ledger, and commits it. An error of fn
// undoes all. fn may run again, in the goroutine of the ledger's writer; it
// should be short, for all others wait.
func (e *Engine) Write(ctx context.Context, tenantID, currency string, fn func(ctx context.Context, tx *Tx) error) error {
	_, err := e.Do(ctx, Call{TenantID: tenantID, Currency: currency, Work: fn})
	return err
}

// SQL is the transaction itself, for rows that are kept beside the ledgers.
func (x *Tx) SQL() *sql.Tx { return x.batch.session.Tx }

// Find returns the transfer with this idempotency key, or ledger.ErrNotFound.
func (x *Tx) Find(ctx context.Context, tenantID, idempotencyKey string) (ledger.Transfer, error) {
	if err := x.ours(tenantID); err != nil {
		return ledger.Transfer{}, err
	}
	if t, known := x.batch.book.Known(idempotencyKey); known {
		return t, nil
	}
	if err := x.batch.know(ctx, []string{idempotencyKey}, nil); err != nil {
		return ledger.Transfer{}, err
	}
	if t, known := x.batch.book.Known(idempotencyKey); known {
		return t, nil
	}
	return ledger.Transfer{}, ledger.ErrNotFound
}

// ByReference returns the first transfers of a reference, at most limit.
func (x *Tx) ByReference(ctx context.Context, tenantID, reference string, limit int) ([]ledger.Transfer, error) {
	if err := x.ours(tenantID); err != nil {
		return nil, err
	}
	all, err := x.batch.session.ByReference(ctx, tenantID, reference, limit)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if t, known := x.batch.book.Known(all[i].IdempotencyKey); known {
			all[i] = t
		}
	}
	for _, t := range x.batch.book.Changes().Added {
		if t.Reference == reference && len(all) < limit {
			all = append(all, *t)
		}
	}
	return all, nil
}

// Account returns the account of an owner as it is in the transaction, or false
// where it was never opened. Of another ledger it is as it was committed.
func (x *Tx) Account(
	ctx context.Context, tenantID, ownerID string, purpose ledger.Purpose, currency string,
) (ledger.Account, bool, error) {
	if tenantID != x.batch.key.tenantID || currency != x.batch.key.currency {
		return x.batch.engine.store.Account(ctx, tenantID, ownerID, purpose, currency)
	}
	name := ledger.Name{Purpose: purpose, OwnerID: ownerID}
	if err := x.batch.name(ctx, []ledger.Name{name}); err != nil {
		return ledger.Account{}, false, err
	}
	account, found := x.batch.book.Named(name)
	return account, found, nil
}

// Do does the requests of one chain, all or none.
func (x *Tx) Do(ctx context.Context, requests ...ledger.Request) ([]ledger.Result, error) {
	for i := range requests {
		r := &requests[i]
		if err := r.Validate(); err != nil {
			return nil, at(i, err)
		}
		isDraft := r.Action == ledger.ActionBook || r.Action == ledger.ActionPend
		if isDraft && (r.Draft.TenantID != x.batch.key.tenantID || r.Draft.Currency != x.batch.key.currency) {
			return nil, at(i, &ledger.FieldError{Field: "currency", Err: fmt.Errorf("%w: it is of another ledger", ledger.ErrTransfer)})
		}
	}
	call := &Call{Requests: requests}
	if err := x.batch.readFor(ctx, []*Call{call}, true); err != nil {
		return nil, err
	}
	results := x.batch.book.Apply(requests, x.batch.at)
	for i, result := range results {
		if result.Err != nil && result.Err != ledger.ErrLinked { //nolint:errorlint // Apply gives it as it is
			return nil, at(i, result.Err)
		}
	}
	return results, nil
}

// Pend books a draft as pending. It returns ledger.ErrInsufficientFunds or
// another error of the ledger; ErrConflict where the idempotency key was used.
func (x *Tx) Pend(ctx context.Context, draft ledger.Draft) (ledger.Transfer, error) {
	return x.one(ctx, ledger.Request{Action: ledger.ActionPend, Draft: draft})
}

// Post makes the pending transfer with this idempotency key final. One that is
// posted is returned as it is. It returns ledger.ErrNotFound, or ledger.ErrState
// where it was voided.
func (x *Tx) Post(ctx context.Context, tenantID, idempotencyKey string) (ledger.Transfer, error) {
	if err := x.ours(tenantID); err != nil {
		return ledger.Transfer{}, err
	}
	return x.one(ctx, ledger.Request{Action: ledger.ActionPost, Target: ledger.Target{IdempotencyKey: idempotencyKey}})
}

// Void ends the pending transfer with this idempotency key without effect. One
// that is voided is returned as it is. It returns ledger.ErrNotFound, or
// ledger.ErrState where it was posted.
func (x *Tx) Void(ctx context.Context, tenantID, idempotencyKey string) (ledger.Transfer, error) {
	if err := x.ours(tenantID); err != nil {
		return ledger.Transfer{}, err
	}
	return x.one(ctx, ledger.Request{Action: ledger.ActionVoid, Target: ledger.Target{IdempotencyKey: idempotencyKey}})
}

func (x *Tx) one(ctx context.Context, request ledger.Request) (ledger.Transfer, error) {
	results, err := x.Do(ctx, request)
	if err != nil {
		return ledger.Transfer{}, bare(err)
	}
	return results[0].Transfer, nil
}

// bare is an error without the field, for callers who have made the request
// themselves.
func bare(err error) error {
	var field *ledger.FieldError
	if errors.As(err, &field) {
		return field.Err
	}
	return err
}

// ours refuses another tenant than the ledger's.
func (x *Tx) ours(tenantID string) error {
	if tenantID != x.batch.key.tenantID {
		return fmt.Errorf("%w: ledger of another tenant", ledger.ErrTransfer)
	}
	return nil
}
