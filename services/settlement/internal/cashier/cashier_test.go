package cashier_test

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
	"github.com/backlot-video/backlot/services/settlement/internal/cashier"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/payment"
	"github.com/backlot-video/backlot/services/settlement/internal/policy"
	"github.com/backlot-video/backlot/services/settlement/internal/split"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
	backlotsql "github.com/backlot-video/backlot/sql"
)

// bank is a provider that counts what it brought in, by charge id.
type bank struct {
	mu     sync.Mutex
	in     map[string]money.Amount
	answer error // what it says, after it has done it
}

func (b *bank) Name() string { return "bank" }

func (b *bank) Charge(_ context.Context, charge payment.Charge) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !errors.Is(b.answer, payment.ErrDeclined) {
		b.in[charge.ID] = charge.Amount
	}
	return b.answer
}

func (b *bank) say(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = err
}

type policies map[string]split.Policy

func (p policies) Policy(name string) (split.Policy, error) {
	found, known := p[name]
	if !known {
		return split.Policy{}, policy.ErrUnknown
	}
	return found, nil
}

type house struct {
	*cashier.Cashier
	store  *store.Store
	engine *engine.Engine
	bank   *bank
	policies
	t *testing.T
}

func open(t *testing.T) *house {
	t.Helper()
	db := databasetest.Open(t, databasetest.Config(t, database.SQLite, "settlement"), backlotsql.Migrations("settlement"))
	s := store.New(db)
	e := engine.New(s, engine.Config{})
	t.Cleanup(e.Close)
	b := &bank{in: map[string]money.Amount{}}
	all := policies{"": {Name: "default", Shares: []split.Share{{Payee: split.Payee{Kind: split.Creator}, PPM: 1_000_000}}}}
	return &house{Cashier: cashier.New(s, e, b, all, slog.New(slog.DiscardHandler)), store: s, engine: e, bank: b, policies: all, t: t}
}

func usd(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "USD"} }

func (h *house) wallet(owner string) (available, held int64) {
	h.t.Helper()
	account, _, err := h.store.Account(h.t.Context(), "main", owner, ledger.Wallet, "USD")
	if err != nil {
		h.t.Fatal(err)
	}
	amount, err := account.Available()
	if err != nil {
		h.t.Fatal(err)
	}
	return amount.Minor, account.Held().Minor
}

func TestTopUpIsIdempotentByKeyAndOwner(t *testing.T) {
	h := open(t)
	first, err := h.TopUp(t.Context(), "main", "ann", "k", usd(500))
	if err != nil || first.State != ledger.Posted {
		t.Fatalf("got %+v, %v", first, err)
	}
	again, err := h.TopUp(t.Context(), "main", "ann", "k", usd(500))
	if err != nil || again.ID != first.ID {
		t.Errorf("again: %s, %v, want %s", again.ID, err, first.ID)
	}
	if _, err := h.TopUp(t.Context(), "main", "ann", "k", usd(501)); !errors.Is(err, cashier.ErrConflict) {
		t.Errorf("another amount: got %v, want ErrConflict", err)
	}
	if _, err := h.TopUp(t.Context(), "main", "ann", "k", money.Amount{Minor: 500, Currency: "EUR"}); !errors.Is(err, cashier.ErrConflict) {
		t.Errorf("another currency: got %v, want ErrConflict", err)
	}
	if _, err := h.TopUp(t.Context(), "main", "bob", "k", usd(7)); err != nil {
		t.Errorf("another person's key: %v", err)
	}
	if got, _ := h.wallet("ann"); got != 500 || len(h.bank.in) != 2 {
		t.Errorf("ann has %d, the bank was charged %v", got, h.bank.in)
	}
	for _, amount := range []money.Amount{usd(0), usd(-5), {Minor: 5, Currency: "XXX"}} {
		if _, err := h.TopUp(t.Context(), "main", "ann", amount.Currency+amount.String(), amount); err == nil {
			t.Errorf("%v was taken", amount)
		}
	}
}

func TestDeclinedTopUpIsVoided(t *testing.T) {
	h := open(t)
	h.bank.say(fmt.Errorf("%w: no cover", payment.ErrDeclined))
	for range 2 {
		if _, err := h.TopUp(t.Context(), "main", "ann", "k", usd(500)); !errors.Is(err, payment.ErrDeclined) {
			t.Errorf("got %v, want ErrDeclined", err)
		}
	}
	if report, err := h.store.Verify(t.Context(), "main"); err != nil || len(report.Faults) > 0 || report.Transfers != 0 {
		t.Errorf("left %+v, %v", report, err)
	}
}

func TestTopUpWithoutAnAnswerIsResumed(t *testing.T) {
	h := open(t)
	h.bank.say(errors.New("line is dead")) // after the money came in
	if _, err := h.TopUp(t.Context(), "main", "ann", "k", usd(500)); err == nil {
		t.Fatal("no error")
	}
	if got, _ := h.wallet("ann"); got != 0 {
		t.Errorf("%d may be spent before the provider has said so", got)
	}
	h.bank.say(nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.Resume(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if got, _ := h.wallet("ann"); got == 500 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("not resumed")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(h.bank.in) != 1 {
		t.Errorf("charged %v", h.bank.in)
	}
	if again, err := h.TopUp(t.Context(), "main", "ann", "k", usd(500)); err != nil || again.State != ledger.Posted {
		t.Errorf("asked again: %v, %v", again.State, err)
	}
}

func TestConcurrentTopUpsWithOneKeyAreOne(t *testing.T) {
	h := open(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := h.TopUp(t.Context(), "main", "ann", "k", usd(5)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got, _ := h.wallet("ann"); got != 5 {
		t.Errorf("%d, want 5", got)
	}
}

// do has the ledger do calls.
func (h *house) do(calls ...engine.Call) (err error) {
	for _, call := range calls {
		results, fault := h.engine.Do(h.t.Context(), call)
		err = errors.Join(err, fault)
		for _, result := range results {
			err = errors.Join(err, result.Err)
		}
	}
	return err
}

func TestSaleHoldsAndPaysOrReleases(t *testing.T) {
	h := open(t)
	if _, err := h.TopUp(t.Context(), "main", "ann", "k", usd(100)); err != nil {
		t.Fatal(err)
	}
	sale := cashier.Sale{
		TenantID: "main", XID: "order-1", BranchID: "pay", OrderID: "order-1", ViewerID: "ann", CreatorID: "eve", Price: usd(60),
	}
	hold := func(s cashier.Sale) error {
		return h.do(h.Hold(t.Context(), s))
	}
	if err := hold(sale); err != nil {
		t.Fatal(err)
	}
	second := sale
	second.XID = "order-10" // the first xid is its beginning
	if err := hold(second); !errors.Is(err, ledger.ErrInsufficientFunds) {
		t.Errorf("got %v, want ErrInsufficientFunds", err)
	}
	second.Price = usd(40)
	if err := hold(second); err != nil {
		t.Fatal(err)
	}
	if available, held := h.wallet("ann"); available != 0 || held != 100 {
		t.Errorf("%d available, %d held", available, held)
	}
	if err := h.do(h.Pay("main", "USD", "order-1", "pay"), h.Release("main", "USD", "order-10", "pay")); err != nil {
		t.Fatal(err)
	}
	if available, held := h.wallet("ann"); available != 40 || held != 0 {
		t.Errorf("%d available, %d held", available, held)
	}
	bad := map[string]func(*cashier.Sale){
		"order":   func(s *cashier.Sale) { s.OrderID = "" },
		"viewer":  func(s *cashier.Sale) { s.ViewerID = "" },
		"creator": func(s *cashier.Sale) { s.CreatorID = "" },
		"price":   func(s *cashier.Sale) { s.Price = usd(0) },
		"policy":  func(s *cashier.Sale) { s.SplitPolicy = "none" },
	}
	for name, spoil := range bad {
		s := sale
		s.XID = name
		spoil(&s)
		if err := hold(s); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if report, err := h.store.Verify(t.Context(), "main"); err != nil || len(report.Faults) > 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestSalesPayEveryPayeeOfThePolicyOnce(t *testing.T) {
	h := open(t)
	h.policies["several"] = split.Policy{Name: "several", Release: "r7", Shares: []split.Share{
		{Payee: split.Payee{Kind: split.Creator}, PPM: 500_000},
		{Payee: split.Payee{Kind: split.Account, AccountID: "second"}, PPM: 200_000},
		{Payee: split.Payee{Kind: split.Affiliate}, PPM: 200_000},
		{Payee: split.Payee{Kind: split.Tax}, PPM: 100_000, Fixed: split.Amounts{usd(10)}},
	}}
	if _, err := h.TopUp(t.Context(), "main", "ann", "k", usd(1000)); err != nil {
		t.Fatal(err)
	}
	for creator, want := range map[string]string{
		"eve":    "wallet ann 110, earnings eve 50, tax  20, earnings friend 20, earnings second 20",
		"second": "wallet ann 110, earnings second 70, tax  20, earnings friend 20",
		"friend": "wallet ann 110, earnings friend 70, tax  20, earnings second 20",
	} {
		sale := cashier.Sale{
			TenantID: "main", XID: creator, BranchID: "pay", OrderID: creator, ViewerID: "ann", CreatorID: creator,
			AffiliateID: "friend", Price: usd(110), SplitPolicy: "several",
		}
		if err := h.do(h.Hold(t.Context(), sale)); err != nil {
			t.Fatal(err)
		}
		booked, err := h.store.Transfers(t.Context(), "main", creator, store.Page{Limit: 2})
		if err != nil || len(booked) != 1 || booked[0].SplitPolicy != "several@r7" {
			t.Fatalf("booked %+v, %v", booked, err)
		}
		var lines []string
		for _, posting := range booked[0].Postings {
			lines = append(lines, fmt.Sprintf("%s %s %d", posting.Purpose, posting.OwnerID, posting.Amount.Minor))
		}
		if got := strings.Join(lines, ", "); got != want {
			t.Errorf("%s: %s, want %s", creator, got, want)
		}
	}
}

func TestTiersGoByWhatTheCreatorHasEarned(t *testing.T) {
	h := open(t)
	all := func(kind split.Kind) []split.Share {
		return []split.Share{{Payee: split.Payee{Kind: kind}, PPM: 1_000_000}}
	}
	h.policies["volume"] = split.Policy{Name: "volume", Basis: split.ByVolume, Tiers: []split.Tier{
		{Shares: all(split.Creator)}, {From: split.Amounts{usd(150)}, Shares: all(split.Platform)},
	}}
	if _, err := h.TopUp(t.Context(), "main", "ann", "k", usd(1000)); err != nil {
		t.Fatal(err)
	}
	for _, order := range []string{"1", "2", "3"} {
		sale := cashier.Sale{
			TenantID: "main", XID: order, BranchID: "pay", OrderID: order, ViewerID: "ann", CreatorID: "eve",
			Price: usd(100), SplitPolicy: "volume",
		}
		if err := h.do(h.Hold(t.Context(), sale), h.Pay("main", "USD", order, "pay")); err != nil {
			t.Fatal(err)
		}
	}
	for owner, want := range map[string]int64{"eve": 200, "": 100} {
		purpose := map[string]ledger.Purpose{"eve": ledger.Earnings, "": ledger.Platform}[owner]
		account, _, err := h.store.Account(t.Context(), "main", owner, purpose, "USD")
		if err != nil || account.Balance.CreditsPosted != usd(want) {
			t.Errorf("%s has %v, %v, want %d", purpose, account.Balance, err, want)
		}
	}
}

func TestResumeEndsWithItsContext(t *testing.T) {
	h := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Resume(ctx); err != nil {
		t.Error(err)
	}
}
