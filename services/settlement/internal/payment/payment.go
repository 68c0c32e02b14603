// Package payment is the port through which money comes in and goes out.
//
//	payment.go  Provider, what it is asked for and how it answers
//	payout.go   Payer, the same for what is paid out; Manual, who is a person
//	test.go     TestProvider: a fake of both that moves no real money
//
// A provider of a real payment service implements Provider; it keeps no money
// and no state of ours. Providers are safe for concurrent use.
package payment

import (
	"context"
	"errors"

	"github.com/backlot-video/backlot/kit/money"
)

// ErrDeclined means that the provider has refused for good: no money came in.
// Any other error leaves open whether it did.
var ErrDeclined = errors.New("payment was declined")

// Charge is what is to be brought in.
type Charge struct {
	// ID makes repeats harmless: charging the same ID again brings in nothing
	// more and answers as the first time.
	ID       string
	TenantID string
	OwnerID  string       // account id of who pays
	Amount   money.Amount // above zero
}

// Provider brings money in from outside.
type Provider interface {
	// Name is the provider's, for logs.
	Name() string
	// Charge returns nil when the money is certain to come in, or ErrDeclined.
	Charge(ctx context.Context, charge Charge) error
}
