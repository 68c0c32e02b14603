package engine

import (
	"context"
	"fmt"

	"github.com/backlot-video/backlot/kit/tcc"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// read brings what the batch needs into the book.
func (b *batch) read(ctx context.Context) error {
	var branches []*tccv1.Branch
	for _, c := range b.batch {
		if guard := c.call.Guard; guard != nil {
			branches = append(branches, guard.Branch)
		}
	}
	if len(branches) > 0 {
		var err error
		barrier := tcc.Barrier{Clock: b.engine.config.Clock}
		if b.guards, err = barrier.Load(ctx, b.session.Tx, branches); err != nil {
			return err
		}
	}
	calls := make([]*Call, len(b.batch))
	for i, c := range b.batch {
		calls[i] = &c.call
	}
	return b.readFor(ctx, calls, b.lookups > 0)
}

// readFor reads what requests are to end, and the accounts that they name; with
// lookups also what there is of their idempotency keys.
func (b *batch) readFor(ctx context.Context, calls []*Call, lookups bool) error {
	var keys, ids, accounts []string
	var names []ledger.Name
	for _, call := range calls {
		ids = append(ids, call.expire...)
		accounts, names = append(accounts, call.ids...), append(names, call.names...)
		for i := range call.Requests {
			switch r := &call.Requests[i]; {
			case r.Action == ledger.ActionBook || r.Action == ledger.ActionPend:
				if lookups {
					keys = append(keys, r.Draft.IdempotencyKey)
				}
				for j := range r.Draft.Lines {
					if line := &r.Draft.Lines[j]; line.AccountID != "" {
						accounts = append(accounts, line.AccountID)
					} else {
						names = append(names, ledger.Name{Purpose: line.Purpose, OwnerID: line.OwnerID})
					}
				}
			case r.Target.ID != "":
				ids = append(ids, r.Target.ID)
			default:
				keys = append(keys, r.Target.IdempotencyKey)
			}
		}
	}
	if err := b.know(ctx, keys, ids); err != nil {
		return err
	}
	if err := b.name(ctx, names); err != nil {
		return err
	}
	return b.addAccounts(ctx, accounts)
}

// know reads transfers and their accounts into the book.
func (b *batch) know(ctx context.Context, keys, ids []string) error {
	if len(keys)+len(ids) == 0 {
		return nil
	}
	known, err := b.session.Transfers(ctx, b.ledger, keys, ids)
	if err != nil {
		return fmt.Errorf("read transfers: %w", err)
	}
	var accounts []string
	for _, t := range known {
		b.book.Know(t)
		for i := range t.Postings {
			if t.Currency == b.key.currency {
				accounts = append(accounts, t.Postings[i].AccountID)
			}
		}
	}
	return b.addAccounts(ctx, accounts)
}

// name reads accounts by name, where the book does not have them.
func (b *batch) name(ctx context.Context, names []ledger.Name) error {
	var missing []ledger.Name
	wanted := make(map[ledger.Name]bool)
	for _, name := range names {
		if _, found := b.book.Named(name); !found && !wanted[name] {
			wanted[name] = true
			missing = append(missing, name)
		}
	}
	accounts, err := b.session.Named(ctx, b.ledger, missing)
	if err != nil {
		return fmt.Errorf("read accounts: %w", err)
	}
	for _, account := range accounts {
		b.book.AddAccount(account)
	}
	return nil
}

// addAccounts reads accounts by id, where the book does not have them.
func (b *batch) addAccounts(ctx context.Context, ids []string) error {
	var missing []string
	wanted := make(map[string]bool)
	for _, id := range ids {
		if _, found := b.book.Account(id); !found && !wanted[id] {
			wanted[id] = true
			missing = append(missing, id)
		}
	}
	accounts, err := b.session.Accounts(ctx, b.ledger, missing)
	if err != nil {
		return fmt.Errorf("read accounts: %w", err)
	}
	for _, account := range accounts {
		if account.Currency == b.key.currency {
			b.book.AddAccount(account)
		} else {
			b.book.AddForeign(account)
		}
	}
	return nil
}
