// Package tool is the command line of settlement, for operators.
//
//	tool.go       the verbs, and what they share
//	verify.go     verify: chain, balances and sums, of a running settlement or of its files
//	books.go      accounts, transfers, statement, refund
//	payouts.go    payouts
//	reconcile.go  reconcile, reconciliations
//	differences.go  differences
package tool

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/kit/tool"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1/settlementv1connect"
)

// About says what the tool is for.
const About = "looks after the books of a running Backlot; without a verb it runs the service"

// Verbs are settlement's, in the order in which the help lists them.
func Verbs() []tool.Verb {
	return []tool.Verb{
		verifyVerb(), accountsVerb(), transfersVerb(), statementVerb(), refundVerb(),
		payoutsVerb(), reconcileVerb(), reconciliationsVerb(), differencesVerb(),
	}
}

// remote is a running Backlot.
type remote struct{ tool.Remote }

func (r *remote) ledger() settlementv1connect.LedgerServiceClient {
	return settlementv1connect.NewLedgerServiceClient(r.Client, r.URL)
}

func (r *remote) payouts() settlementv1connect.PayoutServiceClient {
	return settlementv1connect.NewPayoutServiceClient(r.Client, r.URL)
}

func (r *remote) reconciliation() settlementv1connect.ReconciliationServiceClient {
	return settlementv1connect.NewReconciliationServiceClient(r.Client, r.URL)
}

// online returns what runs fn once the operator is signed in; check looks at
// the arguments before.
func online(r *remote, check func(args []string) error, fn func(ctx context.Context, args []string) error) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		if err := check(args); err != nil {
			return err
		}
		if err := r.SignIn(ctx); err != nil {
			return err
		}
		return fn(ctx, args)
	}
}

// want checks the number of arguments.
func want(n int, what string) func(args []string) error {
	return func(args []string) error {
		if len(args) != n {
			return fmt.Errorf("want %s; try --help", what)
		}
		return nil
	}
}

// page is how much is asked for at a time.
const page = 500

// pages calls fetch for page after page.
func pages(fetch func(token string) (next string, err error)) error {
	for token, more := "", true; more; {
		next, err := fetch(token)
		if err != nil {
			return err
		}
		token, more = next, next != "" && next != token
	}
	return nil
}

// span is a time that flags choose.
type span struct{ from, to string }

func (s *span) register(set *config.Set, what string) {
	set.String(&s.from, "from", "", "`time` at which "+what+" begins, as 2026-01-31 or 2026-01-31T15:04:05Z; empty: the beginning")
	set.String(&s.to, "to", "", "`time` before which "+what+" ends; empty: now")
}

// micros are the times in microseconds of Unix time; to is 0 for now.
func (s *span) micros() (from, to int64, err error) {
	if from, err = moment("from", s.from); err != nil {
		return 0, 0, err
	}
	to, err = moment("to", s.to)
	if err == nil && to != 0 && to <= from {
		err = errors.New("--to: must be after --from")
	}
	return from, to, err
}

func moment(flag, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if at, err := time.Parse(layout, text); err == nil && at.UnixMicro() >= 0 {
			return at.UnixMicro(), nil
		}
	}
	return 0, fmt.Errorf("--%s: %q is no time such as 2026-01-31 or 2026-01-31T15:04:05Z", flag, text)
}

// amount is a message's amount for people; none is "-".
func amount(m *moneyv1.Money) string {
	if m == nil {
		return "-"
	}
	return money.Amount{Minor: m.GetMinor(), Currency: m.GetCurrency()}.Format()
}

// newKey is an idempotency key for a call that a person makes once.
func newKey(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	id, err := uuid.NewV7()
	return id.String(), err
}

// chooseFormat refuses a --format that is none of its choices.
func chooseFormat(value string, choices ...string) error {
	for _, choice := range choices {
		if value == choice {
			return nil
		}
	}
	return fmt.Errorf("--format: %q is none of %q", value, choices)
}

// hidden is a database URL without its password.
func hidden(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return "the database"
	}
	return parsed.Redacted()
}
