package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement"
)

// ours is settlement with all that it does: idempotency, chain, history, facts.
type ours struct{ ledger *settlement.Ledger }

func accountID(n int) string { return "account-" + strconv.Itoa(n) }

func openOurs(ctx context.Context, dir, url string) (*ours, error) {
	books, err := settlement.Connect(ctx, database.Config{DataDir: dir, URL: url}, settlement.Config{Facts: true})
	if err != nil {
		return nil, err
	}
	o := &ours{books}
	specs := []settlement.AccountSpec{{ID: "source", Purpose: "source", OwnerID: "bench", Currency: "USD", NormalSide: settlement.Debit, Overdraft: true}}
	for n := range accounts {
		specs = append(specs, settlement.AccountSpec{
			ID: accountID(n), Purpose: "purse", OwnerID: accountID(n), Currency: "USD", NormalSide: settlement.Credit,
		})
	}
	for first := 0; first < len(specs); first += 1000 {
		for _, r := range books.OpenAccounts(ctx, "main", specs[first:min(first+1000, len(specs))]) {
			if r.Err != nil {
				return nil, errors.Join(r.Err, books.Close())
			}
		}
	}
	for first := 0; first < accounts; first += 1000 {
		var requests []settlement.Request
		for n := first; n < first+1000; n++ {
			requests = append(requests, request("fund-"+accountID(n), "source", accountID(n), 1_000_000_000_000))
		}
		for _, r := range books.Book(ctx, "main", requests) {
			if r.Err != nil {
				return nil, errors.Join(r.Err, books.Close())
			}
		}
	}
	return o, nil
}

func request(id, from, to string, minor int64) settlement.Request {
	amount := money.Amount{Minor: minor, Currency: "USD"}
	return settlement.Request{Action: settlement.ActionBook, Draft: settlement.Draft{
		TenantID: "main", Currency: "USD", Type: "payment", IdempotencyKey: id,
		Lines: []settlement.Line{
			{AccountID: from, Side: settlement.Debit, Amount: amount},
			{AccountID: to, Side: settlement.Credit, Amount: amount},
		},
	}}
}

func (o *ours) book(ctx context.Context, id string, from, to int, amount int64) error {
	return o.ledger.Book(ctx, "main", []settlement.Request{request(id, accountID(from), accountID(to), amount)})[0].Err
}

// verify recomputes the whole ledger.
func (o *ours) verify(ctx context.Context) error {
	report, err := o.ledger.Verify(ctx, "main")
	if err == nil && len(report.Faults) > 0 {
		err = fmt.Errorf("the ledger does not verify: %s", strings.Join(report.Faults, "; "))
	}
	return err
}

func (o *ours) close() error { return o.ledger.Close() }
