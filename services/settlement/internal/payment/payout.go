package payment

import (
	"context"

	"github.com/backlot-video/backlot/kit/money"
)

// Payout is what is to be paid out.
type Payout struct {
	// ID makes repeats harmless: sending the same ID again pays nothing more.
	ID       string
	TenantID string
	OwnerID  string       // account id of who gets it
	Amount   money.Amount // above zero
}

// Outcome is what a provider says of a payout.
type Outcome int

// The outcomes.
const (
	Underway Outcome = 1 // accepted; ask again
	Paid     Outcome = 2
	Refused  Outcome = 3 // for good: nothing was paid
)

// Payer pays money out. An error leaves open what came of a payout: ask again.
// Payers are safe for concurrent use.
type Payer interface {
	// Name is the payer's, for logs.
	Name() string
	// Pay sends a payout, or tells what came of it where it was sent before.
	// problem says for people why it was refused.
	Pay(ctx context.Context, payout Payout) (outcome Outcome, problem string, err error)
}

// Manual is a Payer that leaves payouts to a person, who sends the exported
// file to a bank and tells how they ended.
type Manual struct{}

// Name implements Payer.
func (Manual) Name() string { return "manual" }

// Pay implements Payer: the payout is under way until a person ends it.
func (Manual) Pay(context.Context, Payout) (Outcome, string, error) { return Underway, "", nil }
