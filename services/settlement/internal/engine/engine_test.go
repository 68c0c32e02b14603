package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
	backlotsql "github.com/backlot-video/backlot/sql"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 123_456_789, time.UTC)

var settlementMigrations = backlotsql.Migrations("settlement")

// fixture is an engine under test and what it has told.
type fixture struct {
	*engine.Engine
	*store.Store
	t    *testing.T
	db   *database.DB
	mu   sync.Mutex
	now  time.Time
	told []string
}

func suite(t *testing.T, test func(f *fixture)) {
	databasetest.Each(t, "settlement", func(t *testing.T, db *database.DB) {
		f := &fixture{t: t, db: db, Store: store.New(db), now: noon}
		f.Engine = f.engine(engine.Config{})
		test(f)
	})
}

// engine is one more engine on the fixture's database.
func (f *fixture) engine(cfg engine.Config) *engine.Engine {
	cfg.Clock = f.clock
	if cfg.Tell == nil {
		cfg.Tell = f.tell
	}
	e := engine.New(store.New(f.db).SortAfter(7, 2), cfg)
	f.t.Cleanup(e.Close)
	return e
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fixture) tell(_ context.Context, tenantID, currency string, _ time.Time, posted store.Posted) ([]store.Fact, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range posted.Transfers {
		if t.TenantID != tenantID || t.Currency != currency || t.State != ledger.Posted {
			return nil, fmt.Errorf("told of %+v", t)
		}
		f.told = append(f.told, t.ID)
	}
	return []store.Fact{{ID: posted.Transfers[len(posted.Transfers)-1].ID, Envelope: []byte("fact")}}, nil
}

func usd(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "USD"} }

func (f *fixture) one(tenantID string, request ledger.Request) (ledger.Transfer, error) {
	f.t.Helper()
	result := f.Book(f.t.Context(), tenantID, []ledger.Request{request})[0]
	return result.Transfer, result.Err
}

func (f *fixture) pend(draft ledger.Draft, key string) (t ledger.Transfer, err error) {
	f.t.Helper()
	draft.IdempotencyKey = key
	return f.one(draft.TenantID, ledger.Request{Action: ledger.ActionPend, Draft: draft})
}

func (f *fixture) post(key string) (t ledger.Transfer, err error) {
	f.t.Helper()
	return f.one("main", ledger.Request{Action: ledger.ActionPost, Target: ledger.Target{IdempotencyKey: key}})
}

func (f *fixture) void(key string) error {
	f.t.Helper()
	_, err := f.one("main", ledger.Request{Action: ledger.ActionVoid, Target: ledger.Target{IdempotencyKey: key}})
	return err
}

func (f *fixture) fund(owner string, amount money.Amount, key string) {
	f.t.Helper()
	if _, err := f.pend(ledger.TopUpOf("main", owner, amount), key); err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.post(key); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) sale(viewer string, price money.Amount) ledger.Draft {
	f.t.Helper()
	parts, err := money.Split(price, []uint32{700_000, 200_000, 100_000})
	if err != nil {
		f.t.Fatal(err)
	}
	draft := ledger.Draft{
		TenantID: "main", Currency: price.Currency, Type: ledger.Sale, Reference: "order", XID: "xid", SplitPolicy: "default",
		Lines: []ledger.Line{{Purpose: ledger.Wallet, OwnerID: viewer, Side: ledger.Debit, Amount: price}},
	}
	for i, line := range []ledger.Line{{Purpose: ledger.Earnings, OwnerID: "eve"}, {Purpose: ledger.Platform}, {Purpose: ledger.Tax}} {
		if line.Side, line.Amount = ledger.Credit, parts[i]; !line.Amount.IsZero() {
			draft.Lines = append(draft.Lines, line)
		}
	}
	return draft
}

func (f *fixture) available(owner string, purpose ledger.Purpose, currency string) int64 {
	f.t.Helper()
	account, found, err := f.Account(f.t.Context(), "main", owner, purpose, currency)
	if err != nil || !found {
		f.t.Fatalf("account %s of %q: %v, %v", purpose, owner, found, err)
	}
	amount, err := account.Available()
	if err != nil {
		f.t.Fatal(err)
	}
	return amount.Minor
}

// verified fails the test unless the ledgers verify.
func (f *fixture) verified() store.Report {
	f.t.Helper()
	report, err := f.Verify(f.t.Context(), "main")
	if err != nil || len(report.Faults) > 0 {
		f.t.Fatalf("verify: %v, %s", err, strings.Join(report.Faults, "; "))
	}
	return report
}

func TestSaleIsHeldPostedAndReadBack(t *testing.T) {
	suite(t, func(f *fixture) {
		f.fund("ann", usd(1000), "top")
		held, err := f.pend(f.sale("ann", usd(499)), "sale")
		if err != nil {
			f.t.Fatal(err)
		}
		if got := f.available("ann", ledger.Wallet, "USD"); got != 501 {
			f.t.Errorf("%d may be spent, want 501", got)
		}
		posted, err := f.post("sale")
		if err != nil {
			f.t.Fatal(err)
		}
		got, err := f.Transfer(f.t.Context(), "main", held.ID)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(posted) {
			f.t.Errorf("read back as %+v, %v, want %+v", got, err, posted)
		}
		if got.Sequence != 2 || got.State != ledger.Posted || got.Reference != "order" || len(got.Postings) != 4 {
			f.t.Errorf("posted as %+v", got)
		}
		for purpose, want := range map[ledger.Purpose]int64{ledger.Platform: 100, ledger.Tax: 50} {
			if got := f.available("", purpose, "USD"); got != want {
				f.t.Errorf("%s got %d, want %d", purpose, got, want)
			}
		}
		if got := f.available("eve", ledger.Earnings, "USD"); got != 349 {
			f.t.Errorf("earnings %d, want 349", got)
		}
		if report := f.verified(); report.Transfers != 2 || report.Heads[0].Hash != posted.Hash || report.Heads[0].Sequence != 2 {
			f.t.Errorf("verified as %+v", report)
		}
		if len(f.told) != 2 || f.told[1] != posted.ID {
			f.t.Errorf("told of %v", f.told)
		}
	})
}

func TestRefusedTransferLeavesNothing(t *testing.T) {
	suite(t, func(f *fixture) {
		if _, err := f.pend(f.sale("ann", usd(5)), "sale"); !errors.Is(err, ledger.ErrInsufficientFunds) {
			f.t.Fatalf("got %v, want ErrInsufficientFunds", err)
		}
		accounts, err := f.Accounts(f.t.Context(), "main", "", store.Page{Limit: 10})
		if err != nil || len(accounts) != 0 {
			f.t.Errorf("left accounts %v, %v", accounts, err)
		}
		transfers, err := f.Transfers(f.t.Context(), "main", "", store.Page{Limit: 10})
		if err != nil || len(transfers) != 0 {
			f.t.Errorf("left transfers %v, %v", transfers, err)
		}
		if _, err := f.Transfer(f.t.Context(), "main", "none"); !errors.Is(err, store.ErrNotFound) {
			f.t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

func TestTransferEndsOnceAndKeysAreTakenOnce(t *testing.T) {
	suite(t, func(f *fixture) {
		f.fund("ann", usd(100), "top")
		if again, err := f.post("top"); err != nil || again.State != ledger.Posted {
			f.t.Errorf("posted again: %v, %v", again.State, err)
		}
		if err := f.void("top"); !errors.Is(err, ledger.ErrState) {
			f.t.Errorf("voided after it was posted: %v", err)
		}
		if _, err := f.post("none"); !errors.Is(err, store.ErrNotFound) {
			f.t.Errorf("got %v, want ErrNotFound", err)
		}
		if _, err := f.pend(f.sale("ann", usd(5)), "top"); !errors.Is(err, ledger.ErrConflict) {
			f.t.Errorf("an idempotency key was taken twice: %v", err)
		}
		if _, err := f.pend(f.sale("ann", usd(100)), "sale"); err != nil {
			f.t.Fatal(err)
		}
		if err := f.void("sale"); err != nil {
			f.t.Fatal(err)
		}
		if got := f.available("ann", ledger.Wallet, "USD"); got != 100 {
			f.t.Errorf("%d after void, want 100", got)
		}
		f.verified()
	})
}

// TestConcurrentWritersKeepTheBooks also shows that nobody spends twice: there
// is money for half of the sales.
func TestConcurrentWritersKeepTheBooks(t *testing.T) {
	suite(t, func(f *fixture) {
		const writers, rounds = 6, 4
		f.fund("ann", usd(writers*rounds*10/2), "top")
		var all sync.WaitGroup
		var mu sync.Mutex
		sold := 0
		for w := range writers {
			all.Go(func() {
				for r := range rounds {
					key := fmt.Sprintf("%d/%d", w, r)
					_, err := f.pend(f.sale("ann", usd(10)), key)
					if err == nil {
						_, err = f.post(key)
						mu.Lock()
						sold++
						mu.Unlock()
					}
					if err != nil && !errors.Is(err, ledger.ErrInsufficientFunds) {
						f.t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if sold != writers*rounds/2 || f.available("ann", ledger.Wallet, "USD") != 0 {
			f.t.Errorf("sold %d, left %d", sold, f.available("ann", ledger.Wallet, "USD"))
		}
		f.verified()
	})
}

func TestLedgersOfCurrenciesAndTenantsAreApart(t *testing.T) {
	suite(t, func(f *fixture) {
		f.fund("ann", usd(100), "dollars")
		f.fund("ann", money.Amount{Minor: 900, Currency: "JPY"}, "yen")
		foreign := ledger.TopUpOf("other", "ann", usd(7))
		if _, err := f.pend(foreign, "dollars"); err != nil {
			f.t.Errorf("another tenant's key: %v", err)
		}
		report := f.verified()
		if len(report.Heads) != 2 || report.Heads[0].Currency != "JPY" || report.Heads[0].Sequence != 1 || report.Heads[1].Sequence != 1 {
			f.t.Errorf("heads %+v", report.Heads)
		}
		if f.available("ann", ledger.Wallet, "JPY") != 900 || f.available("ann", ledger.Wallet, "USD") != 100 {
			f.t.Error("currencies are mixed")
		}
	})
}

func TestListsPage(t *testing.T) {
	suite(t, func(f *fixture) {
		for i := range 5 {
			f.fund(fmt.Sprint("viewer", i%2), usd(1), strconv.Itoa(i))
		}
		open, err := f.pend(ledger.TopUpOf("main", "viewer0", usd(5)), "open")
		if err != nil {
			f.t.Fatal(err)
		}
		var seen []string
		for after := ""; ; {
			page, err := f.Transfers(f.t.Context(), "main", "", store.Page{After: after, Limit: 4})
			if err != nil {
				f.t.Fatal(err)
			}
			for _, t := range page {
				seen, after = append(seen, t.IdempotencyKey), t.ID
			}
			if len(page) < 4 {
				break
			}
		}
		if fmt.Sprint(seen) != "[0 1 2 3 4 open]" {
			f.t.Errorf("transfers %v", seen)
		}
		pending, err := f.PendingOf(f.t.Context(), ledger.TopUp, store.Page{Limit: 10})
		if err != nil || len(pending) != 1 || pending[0].ID != open.ID || len(pending[0].Postings) != 2 {
			f.t.Errorf("pending %v, %v", pending, err)
		}
		mine, err := f.Accounts(f.t.Context(), "main", "viewer0", store.Page{Limit: 10})
		if err != nil || len(mine) != 1 || mine[0].Balance.CreditsPending != usd(5) || mine[0].Balance.CreditsPosted != usd(3) {
			f.t.Errorf("accounts %v, %v", mine, err)
		}
		f.verified()
	})
}

func TestVerifyFindsChangedRows(t *testing.T) {
	suite(t, func(f *fixture) {
		f.fund("ann", usd(100), "top")
		for i := 0; f.sortedTo() == 0; i++ { // what comes after it is left
			f.fund("ann", usd(7), fmt.Sprint("more", i))
		}
		if _, err := f.pend(f.sale("ann", usd(40)), "sale"); err != nil {
			f.t.Fatal(err)
		}
		f.verified()
		f.execute("CREATE TABLE kept AS SELECT account, lines FROM runs")
		for _, change := range []struct{ do, undo string }{
			{"UPDATE transfers SET postings = replace(postings, 'd100', 'd101') WHERE sequence = 1", "UPDATE transfers SET postings = replace(postings, 'd101', 'd100')"},
			{"UPDATE transfers SET postings = replace(postings, 'd40', 'd41')", "UPDATE transfers SET postings = replace(postings, 'd41', 'd40')"},
			{"UPDATE balances SET credits_pending = credits_pending + 1", "UPDATE balances SET credits_pending = credits_pending - 1"},
			{"UPDATE transfers SET reference = 'changed' WHERE sequence = 1", "UPDATE transfers SET reference = '' WHERE sequence = 1"},
			{"UPDATE ledgers SET sequence = sequence + 4", "UPDATE ledgers SET sequence = sequence - 4"},
			{"UPDATE runs SET debits = debits + 1", "UPDATE runs SET debits = debits - 1"},
			{"UPDATE runs SET at = 1", "UPDATE runs SET at = (SELECT ended_at FROM transfers WHERE transfers.sequence = runs.sequence)"},
			{"UPDATE runs SET lines = NULL", "UPDATE runs SET lines = (SELECT kept.lines FROM kept WHERE kept.account = runs.account)"},
			{"UPDATE runs SET lines = hash FROM ledgers", "UPDATE runs SET lines = (SELECT kept.lines FROM kept WHERE kept.account = runs.account)"},
			{"UPDATE moves SET first = first + 1", "UPDATE moves SET first = first - 1"},
		} {
			f.execute(change.do)
			report, err := f.Verify(f.t.Context(), "main")
			if err != nil || len(report.Faults) == 0 {
				f.t.Errorf("not found: %s, %v", change.do, err)
			}
			f.execute(change.undo)
			f.verified()
		}
	})
}

func (f *fixture) execute(statement string) {
	f.t.Helper()
	err := f.db.Write(f.t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}
