// Package statement is what an account did in a time: the balance before, each
// posting, the balance after.
//
//	statement.go  Statement and its arithmetic
//	csv.go        Statement as a CSV file
//
// It does no I/O but to a given writer. Balances are on the account's normal
// side: what a wallet holds is above zero, and so is what the provider holds.
package statement

import (
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// Sums are what was posted to an account, by side.
type Sums struct{ Debits, Credits int64 }

// Line is one posting.
type Line struct {
	PostedAt   time.Time
	Sequence   int64 // in the ledger's chain
	TransferID string
	Type       ledger.Type
	Reference  string
	Amount     money.Amount // above zero on the normal side, else below
	Balance    money.Amount // after this line
}

// Place is that of a line: lines are ordered by time and then by sequence. The
// zero Place is before all lines.
type Place struct {
	PostedAt time.Time
	Sequence int64
}

// Statement is an account over [From, To), or a page of it.
type Statement struct {
	Account          ledger.Account
	From, To         time.Time
	Opening, Closing money.Amount
	Lines            []Line
	More             bool // whether lines follow
}

// Entry is a posting as it was booked.
type Entry struct {
	PostedAt   time.Time
	Sequence   int64
	TransferID string
	Type       ledger.Type
	Reference  string
	Side       ledger.Side
	Amount     int64 // minor units, above zero
}

// Balance is what sums come to on an account's normal side.
func Balance(account ledger.Account, sums Sums) (money.Amount, error) {
	debits := money.Amount{Minor: sums.Debits, Currency: account.Currency}
	credits := money.Amount{Minor: sums.Credits, Currency: account.Currency}
	if account.NormalSide == ledger.Debit {
		return debits.Sub(credits)
	}
	return credits.Sub(debits)
}

// Lines makes lines of entries that follow a balance.
func Lines(account ledger.Account, before money.Amount, entries []Entry) ([]Line, error) {
	lines := make([]Line, 0, len(entries))
	for _, entry := range entries {
		amount := money.Amount{Minor: entry.Amount, Currency: account.Currency}
		if entry.Side != account.NormalSide {
			amount.Minor = -amount.Minor
		}
		var err error
		if before, err = before.Add(amount); err != nil {
			return nil, fmt.Errorf("transfer %s: %w", entry.TransferID, err)
		}
		lines = append(lines, Line{
			PostedAt: entry.PostedAt, Sequence: entry.Sequence, TransferID: entry.TransferID,
			Type: entry.Type, Reference: entry.Reference, Amount: amount, Balance: before,
		})
	}
	return lines, nil
}
