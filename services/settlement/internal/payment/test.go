package payment

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/backlot-video/backlot/kit/money"
)

// TestProvider is a fake: it says yes to every charge up to a limit and moves
// no real money. It is for trying the house out, and for tests.
type TestProvider struct{ limit int64 }

// NewTestProvider makes a TestProvider that declines charges above limit minor
// units, and says in the log what it is.
func NewTestProvider(limit int64, log *slog.Logger) TestProvider {
	log.Warn("test payment provider: no real money moves")
	return TestProvider{limit: limit}
}

// Name implements Provider.
func (TestProvider) Name() string { return "test" }

// Charge implements Provider.
func (p TestProvider) Charge(ctx context.Context, charge Charge) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if charge.Amount.Minor > p.limit {
		limit := money.Amount{Minor: p.limit, Currency: charge.Amount.Currency}
		return fmt.Errorf("%w: the test provider gives at most %s", ErrDeclined, limit)
	}
	return nil
}

// Pay implements Payer: up to the limit the fake says that it has paid.
func (p TestProvider) Pay(ctx context.Context, payout Payout) (outcome Outcome, problem string, err error) {
	if err := ctx.Err(); err != nil {
		return 0, "", err
	}
	if payout.Amount.Minor > p.limit {
		limit := money.Amount{Minor: p.limit, Currency: payout.Amount.Currency}
		return Refused, fmt.Sprintf("the test provider pays at most %s", limit), nil
	}
	return Paid, "", nil
}
