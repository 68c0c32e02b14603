package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
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
)

// enginesConfig varies what must not matter.
func enginesConfig(n int) engine.Config {
	return []engine.Config{{}, {AccountLimit: 1}, {BatchLimit: 1}}[n]
}

// purses opens the accounts source (may be overdrawn), a, b, c and d.
func (f *fixture) purses() {
	f.t.Helper()
	specs := []ledger.AccountSpec{{ID: "source", Purpose: "source", Currency: "USD", NormalSide: ledger.Debit, Overdraft: true}}
	for _, id := range []string{"a", "b", "c", "d"} {
		specs = append(specs, ledger.AccountSpec{ID: id, Purpose: "purse", OwnerID: id, Currency: "USD", NormalSide: ledger.Credit})
	}
	for range 2 {
		for i, r := range f.Open(f.t.Context(), "main", specs) {
			if r.Err != nil || r.Account.ID != specs[i].ID {
				f.t.Fatalf("open: %+v", r)
			}
		}
	}
}

func pay(action ledger.Action, key, from, to string, minor int64) ledger.Request {
	return ledger.Request{Action: action, Draft: ledger.Draft{
		TenantID: "main", Currency: "USD", Type: "payment", IdempotencyKey: key,
		Lines: []ledger.Line{{AccountID: from, Side: ledger.Debit, Amount: usd(minor)}, {AccountID: to, Side: ledger.Credit, Amount: usd(minor)}},
	}}
}

func end(action ledger.Action, key string) ledger.Request {
	return ledger.Request{Action: action, Target: ledger.Target{IdempotencyKey: key}}
}

func linked(requests ...ledger.Request) []ledger.Request {
	for i := range requests[:len(requests)-1] {
		requests[i].Linked = true
	}
	return requests
}

func (f *fixture) must(requests ...ledger.Request) []ledger.Result {
	f.t.Helper()
	results := f.Book(f.t.Context(), "main", requests)
	for i, r := range results {
		if r.Err != nil {
			f.t.Fatalf("request %d: %v", i, r.Err)
		}
	}
	return results
}

func TestBadRequestsNameTheirFieldAndWriteNothing(t *testing.T) {
	suite(t, func(f *fixture) {
		f.purses()
		f.must(pay(ledger.ActionBook, "fund", "source", "a", 100))
		euros := f.Open(f.t.Context(), "main", []ledger.AccountSpec{{ID: "euros", Purpose: "purse", OwnerID: "a", Currency: "EUR", NormalSide: ledger.Credit}})
		frozen, err := f.SetAccountState(f.t.Context(), "main", "d", ledger.Frozen)
		if euros[0].Err != nil || err != nil || frozen.State != ledger.Frozen {
			f.t.Fatal(euros[0].Err, err)
		}
		change := func(fn func(d *ledger.Draft)) ledger.Request {
			r := pay(ledger.ActionBook, "bad", "a", "b", 5)
			fn(&r.Draft)
			return r
		}
		long := strings.Repeat("x", ledger.MaxText+1)
		cases := []struct {
			request ledger.Request
			field   string
			err     error
		}{
			{pay(ledger.ActionBook, "bad", "nobody", "b", 5), "postings[0].account", ledger.ErrUnknownAccount},
			{pay(ledger.ActionBook, "bad", "a", "euros", 5), "postings[1].amount", money.ErrCurrency},
			{pay(ledger.ActionBook, "bad", "a", "b", 0), "postings[0].amount", ledger.ErrAmount},
			{pay(ledger.ActionBook, "bad", "a", "b", -5), "postings[0].amount", ledger.ErrAmount},
			{pay(ledger.ActionBook, "bad", "a", "a", 5), "postings[1].account", ledger.ErrSameAccount},
			{pay(ledger.ActionBook, "bad", "a", "b", 101), "postings[0].amount", ledger.ErrInsufficientFunds},
			{pay(ledger.ActionBook, "bad", "a", "d", 5), "postings[1].amount", ledger.ErrAccountState},
			{pay(ledger.ActionBook, "bad", "source", "a", math.MaxInt64), "postings[0].amount", money.ErrOverflow},
			{pay(ledger.ActionBook, "fund", "source", "a", 101), "idempotency_key", ledger.ErrConflict},
			{pay(ledger.ActionPend, "fund", "source", "a", 100), "idempotency_key", ledger.ErrConflict},
			{change(func(d *ledger.Draft) { d.Lines[1].Amount.Minor = 4 }), "postings", ledger.ErrUnbalanced},
			{change(func(d *ledger.Draft) { d.Lines[1].Amount.Currency = "EUR" }), "postings[1].amount", money.ErrCurrency},
			{change(func(d *ledger.Draft) { d.Lines = d.Lines[:1] }), "postings", ledger.ErrTransfer},
			{change(func(d *ledger.Draft) { d.Lines = make([]ledger.Line, ledger.MaxPostings+1) }), "postings", ledger.ErrTransfer},
			{change(func(d *ledger.Draft) { d.Lines[0].Side = 0 }), "postings[0].side", ledger.ErrTransfer},
			{change(func(d *ledger.Draft) { d.Lines[0].AccountID = "" }), "postings[0].account_id", ledger.ErrUnknownAccount},
			{change(func(d *ledger.Draft) { d.Currency = "XXX" }), "currency", money.ErrCurrency},
			{change(func(d *ledger.Draft) { d.IdempotencyKey = "" }), "idempotency_key", ledger.ErrTransfer},
			{change(func(d *ledger.Draft) { d.Reference = long }), "reference", ledger.ErrTransfer},
			{change(func(d *ledger.Draft) { d.XID = "a\x00b" }), "xid", ledger.ErrTransfer},
			{change(func(d *ledger.Draft) { d.Type = "\xff" }), "type", ledger.ErrTransfer},
			{change(func(d *ledger.Draft) { d.Timeout = time.Second }), "timeout", ledger.ErrTransfer},
			{change(func(d *ledger.Draft) { d.TenantID = "other" }), "tenant_id", ledger.ErrTransfer},
			{ledger.Request{Action: 9}, "action", ledger.ErrTransfer},
			{end(ledger.ActionPost, "none"), "target", ledger.ErrNotFound},
			{end(ledger.ActionVoid, "fund"), "target", ledger.ErrState},
			{ledger.Request{Action: ledger.ActionPost}, "target", ledger.ErrTransfer},
		}
		for i, c := range cases {
			for place, requests := range [][]ledger.Request{{c.request}, {pay(ledger.ActionBook, fmt.Sprint("good", i), "source", "c", 1), c.request}} {
				result := f.Book(f.t.Context(), "main", requests)[place]
				var field *ledger.FieldError
				want := fmt.Sprintf("transfers[%d].%s", place, c.field)
				if !errors.Is(result.Err, c.err) || !errors.As(result.Err, &field) || field.Field != want {
					f.t.Errorf("case %d: got %v, want %s: %v", i, result.Err, want, c.err)
				}
			}
		}
		if _, err := f.Find(f.t.Context(), "main", "bad"); !errors.Is(err, ledger.ErrNotFound) {
			f.t.Errorf("something was written: %v", err)
		}
		if report := f.verified(); report.Transfers != int64(1+len(cases)) {
			f.t.Errorf("%d transfers, want the good ones", report.Transfers)
		}
		for _, requests := range [][]ledger.Request{
			make([]ledger.Request, ledger.MaxRequests+1),
			linked(slicesRepeat(pay(ledger.ActionBook, "x", "a", "b", 1), ledger.MaxChain+1)...),
		} {
			if r := f.Book(f.t.Context(), "main", requests); !errors.Is(r[0].Err, ledger.ErrLimit) {
				f.t.Errorf("%d requests: %v", len(requests), r[0].Err)
			}
		}
	})
}

func slicesRepeat(r ledger.Request, n int) []ledger.Request {
	all := make([]ledger.Request, n)
	for i := range all {
		all[i] = r
	}
	return all
}

func TestChainIsAllOrNoneAndEndsTogether(t *testing.T) {
	suite(t, func(f *fixture) {
		f.purses()
		f.must(pay(ledger.ActionBook, "fund", "source", "a", 100))
		bad := f.Book(f.t.Context(), "main", linked(
			pay(ledger.ActionBook, "1", "a", "b", 60), pay(ledger.ActionBook, "2", "a", "c", 60), pay(ledger.ActionBook, "3", "b", "c", 1)))
		if !errors.Is(bad[0].Err, ledger.ErrLinked) || !errors.Is(bad[1].Err, ledger.ErrInsufficientFunds) || !errors.Is(bad[2].Err, ledger.ErrLinked) {
			f.t.Fatalf("got %v", bad)
		}
		chain := linked(pay(ledger.ActionPend, "1", "a", "b", 60), pay(ledger.ActionPend, "2", "a", "c", 40))
		first := f.must(chain...)
		again := f.must(chain...)
		if !again[0].Repeated || again[1].Transfer.ID != first[1].Transfer.ID || first[0].Transfer.ChainID != first[0].Transfer.ID {
			f.t.Errorf("again: %+v", again)
		}
		if r := f.Book(f.t.Context(), "main", chain[:1]); !errors.Is(r[0].Err, ledger.ErrTransfer) {
			f.t.Errorf("linked with nothing: %v", r[0].Err)
		}
		if r := f.Book(f.t.Context(), "main", []ledger.Request{pay(ledger.ActionPend, "2", "a", "c", 40)}); !errors.Is(r[0].Err, ledger.ErrConflict) {
			f.t.Errorf("alone, what was linked: %v", r[0].Err)
		}
		f.must(end(ledger.ActionPost, "2"))
		one, err := f.Find(f.t.Context(), "main", "1")
		if err != nil || one.State != ledger.Posted {
			f.t.Errorf("posting one of a chain left the other %v, %v", one.State, err)
		}
		// Less than was held: void and book, linked.
		f.must(pay(ledger.ActionPend, "hold", "b", "d", 50))
		f.must(linked(end(ledger.ActionVoid, "hold"), pay(ledger.ActionBook, "take", "b", "d", 20))...)
		if d, err := f.AccountByID(f.t.Context(), "main", "d"); err != nil || d.Balance.CreditsPosted != usd(20) || d.Balance.CreditsPending != usd(0) {
			f.t.Errorf("d has %v, %v", d.Balance, err)
		}
		f.must(pay(ledger.ActionPend, "same", "b", "d", 1), end(ledger.ActionPost, "same")) // in one call
		f.verified()
	})
}

func TestPendingTransferExpiresByItself(t *testing.T) {
	suite(t, func(f *fixture) {
		f.purses()
		f.must(pay(ledger.ActionBook, "fund", "source", "a", 100))
		hold := pay(ledger.ActionPend, "hold", "a", "b", 60)
		hold.Draft.Timeout = time.Minute
		late := pay(ledger.ActionPend, "late", "a", "b", 10)
		chain := linked(late, pay(ledger.ActionPend, "with", "a", "c", 5))
		chain[0].Draft.Timeout = 2 * time.Minute
		f.must(append([]ledger.Request{hold}, chain...)...)
		f.pass(time.Minute + time.Millisecond)
		if _, err := f.post("hold"); !errors.Is(err, ledger.ErrExpired) {
			f.t.Errorf("posted after its time: %v", err)
		}
		other := f.engine(engine.Config{}) // the process that booked it may be gone
		if n, err := other.Expire(f.t.Context()); err != nil || n != 1 {
			f.t.Errorf("expired %d, %v", n, err)
		}
		expired, err := f.Find(f.t.Context(), "main", "hold")
		if err != nil || !expired.Expired() {
			f.t.Errorf("it is %v, %v", expired.State, err)
		}
		if _, err := f.post("hold"); !errors.Is(err, ledger.ErrExpired) {
			f.t.Errorf("posted after it expired: %v", err)
		}
		f.pass(time.Minute)
		if n, err := f.Expire(f.t.Context()); err != nil || n != 1 {
			f.t.Errorf("expired %d, %v", n, err)
		}
		if with, err := f.Find(f.t.Context(), "main", "with"); err != nil || with.State != ledger.Voided {
			f.t.Errorf("the other of the chain is %v, %v", with.State, err)
		}
		if a, err := f.AccountByID(f.t.Context(), "main", "a"); err != nil || a.Held() != usd(0) {
			f.t.Errorf("%v is still held, %v", a.Held(), err)
		}
		if n, err := f.Expire(f.t.Context()); err != nil || n != 0 {
			f.t.Errorf("expired %d again, %v", n, err)
		}
		f.verified()
	})
}

// TestWritersOfTwoProcessesTakeTurns has two engines book at one ledger: each
// finds that the other has written, and nobody spends twice.
func TestWritersOfTwoProcessesTakeTurns(t *testing.T) {
	suite(t, func(f *fixture) {
		const clients, rounds = 8, 12
		f.purses()
		f.must(pay(ledger.ActionBook, "fund", "source", "a", clients*rounds/2))
		engines := []*engine.Engine{f.Engine, f.engine(engine.Config{})}
		var all sync.WaitGroup
		var mu sync.Mutex
		paid := 0
		for c := range clients {
			all.Go(func() {
				for r := range rounds {
					key := fmt.Sprintf("%d/%d", c, r)
					requests := []ledger.Request{pay(ledger.ActionBook, key, "a", "b", 1)}
					first := engines[c%2].Book(f.t.Context(), "main", requests)[0]
					second := engines[(c+r)%2].Book(f.t.Context(), "main", requests)[0] // a repeat, perhaps at the other
					if !errors.Is(first.Err, ledger.ErrInsufficientFunds) && first.Err != nil || (first.Err == nil) != second.Repeated {
						f.t.Errorf("got %v, then %v", first.Err, second)
					}
					if first.Err == nil {
						mu.Lock()
						paid++
						mu.Unlock()
					}
				}
			})
		}
		all.Wait()
		b, err := f.AccountByID(f.t.Context(), "main", "b")
		if err != nil || paid != clients*rounds/2 || b.Balance.CreditsPosted != usd(int64(paid)) {
			f.t.Errorf("%d were paid, b has %v, %v", paid, b.Balance, err)
		}
		f.verified()
	})
}

// TestBatchThatFailsLeavesNothing lets each write of a batch fail in turn.
func TestBatchThatFailsLeavesNothing(t *testing.T) {
	suite(t, func(f *fixture) {
		f.purses()
		f.must(pay(ledger.ActionBook, "fund", "source", "a", 1000), pay(ledger.ActionPend, "hold", "a", "b", 10))
		for _, table := range []string{"transfers", "accounts", "balances", "moves", "runs", "outbox", "ledgers"} {
			key := "through " + table
			requests := linked(pay(ledger.ActionBook, key, "a", "c", 5), ledger.Request{Action: ledger.ActionBook, Draft: ledger.Draft{
				TenantID: "main", Currency: "USD", Type: "payment", IdempotencyKey: key + " too",
				Lines: []ledger.Line{{AccountID: "a", Side: ledger.Debit, Amount: usd(1)}, {Purpose: ledger.Wallet, OwnerID: table, Side: ledger.Credit, Amount: usd(1)}},
			}})
			f.execute("ALTER TABLE " + table + " RENAME TO gone")
			for i, r := range f.Book(f.t.Context(), "main", requests) {
				if r.Err == nil {
					f.t.Errorf("%s: request %d was booked", table, i)
				}
			}
			f.execute("ALTER TABLE gone RENAME TO " + table)
			before := f.verified()
			if _, err := f.Find(f.t.Context(), "main", key); !errors.Is(err, ledger.ErrNotFound) {
				f.t.Errorf("%s: left %v", table, err)
			}
			if _, found, err := f.Account(f.t.Context(), "main", table, ledger.Wallet, "USD"); found || err != nil {
				f.t.Errorf("%s: left an account, %v", table, err)
			}
			f.must(requests...)
			for _, r := range f.engine(engine.Config{}).Book(f.t.Context(), "main", requests) { // the answer was lost, another process is asked
				if r.Err != nil || !r.Repeated {
					f.t.Errorf("%s: repeated as %+v", table, r)
				}
			}
			if after := f.verified(); after.Transfers != before.Transfers+2 {
				f.t.Errorf("%s: %d transfers after %d", table, after.Transfers, before.Transfers)
			}
		}
		undo := errors.New("undo")
		err := f.Engine.Write(f.t.Context(), "main", "USD", func(ctx context.Context, tx *engine.Tx) error {
			if _, err := tx.Post(ctx, "main", "hold"); err != nil {
				return err
			}
			return undo
		})
		if hold, fault := f.Find(f.t.Context(), "main", "hold"); !errors.Is(err, undo) || fault != nil || hold.State != ledger.Pending {
			f.t.Errorf("got %v, it is %v, %v", err, hold.State, fault)
		}
		f.verified()
	})
}

func TestFullQueueRefusesAndLeaversAreNotBooked(t *testing.T) {
	db := databasetest.Open(t, databasetest.Config(t, database.SQLite, "settlement"), settlementMigrations)
	f := &fixture{t: t, db: db, Store: store.New(db), now: noon}
	f.Engine = f.engine(engine.Config{QueueLimit: 2})
	f.purses()
	started, goOn := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		err := f.Engine.Write(t.Context(), "main", "USD", func(context.Context, *engine.Tx) error {
			close(started)
			<-goOn
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-started
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	all.Go(func() {
		left <- f.Book(ctx, "main", []ledger.Request{pay(ledger.ActionBook, "left", "source", "a", 1)})[0].Err
	})
	all.Go(func() {
		if r := f.Book(t.Context(), "main", []ledger.Request{pay(ledger.ActionBook, "stayed", "source", "a", 1)})[0]; r.Err != nil {
			t.Error(r.Err)
		}
	})
	for f.Load("main", "USD").Waiting != 2 {
		<-time.After(time.Millisecond)
	}
	if r := f.Book(t.Context(), "main", []ledger.Request{pay(ledger.ActionBook, "refused", "source", "a", 1)})[0]; !errors.Is(r.Err, ledger.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", r.Err)
	}
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	close(goOn)
	all.Wait()
	f.Close()
	for key, want := range map[string]error{"left": ledger.ErrNotFound, "refused": ledger.ErrNotFound, "stayed": nil} {
		if _, err := f.Find(t.Context(), "main", key); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", key, err, want)
		}
	}
	if r := f.Book(t.Context(), "main", []ledger.Request{pay(ledger.ActionBook, "after", "source", "a", 1)})[0]; !errors.Is(r.Err, engine.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", r.Err)
	}
}

func TestAccountsAreFrozenAndClosed(t *testing.T) {
	suite(t, func(f *fixture) {
		f.purses()
		f.must(pay(ledger.ActionBook, "fund", "source", "a", 10), pay(ledger.ActionPend, "hold", "a", "b", 4))
		state := func(id string, to ledger.AccountState) error {
			_, err := f.SetAccountState(f.t.Context(), "main", id, to)
			return err
		}
		if err := errors.Join(state("b", ledger.Frozen), state("c", ledger.Closed)); err != nil {
			f.t.Fatal(err)
		}
		f.must(end(ledger.ActionPost, "hold")) // what is pending may end
		for _, c := range []struct {
			id   string
			to   ledger.AccountState
			want error
		}{
			{"a", ledger.Closed, ledger.ErrNotEmpty},
			{"c", ledger.Open, ledger.ErrAccountState},
			{"none", ledger.Open, ledger.ErrUnknownAccount},
			{"a", 7, ledger.ErrAccount},
			{"b", ledger.Open, nil},
		} {
			if err := state(c.id, c.to); !errors.Is(err, c.want) {
				f.t.Errorf("%s to %v: got %v, want %v", c.id, c.to, err, c.want)
			}
		}
		if account, err := f.AccountByID(f.t.Context(), "main", "c"); err != nil || account.State != ledger.Closed {
			f.t.Errorf("c is %v, %v", account.State, err)
		}
		r := f.Open(f.t.Context(), "main", []ledger.AccountSpec{
			{ID: "a", Purpose: "purse", OwnerID: "a", Currency: "USD", NormalSide: ledger.Debit},  // it has another side
			{ID: "x", Purpose: "purse", OwnerID: "a", Currency: "USD", NormalSide: ledger.Credit}, // it has another id
			{Purpose: "purse", OwnerID: "y", Currency: "USD"},
			{Purpose: ledger.Wallet, OwnerID: "y", Currency: "USD", NormalSide: ledger.Debit},
			{Purpose: ledger.Wallet, Currency: "USD"},
			{Purpose: ledger.Wallet, OwnerID: "y", Currency: "USD"},
		})
		for i, want := range []error{ledger.ErrConflict, ledger.ErrConflict, ledger.ErrAccount, ledger.ErrAccount, ledger.ErrAccount, nil} {
			if !errors.Is(r[i].Err, want) || want != nil && !strings.HasPrefix(r[i].Err.Error(), fmt.Sprintf("accounts[%d].", i)) {
				f.t.Errorf("account %d: got %v, want %v", i, r[i].Err, want)
			}
		}
		f.verified()
	})
}
