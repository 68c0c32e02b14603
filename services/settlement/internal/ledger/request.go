package ledger

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/backlot-video/backlot/kit/money"
)

var (
	// ErrConflict means an idempotency key that was used for another transfer.
	ErrConflict = errors.New("idempotency key was used for another transfer")
	// ErrLinked means a request that came to nothing because another one that
	// it is linked with was refused.
	ErrLinked = errors.New("a linked transfer was refused")
	// ErrLimit means too many requests in one call, or in one chain.
	ErrLimit = errors.New("too many transfers")
	// ErrNotFound means that there is no such transfer, account or other thing.
	ErrNotFound = errors.New("not found")
	// ErrBusy means that too many bookings wait for a ledger.
	ErrBusy = errors.New("too many bookings wait for the ledger")
)

const (
	// MaxRequests bounds the requests of one call.
	MaxRequests = 8192
	// MaxChain bounds the requests that are linked with each other.
	MaxChain = 128
	// MaxTimeout bounds how long a transfer may be pending.
	MaxTimeout = 10 * 365 * 24 * time.Hour
)

// Action is what a Request asks for.
type Action int

// The actions.
const (
	ActionBook Action = 1 // books a transfer that is posted at once
	ActionPend Action = 2 // books a pending transfer
	ActionPost Action = 3 // posts a pending transfer, whole
	ActionVoid Action = 4 // voids a pending transfer
)

func (a Action) String() string {
	switch a {
	case ActionBook:
		return "book"
	case ActionPend:
		return "pend"
	case ActionPost:
		return "post"
	case ActionVoid:
		return "void"
	default:
		return fmt.Sprintf("action(%d)", int(a))
	}
}

// Request asks for one step of the books.
//
// A pending transfer is posted in full or not at all. To take less than was
// held, link its Void with a Book of the smaller amount.
type Request struct {
	Action Action
	Draft  Draft  // what to book, for ActionBook and ActionPend
	Target Target // what to end, for ActionPost and ActionVoid
	// Linked makes it all or none with the request after it: none of a chain
	// is booked unless all are. A chain is of one ledger. Its pending
	// transfers stay together: who ends one ends all, and the first that
	// expires takes the others along.
	Linked bool
}

// Target names a transfer by id or by idempotency key.
type Target struct{ ID, IdempotencyKey string }

// Result is what came of a request.
type Result struct {
	Transfer Transfer // as it is now
	// Repeated is set where nothing was booked because it had been before.
	Repeated bool
	Err      error
}

// Validate checks what can be told without the books. Errors are *FieldError
// from the request on.
func (r *Request) Validate() error {
	switch r.Action {
	case ActionBook, ActionPend:
		return r.Draft.validate(r.Action)
	case ActionPost, ActionVoid:
		if (r.Target.ID == "") == (r.Target.IdempotencyKey == "") {
			return &FieldError{"target", fmt.Errorf("%w: name it by id or by idempotency key", ErrTransfer)}
		}
		if err := checkText("target.id", r.Target.ID); err != nil {
			return err
		}
		return checkText("target.idempotency_key", r.Target.IdempotencyKey)
	default:
		return &FieldError{"action", fmt.Errorf("%w: %v", ErrTransfer, r.Action)}
	}
}

func (d *Draft) validate(action Action) error {
	if d.TenantID == "" {
		return &FieldError{"tenant_id", fmt.Errorf("%w: it is missing", ErrTransfer)}
	}
	if d.IdempotencyKey == "" {
		return &FieldError{"idempotency_key", fmt.Errorf("%w: it is missing", ErrTransfer)}
	}
	if d.Type == "" {
		return &FieldError{"type", fmt.Errorf("%w: it is missing", ErrTransfer)}
	}
	if err := (money.Amount{Currency: d.Currency}).Validate(); err != nil {
		return &FieldError{"currency", err}
	}
	for _, text := range [...]struct{ field, value string }{
		{"tenant_id", d.TenantID},
		{"idempotency_key", d.IdempotencyKey},
		{"type", string(d.Type)},
		{"reference", d.Reference},
		{"xid", d.XID},
		{"split_policy", d.SplitPolicy},
	} {
		if err := checkText(text.field, text.value); err != nil {
			return err
		}
	}
	if d.Timeout < 0 || d.Timeout > MaxTimeout || d.Timeout%time.Microsecond != 0 || d.Timeout > 0 && action != ActionPend {
		return &FieldError{"timeout", fmt.Errorf("%w: %v, for a pending transfer up to %v in whole microseconds", ErrTransfer, d.Timeout, MaxTimeout)}
	}
	return d.validateLines()
}

func (d *Draft) validateLines() error {
	if len(d.Lines) < 2 || len(d.Lines) > MaxPostings {
		return &FieldError{"postings", fmt.Errorf("%w: %d postings, want 2 to %d", ErrTransfer, len(d.Lines), MaxPostings)}
	}
	debits, credits := money.Amount{Currency: d.Currency}, money.Amount{Currency: d.Currency}
	for i := range d.Lines {
		line := &d.Lines[i]
		var err error
		switch {
		case line.Amount.Sign() <= 0:
			return atPosting(i, "amount", fmt.Errorf("%w: %d", ErrAmount, line.Amount.Minor))
		case line.Side == Debit:
			debits, err = debits.Add(line.Amount)
		case line.Side == Credit:
			credits, err = credits.Add(line.Amount)
		default:
			return atPosting(i, "side", fmt.Errorf("%w: %v", ErrTransfer, line.Side))
		}
		if err != nil {
			return atPosting(i, "amount", err)
		}
		if err := line.check(); err != nil {
			return within("postings["+strconv.Itoa(i)+"]", err)
		}
		for j := range d.Lines[:i] {
			other := &d.Lines[j]
			if other.AccountID == line.AccountID && other.Purpose == line.Purpose && other.OwnerID == line.OwnerID {
				return atPosting(i, "account", ErrSameAccount)
			}
		}
	}
	if debits != credits {
		return &FieldError{"postings", fmt.Errorf("%w: %v against %v", ErrUnbalanced, debits, credits)}
	}
	return nil
}

// check refuses a line that names no account.
func (l *Line) check() error {
	if l.AccountID != "" {
		if l.Purpose != "" || l.OwnerID != "" {
			return &FieldError{"account_id", fmt.Errorf("%w: named by id and by owner", ErrTransfer)}
		}
		return checkText("account_id", l.AccountID)
	}
	if l.Purpose == "" {
		return &FieldError{"account_id", fmt.Errorf("%w: no account", ErrUnknownAccount)}
	}
	if err := checkText("purpose", string(l.Purpose)); err != nil {
		return err
	}
	return checkText("owner_id", l.OwnerID)
}
