package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// Book does a tenant's requests, at most ledger.MaxRequests, and returns what
// came of each, in order. Requests that are linked are booked all or none;
// between others nothing is promised but their order within a ledger. Errors
// name the field from `transfers[i]` on. Those of the call as a whole, such as
// ledger.ErrBusy, are each request's.
func (e *Engine) Book(ctx context.Context, tenantID string, requests []ledger.Request) []ledger.Result {
	if len(requests) == 1 && !requests[0].Linked {
		return e.bookOne(ctx, tenantID, requests)
	}
	if len(requests) > ledger.MaxRequests {
		err := &ledger.FieldError{Field: "transfers", Err: fmt.Errorf("%w: %d in one call, at most %d", ledger.ErrLimit, len(requests), ledger.MaxRequests)}
		return failed(len(requests), err)
	}
	parts, refused := e.divide(ctx, tenantID, requests)
	if len(parts) == 1 && len(refused) == 0 {
		for _, p := range parts {
			return e.bookAll(ctx, p)
		}
	}
	results := make([]ledger.Result, len(requests))
	for i, err := range refused {
		results[i].Err = err
	}
	var group sync.WaitGroup
	for _, p := range parts {
		group.Go(func() { e.bookPart(ctx, p, results) })
	}
	group.Wait()
	return results
}

// failed is what comes of so many requests that were not done.
func failed(n int, err error) []ledger.Result {
	results := make([]ledger.Result, n)
	for i := range results {
		results[i].Err = err
	}
	return results
}

// bookAll does a call of Book that is of one ledger.
func (e *Engine) bookAll(ctx context.Context, p *part) []ledger.Result {
	results, err := e.Do(ctx, p.call)
	if err != nil {
		return failed(len(p.places), err)
	}
	for i := range results {
		results[i].Err = at(i, results[i].Err)
	}
	return results
}

// bookOne is Book of one request, which is the common case.
func (e *Engine) bookOne(ctx context.Context, tenantID string, requests []ledger.Request) []ledger.Result {
	currency, _, err := e.checkChain(ctx, tenantID, requests, nil)
	if err != nil {
		return []ledger.Result{{Err: at(0, err)}}
	}
	results, err := e.Do(ctx, Call{TenantID: tenantID, Currency: currency, Requests: requests})
	if err != nil {
		return []ledger.Result{{Err: at(0, err)}}
	}
	results[0].Err = at(0, results[0].Err)
	return results
}

// at puts the place of a request before an error's field.
func at(i int, err error) error {
	if err == nil {
		return nil
	}
	var field *ledger.FieldError
	if !errors.As(err, &field) {
		return err
	}
	return &ledger.FieldError{Field: "transfers[" + strconv.Itoa(i) + "]." + field.Field, Err: field.Err}
}

// check tells at which ledger a request is to be done. drafted are the currencies
// of what the same call is to book, by idempotency key.
func (e *Engine) check(
	ctx context.Context, tenantID string, r *ledger.Request, drafted map[string]string,
) (currency string, err error) {
	if err := r.Validate(); err != nil {
		return "", err
	}
	if r.Action == ledger.ActionBook || r.Action == ledger.ActionPend {
		if r.Draft.TenantID != tenantID {
			return "", &ledger.FieldError{Field: "tenant_id", Err: fmt.Errorf("%w: it is another tenant's", ledger.ErrTransfer)}
		}
		return r.Draft.Currency, nil
	}
	if currency, known := drafted[r.Target.IdempotencyKey]; known {
		return currency, nil
	}
	currency, err = e.find(ctx, tenantID, r.Target)
	if errors.Is(err, ledger.ErrNotFound) {
		err = &ledger.FieldError{Field: "target", Err: err}
	}
	return currency, err
}

// part is what a call of Book asks of one ledger.
type part struct {
	call   Call
	places []int // of the requests in the call of Book
}

// divide checks requests and sorts their chains by ledger. What is refused has
// its error, by its place, and is in no part.
func (e *Engine) divide(ctx context.Context, tenantID string, requests []ledger.Request) (parts map[string]*part, refused map[int]error) {
	parts, refused = make(map[string]*part), make(map[int]error)
	drafted := make(map[string]string, len(requests))
	for i := range requests {
		if key := requests[i].Draft.IdempotencyKey; key != "" {
			drafted[key] = requests[i].Draft.Currency
		}
	}
	for first := 0; first < len(requests); {
		next := first + 1
		for requests[next-1].Linked && next < len(requests) {
			next++
		}
		currency, bad, err := e.checkChain(ctx, tenantID, requests[first:next], drafted)
		if err != nil {
			for i := first; i < next; i++ {
				refused[i] = ledger.ErrLinked
			}
			refused[first+bad] = at(first+bad, err)
		} else {
			p := parts[currency]
			if p == nil {
				most := len(requests) - first
				p = &part{
					call:   Call{TenantID: tenantID, Currency: currency, Requests: make([]ledger.Request, 0, most)},
					places: make([]int, 0, most),
				}
				parts[currency] = p
			}
			for i := first; i < next; i++ {
				p.call.Requests, p.places = append(p.call.Requests, requests[i]), append(p.places, i)
			}
			p.call.Requests[len(p.call.Requests)-1].Linked = false
		}
		first = next
	}
	return parts, refused
}

// checkChain is check of all of a chain, which must be of one ledger; bad is
// which is at fault.
func (e *Engine) checkChain(
	ctx context.Context, tenantID string, chain []ledger.Request, drafted map[string]string,
) (currency string, bad int, err error) {
	switch {
	case len(chain) > ledger.MaxChain:
		return "", 0, &ledger.FieldError{Field: "linked", Err: fmt.Errorf("%w: a chain of %d, at most %d", ledger.ErrLimit, len(chain), ledger.MaxChain)}
	case chain[len(chain)-1].Linked:
		return "", len(chain) - 1, &ledger.FieldError{Field: "linked", Err: fmt.Errorf("%w: the last one has none after it", ledger.ErrTransfer)}
	}
	for i := range chain {
		one, err := e.check(ctx, tenantID, &chain[i], drafted)
		switch {
		case err != nil:
			return "", i, err
		case i == 0:
			currency = one
		case one != currency:
			return "", i, &ledger.FieldError{Field: "currency", Err: fmt.Errorf("%w: %s, linked with one of %s", money.ErrCurrency, one, currency)}
		}
	}
	return currency, 0, nil
}

func (e *Engine) bookPart(ctx context.Context, p *part, results []ledger.Result) {
	done, err := e.Do(ctx, p.call)
	for i, place := range p.places {
		if err != nil {
			results[place].Err = err
			continue
		}
		results[place] = done[i]
		results[place].Err = at(place, done[i].Err)
	}
}

// Guarded does requests, as one chain, behind the barrier of a branch. It
// returns nil where they are done, now or before; errors of the barrier and of
// the ledger, which name no field, mean that nothing was done.
func (e *Engine) Guarded(ctx context.Context, call Call) error {
	for i := range call.Requests {
		if err := call.Requests[i].Validate(); err != nil && call.Refused == nil {
			call.Refused = err
		}
	}
	_, err := e.Do(ctx, call)
	return bare(err)
}

// Open opens accounts, each on its own, and returns what came of each, in
// order. Errors name the field from `accounts[i]` on.
func (e *Engine) Open(ctx context.Context, tenantID string, specs []ledger.AccountSpec) []ledger.AccountResult {
	results := make([]ledger.AccountResult, len(specs))
	byCurrency := make(map[string][]int)
	for i, spec := range specs {
		id := spec.ID
		if id == "" {
			id = "x" // one will be made up
		}
		_, err := spec.Account(id)
		switch {
		case len(specs) > ledger.MaxRequests:
			err = &ledger.FieldError{Field: "id", Err: fmt.Errorf("%w: %d in one call, at most %d", ledger.ErrLimit, len(specs), ledger.MaxRequests)}
			fallthrough
		case err != nil:
			results[i].Err = atAccount(i, err)
		default:
			byCurrency[spec.Currency] = append(byCurrency[spec.Currency], i)
		}
	}
	for currency, places := range byCurrency {
		call := Call{TenantID: tenantID, Currency: currency}
		for _, i := range places {
			if specs[i].ID != "" {
				call.ids = append(call.ids, specs[i].ID)
			}
			call.names = append(call.names, ledger.Name{Purpose: specs[i].Purpose, OwnerID: specs[i].OwnerID})
		}
		call.change = func(book *ledger.Book) error {
			for _, i := range places {
				results[i] = book.Open(specs[i])
			}
			return nil
		}
		_, err := e.Do(ctx, call)
		for _, i := range places {
			if err != nil {
				results[i] = ledger.AccountResult{Err: err}
			}
			results[i].Err = atAccount(i, results[i].Err)
		}
	}
	return results
}

func atAccount(i int, err error) error {
	var field *ledger.FieldError
	if err == nil || !errors.As(err, &field) {
		return err
	}
	return &ledger.FieldError{Field: "accounts[" + strconv.Itoa(i) + "]." + field.Field, Err: field.Err}
}

// SetAccountState freezes, opens again or closes an account. Errors are those
// of ledger.Book.Restate.
func (e *Engine) SetAccountState(ctx context.Context, tenantID, id string, state ledger.AccountState) (account ledger.Account, err error) {
	stored, err := e.store.AccountByID(ctx, tenantID, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return ledger.Account{}, &ledger.FieldError{Field: "account_id", Err: fmt.Errorf("%w: %s", ledger.ErrUnknownAccount, id)}
	}
	if err != nil {
		return ledger.Account{}, err
	}
	call := Call{TenantID: tenantID, Currency: stored.Currency, ids: []string{id}}
	call.change = func(book *ledger.Book) (err error) {
		account, err = book.Restate(id, state)
		return err
	}
	_, err = e.Do(ctx, call)
	return account, err
}

// BalanceAsOf returns what was posted to an account at or before a time; its
// pending sums are zero.
func (e *Engine) BalanceAsOf(ctx context.Context, tenantID, accountID string, at time.Time) (ledger.Balance, error) {
	return e.store.BalanceAsOf(ctx, tenantID, accountID, at)
}
