// Package refund reverses sales, whole or in part.
//
// A refund takes from every account that a sale credited its share of the
// refund, in proportion to what is left of it after earlier refunds, by largest
// remainder. So no refund, and no sum of refunds, takes back more than the sale
// gave to anyone, and the last one restores every account to the minor unit.
//
// Where a person has been paid out what is to be taken back, the person owes
// it to the house (ledger.Receivable). The package does no I/O.
package refund

import (
	"errors"
	"fmt"
	"slices"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

var (
	// ErrSale means a transfer that is not a posted sale.
	ErrSale = errors.New("not a posted sale")
	// ErrNothingLeft means a sale that was refunded whole.
	ErrNothingLeft = errors.New("nothing is left to refund")
	// ErrTooMuch means more than is left of a sale.
	ErrTooMuch = errors.New("refund is more than what is left of the sale")
	// ErrTooMany means a sale with MaxRefunds refunds.
	ErrTooMany = errors.New("sale has too many refunds")
)

// MaxRefunds bounds the refunds of one sale.
const MaxRefunds = 100

// Refund is what a sale allows to take back.
type Refund struct {
	sale ledger.Transfer
	left []ledger.Posting // of the sale, less what earlier refunds took back
	rest money.Amount     // what they come to on each side
}

// Of looks at a sale and at its refunds and chargebacks so far. Those that
// were voided do not count; pending ones do. It returns ErrSale, ErrTooMany or
// ErrNothingLeft.
func Of(sale ledger.Transfer, earlier []ledger.Transfer) (Refund, error) {
	if sale.Type != ledger.Sale || sale.State != ledger.Posted {
		return Refund{}, fmt.Errorf("%w: transfer %s is a %s, %v", ErrSale, sale.ID, sale.Type, sale.State)
	}
	r := Refund{sale: sale, left: slices.Clone(sale.Postings)}
	count := 0
	for _, t := range earlier {
		reversal := t.Type == ledger.Refund || t.Type == ledger.Chargeback
		if !reversal || t.State == ledger.Voided || t.ID == sale.ID {
			continue
		}
		count++
		if err := r.subtract(t); err != nil {
			return Refund{}, err
		}
	}
	if count >= MaxRefunds {
		return Refund{}, fmt.Errorf("%w: %d", ErrTooMany, count)
	}
	r.rest = money.Amount{Currency: sale.Currency}
	for _, posting := range r.left {
		if posting.Side == ledger.Debit {
			r.rest.Minor += posting.Amount.Minor // at most the sale's amount
		}
	}
	if r.rest.IsZero() {
		return Refund{}, ErrNothingLeft
	}
	return r, nil
}

// subtract takes an earlier refund off what is left.
func (r *Refund) subtract(t ledger.Transfer) error {
	for _, posting := range t.Postings {
		at := slices.IndexFunc(r.left, func(p ledger.Posting) bool {
			return p.Side != posting.Side && same(p, posting)
		})
		if at < 0 {
			return fmt.Errorf("refund %s: the sale has no line for %s of %q", t.ID, posting.Purpose, posting.OwnerID)
		}
		rest, err := r.left[at].Amount.Sub(posting.Amount)
		if err != nil {
			return err
		}
		if rest.Sign() < 0 {
			return fmt.Errorf("refund %s: takes more of %s than the sale gave", t.ID, posting.Purpose)
		}
		r.left[at].Amount = rest
	}
	return nil
}

// same tells whether a refund's line takes back a sale's: what a person owes
// stands for its earnings, and the provider's money for the buyer's wallet.
func same(sale, back ledger.Posting) bool {
	switch back.Purpose {
	case ledger.Receivable:
		return sale.Purpose == ledger.Earnings && sale.OwnerID == back.OwnerID
	case ledger.Clearing:
		return sale.Purpose == ledger.Wallet
	default:
		return sale.Purpose == back.Purpose && sale.OwnerID == back.OwnerID
	}
}

// Left is what may still be taken back.
func (r Refund) Left() money.Amount { return r.rest }

// Available tells what may leave a person's earnings.
type Available func(ownerID string) (money.Amount, error)

// Draft makes the transfer that takes back amount, which must be above zero;
// no amount at all (the zero Amount) means everything that is left. kind is
// ledger.Refund, which gives the money to the wallet that it came from, or
// ledger.Chargeback, which gives it to the provider. The caller sets XID and
// IdempotencyKey. It returns ErrTooMuch, money.ErrCurrency or
// ledger.ErrTransfer.
func (r Refund) Draft(kind ledger.Type, amount money.Amount, available Available) (ledger.Draft, error) {
	if amount == (money.Amount{}) {
		amount = r.rest
	}
	switch compared, err := amount.Cmp(r.rest); {
	case err != nil:
		return ledger.Draft{}, err
	case amount.Sign() <= 0:
		return ledger.Draft{}, fmt.Errorf("%w: amount %d is not above zero", ledger.ErrTransfer, amount.Minor)
	case compared > 0:
		return ledger.Draft{}, fmt.Errorf("%w: %s of %s", ErrTooMuch, amount, r.rest)
	}
	draft := ledger.Draft{
		TenantID: r.sale.TenantID, Currency: r.sale.Currency, Type: kind,
		Reference: r.sale.Reference, SplitPolicy: r.sale.SplitPolicy,
	}
	for _, side := range []ledger.Side{ledger.Credit, ledger.Debit} {
		lines, err := r.back(side, kind, amount, available)
		if err != nil {
			return ledger.Draft{}, err
		}
		draft.Lines = append(draft.Lines, lines...)
	}
	return draft, nil
}

// back reverses the lines of one side of the sale.
func (r Refund) back(side ledger.Side, kind ledger.Type, amount money.Amount, available Available) ([]ledger.Line, error) {
	var of []ledger.Posting
	var weights []uint64
	for _, posting := range r.left {
		if posting.Side == side && !posting.Amount.IsZero() {
			of = append(of, posting)
			weights = append(weights, uint64(posting.Amount.Minor))
		}
	}
	parts, err := money.Apportion(amount, weights)
	if err != nil {
		return nil, err
	}
	var lines []ledger.Line
	for i, posting := range of {
		if parts[i].IsZero() {
			continue
		}
		line := ledger.Line{Purpose: posting.Purpose, OwnerID: posting.OwnerID, Side: opposite(side), Amount: parts[i]}
		if line.Purpose == ledger.Wallet && kind == ledger.Chargeback {
			line.Purpose, line.OwnerID = ledger.Clearing, ""
		}
		if line.Purpose == ledger.Earnings {
			owed, err := owe(line, available)
			if err != nil {
				return nil, err
			}
			lines = append(lines, owed...)
			continue
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// owe takes a line from a person's earnings, as far as they go, and from what
// the person owes the house beyond that.
func owe(line ledger.Line, available Available) ([]ledger.Line, error) {
	has, err := available(line.OwnerID)
	if err != nil {
		return nil, err
	}
	taken := line
	taken.Amount.Minor = max(0, min(has.Minor, line.Amount.Minor))
	owed := line
	owed.Purpose = ledger.Receivable
	owed.Amount.Minor = line.Amount.Minor - taken.Amount.Minor
	lines := []ledger.Line{taken, owed}
	return slices.DeleteFunc(lines, func(l ledger.Line) bool { return l.Amount.IsZero() }), nil
}

func opposite(side ledger.Side) ledger.Side {
	if side == ledger.Debit {
		return ledger.Credit
	}
	return ledger.Debit
}
