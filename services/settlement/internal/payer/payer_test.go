package payer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/payer"
	"github.com/backlot-video/backlot/services/settlement/internal/payment"
	"github.com/backlot-video/backlot/services/settlement/internal/payout"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// bank is a payer that pays each id once, and answers as it is told.
type bank struct {
	mu      sync.Mutex
	paid    map[string]money.Amount
	refuse  map[string]bool // by owner
	waits   bool            // says Underway at first
	dead    bool            // pays, and then the line is dead
	patient map[string]int
}

func (*bank) Name() string { return "bank" }

func (b *bank) Pay(_ context.Context, p payment.Payout) (payment.Outcome, string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse[p.OwnerID] {
		return payment.Refused, "no such account", nil
	}
	if before, known := b.paid[p.ID]; known && before != p.Amount {
		return 0, "", fmt.Errorf("payout %s was of %v, now of %v", p.ID, before, p.Amount)
	}
	b.paid[p.ID] = p.Amount
	if b.dead {
		return 0, "", errors.New("line is dead")
	}
	if b.patient[p.ID]++; b.waits && b.patient[p.ID] == 1 {
		return payment.Underway, "", nil
	}
	return payment.Paid, "", nil
}

func (b *bank) sum() (sum int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, amount := range b.paid {
		sum += amount.Minor
	}
	return sum
}

type fixture struct {
	*payer.Payer
	t       *testing.T
	led     *store.Store
	books   *engine.Engine
	payouts *store.Payouts
	bank    *bank
	start   func() *payer.Payer // as another process
}

func suite(t *testing.T, test func(f *fixture)) {
	databasetest.Each(t, "settlement", func(t *testing.T, db *database.DB) {
		f := &fixture{t: t, payouts: store.NewPayouts(db), bank: &bank{paid: map[string]money.Amount{}, refuse: map[string]bool{}, patient: map[string]int{}}}
		f.led = store.New(db)
		f.books = engine.New(f.led, engine.Config{})
		t.Cleanup(f.books.Close)
		f.start = func() *payer.Payer {
			return payer.New(payer.Config{
				Ledgers: f.led, Books: f.books, Payouts: f.payouts, Bank: f.bank, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
			})
		}
		f.Payer = f.start()
		test(f)
	})
}

func usd(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "USD"} }

// book posts a transfer from one account to another.
func (f *fixture) book(kind ledger.Type, key string, from, to ledger.Line, minor int64) {
	f.t.Helper()
	from.Side, to.Side, from.Amount, to.Amount = ledger.Debit, ledger.Credit, usd(minor), usd(minor)
	err := f.books.Write(f.t.Context(), "main", "USD", func(ctx context.Context, tx *engine.Tx) error {
		_, err := tx.Pend(ctx, ledger.Draft{
			TenantID: "main", Currency: "USD", Type: kind, IdempotencyKey: key, Reference: key, Lines: []ledger.Line{from, to},
		})
		if err == nil {
			_, err = tx.Post(ctx, "main", key)
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) earn(owner string, minor int64) {
	f.t.Helper()
	f.book(ledger.Sale, "earn "+owner, ledger.Line{Purpose: ledger.Clearing}, ledger.Line{Purpose: ledger.Earnings, OwnerID: owner}, minor)
}

func (f *fixture) available(owner string, purpose ledger.Purpose) int64 {
	f.t.Helper()
	account, _, err := f.led.Account(f.t.Context(), "main", owner, purpose, "USD")
	if err != nil {
		f.t.Fatal(err)
	}
	amount, err := account.Available()
	if err != nil {
		f.t.Fatal(err)
	}
	return amount.Minor
}

func (f *fixture) create(key string, minimum int64, owners ...string) payout.Batch {
	f.t.Helper()
	batch, err := f.Create(f.t.Context(), "main", key, usd(minimum), owners)
	if err != nil {
		f.t.Fatal(err)
	}
	return batch
}

func (f *fixture) step(batch payout.Batch, step payout.Step) payout.Batch {
	f.t.Helper()
	batch, err := f.Step(f.t.Context(), "main", batch.ID, step)
	if err != nil {
		f.t.Fatal(err)
	}
	return batch
}

// states are a batch's payouts as "eve settled 500".
func (f *fixture) states(batch payout.Batch) string {
	f.t.Helper()
	list, err := f.payouts.List(f.t.Context(), batch, store.Page{Limit: 100})
	if err != nil {
		f.t.Fatal(err)
	}
	var all []string
	for _, p := range list {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %v %d %s", p.OwnerID, p.State, p.Amount.Minor, p.Problem)))
	}
	return strings.Join(all, ", ")
}

func (f *fixture) verified() {
	f.t.Helper()
	report, err := f.led.Verify(f.t.Context(), "main")
	if err != nil || len(report.Faults) > 0 {
		f.t.Fatalf("verify: %v, %v", err, report.Faults)
	}
}

func TestBatchIsDraftedHeldAndPaid(t *testing.T) {
	suite(t, func(f *fixture) {
		f.earn("eve", 500)
		f.earn("fay", 300)
		f.earn("poor", 9)
		f.bank.refuse["fay"] = true
		f.bank.waits = true
		batch := f.create("k", 10)
		if again := f.create("k", 10); again.ID != batch.ID || batch.State != payout.Draft {
			f.t.Errorf("again: %+v", again)
		}
		if _, err := f.Create(f.t.Context(), "main", "k", usd(11), nil); !errors.Is(err, store.ErrKeyReused) {
			f.t.Errorf("got %v, want ErrKeyReused", err)
		}
		if f.states(batch) != "eve planned 500, fay planned 300" || f.available("eve", ledger.Earnings) != 500 {
			f.t.Errorf("drafted as %s", f.states(batch))
		}
		if _, err := f.Step(f.t.Context(), "main", batch.ID, payout.Submit); !errors.Is(err, payout.ErrState) {
			f.t.Errorf("submitted a draft: %v", err)
		}
		for range 2 {
			if batch = f.step(batch, payout.Approve); batch.State != payout.Approved || f.states(batch) != "eve held 500, fay held 300" {
				f.t.Fatalf("approved as %+v, %s", batch, f.states(batch))
			}
		}
		if f.available("eve", ledger.Earnings) != 0 || f.bank.sum() != 0 {
			f.t.Errorf("eve has %d, the bank has paid %d", f.available("eve", ledger.Earnings), f.bank.sum())
		}
		if batch = f.step(batch, payout.Submit); batch.State != payout.BatchSubmitted || f.states(batch) != "eve submitted 500, fay failed 300 no such account" {
			f.t.Fatalf("submitted as %+v, %s", batch, f.states(batch))
		}
		if err := f.Drive(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		batch = f.step(batch, payout.Submit) // changes nothing
		if batch.State != payout.Ended || f.states(batch) != "eve settled 500, fay failed 300 no such account" {
			f.t.Errorf("ended as %+v, %s", batch, f.states(batch))
		}
		if f.available("eve", ledger.Earnings) != 0 || f.available("fay", ledger.Earnings) != 300 || f.available("", ledger.Clearing) != 309 || f.bank.sum() != 500 {
			f.t.Error("the books do not say what the bank did")
		}
		if _, err := f.Step(f.t.Context(), "main", batch.ID, payout.Cancel); !errors.Is(err, payout.ErrState) {
			f.t.Errorf("cancelled what has ended: %v", err)
		}
		if _, err := f.Step(f.t.Context(), "other", batch.ID, payout.Cancel); !errors.Is(err, store.ErrNotFound) {
			f.t.Errorf("another tenant: %v", err)
		}
		f.verified()
	})
}

func TestCancelledBatchGivesBackWhatItHolds(t *testing.T) {
	suite(t, func(f *fixture) {
		f.earn("eve", 500)
		batch := f.step(f.create("k", 1), payout.Approve)
		if batch = f.step(batch, payout.Cancel); batch.State != payout.BatchCancelled || f.states(batch) != "eve cancelled 500" {
			f.t.Errorf("%+v, %s", batch, f.states(batch))
		}
		draft := f.step(f.create("l", 1), payout.Cancel)
		if f.states(draft) != "eve cancelled 500" || f.available("eve", ledger.Earnings) != 500 {
			f.t.Errorf("%s, eve has %d", f.states(draft), f.available("eve", ledger.Earnings))
		}
		if _, err := f.Step(f.t.Context(), "main", batch.ID, payout.Approve); !errors.Is(err, payout.ErrState) {
			f.t.Errorf("approved after cancel: %v", err)
		}
		f.verified()
	})
}

func TestMoneyThatIsGoneOrOwedIsNotPaid(t *testing.T) {
	suite(t, func(f *fixture) {
		f.earn("gone", 500)
		f.earn("owes", 500)
		f.book(ledger.Refund, "owe", ledger.Line{Purpose: ledger.Receivable, OwnerID: "owes"}, ledger.Line{Purpose: ledger.Clearing}, 200)
		batch := f.create("k", 1)
		f.book(ledger.Refund, "take", ledger.Line{Purpose: ledger.Earnings, OwnerID: "gone"}, ledger.Line{Purpose: ledger.Clearing}, 1)
		batch = f.step(batch, payout.Approve)
		if got := f.states(batch); got != "gone failed 500 insufficient funds: earnings is short of 0.01 USD, owes held 300" {
			f.t.Errorf("got %s", got)
		}
		if batch = f.step(batch, payout.Submit); batch.State != payout.Ended {
			f.t.Errorf("got %+v", batch)
		}
		if f.available("owes", ledger.Receivable) != 0 || f.available("owes", ledger.Earnings) != 0 || f.bank.sum() != 300 {
			f.t.Errorf("owes %d, the bank paid %d", f.available("owes", ledger.Receivable), f.bank.sum())
		}
		if _, err := f.Create(f.t.Context(), "main", "next", usd(500), nil); !errors.Is(err, payer.ErrNobody) {
			f.t.Errorf("got %v, want ErrNobody", err)
		}
		if named := f.create("named", 1, "gone", "gone", "nobody"); f.states(named) != "gone planned 499" {
			f.t.Errorf("got %s", f.states(named))
		}
		f.verified()
	})
}

// TestProcessThatDiesGoesOnWithoutPayingTwice loses the bank's answer, and
// drives on by several processes at a time.
func TestProcessThatDiesGoesOnWithoutPayingTwice(t *testing.T) {
	suite(t, func(f *fixture) {
		for i := range 6 {
			f.earn(fmt.Sprint("eve", i), 100)
		}
		batch := f.step(f.create("k", 1), payout.Approve)
		f.bank.dead = true
		if batch = f.step(batch, payout.Submit); batch.State != payout.BatchSubmitted || f.bank.sum() != 600 {
			f.t.Errorf("%+v, paid %d", batch, f.bank.sum())
		}
		f.bank.dead = false
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := f.start().Drive(f.t.Context()); err != nil {
					f.t.Error(err)
				}
			})
		}
		all.Wait()
		batch, err := f.payouts.Batch(f.t.Context(), "main", batch.ID)
		if err != nil || batch.State != payout.Ended || f.bank.sum() != 600 || f.available("", ledger.Clearing) != 0 {
			f.t.Errorf("%+v, %v, paid %d", batch, err, f.bank.sum())
		}
		sums, err := f.payouts.Sums(f.t.Context(), batch.ID)
		if err != nil || sums[payout.Settled].Count != 6 || sums[payout.Settled].Minor != 600 {
			f.t.Errorf("sums %v, %v", sums, err)
		}
		f.verified()
	})
}

func TestPersonEndsPayoutsAllOrNone(t *testing.T) {
	suite(t, func(f *fixture) {
		f.earn("eve", 500)
		f.earn("fay", 300)
		hand := payer.New(payer.Config{
			Ledgers: f.led, Books: f.books, Payouts: f.payouts, Bank: payment.Manual{}, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
		})
		f.Payer = hand
		batch := f.step(f.create("k", 1), payout.Approve)
		list, err := f.payouts.List(f.t.Context(), batch, store.Page{Limit: 10})
		if err != nil {
			f.t.Fatal(err)
		}
		eve, fay := list[0].ID, list[1].ID
		if _, err := f.End(f.t.Context(), "main", batch.ID, []payer.End{{PayoutID: eve}}); !errors.Is(err, payout.ErrState) {
			f.t.Errorf("ended before it was submitted: %v", err)
		}
		batch = f.step(batch, payout.Submit)
		if _, err := f.End(f.t.Context(), "main", batch.ID, []payer.End{{PayoutID: eve}, {PayoutID: "none"}}); !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "ends[1]") {
			f.t.Errorf("got %v", err)
		}
		if f.states(batch) != "eve submitted 500, fay submitted 300" {
			f.t.Errorf("half of it was booked: %s", f.states(batch))
		}
		for range 2 { // again changes nothing
			batch, err = f.End(f.t.Context(), "main", batch.ID, []payer.End{{PayoutID: eve}, {PayoutID: fay, Problem: "closed"}})
			if err != nil || batch.State != payout.Ended || f.states(batch) != "eve settled 500, fay failed 300 closed" {
				f.t.Errorf("%+v, %v, %s", batch, err, f.states(batch))
			}
		}
		if _, err := f.End(f.t.Context(), "main", batch.ID, []payer.End{{PayoutID: fay}}); !errors.Is(err, payout.ErrState) {
			f.t.Errorf("ended in another way: %v", err)
		}
		f.verified()
	})
}
