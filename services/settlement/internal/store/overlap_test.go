package store_test

import (
	"context"
	"errors"
	"strings"
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

var errBack = errors.New("take it back")

// draftOf is a top-up of ann.
func draftOf(key string, minor int64) ledger.Request {
	amount := money.Amount{Minor: minor, Currency: usd}
	return ledger.Request{Action: ledger.ActionBook, Draft: ledger.Draft{
		TenantID: "main", Currency: usd, Type: ledger.TopUp, IdempotencyKey: key, Lines: []ledger.Line{
			{Purpose: ledger.Clearing, Side: ledger.Debit, Amount: amount}, {Purpose: ledger.Wallet, OwnerID: "ann", Side: ledger.Credit, Amount: amount},
		},
	}}
}

// aheadBatch is a batch of one transfer on top of what is stored.
func aheadBatch(t *testing.T, s *store.Store, key, id string) *store.Batch {
	t.Helper()
	var l store.Ledger
	err := s.Write(t.Context(), func(ctx context.Context, session *store.Session) (err error) {
		if l, err = session.Lock(ctx, "main", usd); err != nil {
			return err
		}
		return errBack
	})
	if !errors.Is(err, errBack) {
		t.Fatal(err)
	}
	accounts, err := s.Accounts(t.Context(), "main", "", store.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	book := ledger.NewBook(l.Head, accounts...)
	book.Continue(l.Head, l.LastAccount, func() string { return id })
	at := l.UpdatedAt.Add(time.Second)
	if result := book.Apply([]ledger.Request{draftOf(key, 5)}, at)[0]; result.Err != nil {
		t.Fatal(result.Err)
	}
	changes := book.Changes().Detached()
	return store.NewBatch(s.After(l, changes, at), book, changes)
}

func TestBatchWrittenAheadKeepsItsTurn(t *testing.T) {
	databasetest.Each(t, "settlement", func(t *testing.T, db *database.DB) {
		s := store.New(db)
		e := engine.New(s, engine.Config{})
		defer e.Close()
		if result := e.Book(t.Context(), "main", []ledger.Request{draftOf("first", 100)})[0]; result.Err != nil {
			t.Fatal(result.Err)
		}
		inTurn, held := func() error { return nil }, 0
		write := func(b *store.Batch, await func() error) (bool, error) {
			return s.WriteAhead(t.Context(), b, nil, store.Turn{Await: await, Held: func() { held++ }})
		}
		b := aheadBatch(t, s, "ahead", "7fffffff-0000-7000-8000-000000000001")
		if _, err := write(b, func() error { return errBack }); !errors.Is(err, errBack) {
			t.Errorf("the one before failed: %v", err)
		}
		if _, err := s.Find(t.Context(), "main", "ahead"); !errors.Is(err, store.ErrNotFound) || held != 0 {
			t.Errorf("it was written all the same: %v, held %d times", err, held)
		}
		if db.Dialect() == database.PostgreSQL { // who has the ledger may wait for the batch's rows
			err := s.Write(t.Context(), func(ctx context.Context, session *store.Session) error {
				if _, err := session.Lock(ctx, "main", usd); err != nil {
					return err
				}
				_, err := write(b, inTurn)
				return err
			})
			if !errors.Is(err, store.ErrMoved) {
				t.Errorf("another one has the ledger: %v", err)
			}
		}
		held = 0
		late := aheadBatch(t, s, "late", "7fffffff-0000-7000-8000-000000000002")
		taken := aheadBatch(t, s, "first", "7fffffff-0000-7000-8000-000000000003")
		if fresh, err := write(taken, inTurn); fresh || err != nil {
			t.Errorf("its key is taken: %v, %v", fresh, err)
		}
		if fresh, err := write(b, inTurn); !fresh || err != nil {
			t.Errorf("in its turn: %v, %v", fresh, err)
		}
		if held != 1 {
			t.Errorf("held %d times", held)
		}
		if fresh, err := write(late, inTurn); fresh || err != nil && !errors.Is(err, store.ErrMoved) {
			t.Errorf("another has gone on: %v, %v", fresh, err)
		}
		report, err := s.Verify(t.Context(), "main")
		if err != nil || len(report.Faults) > 0 || report.Transfers != 2 {
			t.Errorf("verified as %+v, %v", report, err)
		}
	})
}

// A newer release takes away a column that older processes would write: those
// that still run book nothing, and say what is to be done.
func TestOlderProcessIsToldToBeUpgraded(t *testing.T) {
	db := databasetest.Open(t, databasetest.Config(t, database.PostgreSQL, "settlement"), backlotsql.Migrations("settlement"))
	s := store.New(db)
	e := engine.New(s, engine.Config{})
	defer e.Close()
	if result := e.Book(t.Context(), "main", []ledger.Request{draftOf("first", 100)})[0]; result.Err != nil {
		t.Fatal(result.Err)
	}
	ahead := aheadBatch(t, s, "ahead", "7fffffff-0000-7000-8000-000000000001")
	rename := func(from, to string) {
		t.Helper()
		if _, err := db.Read().ExecContext(t.Context(), "ALTER TABLE ledgers RENAME COLUMN "+from+" TO "+to); err != nil {
			t.Fatal(err)
		}
	}
	rename("unsorted_moves", "of_a_newer_release")
	errs := map[string]error{"booking": e.Book(t.Context(), "main", []ledger.Request{draftOf("second", 100)})[0].Err}
	_, errs["ahead"] = s.WriteAhead(t.Context(), ahead, nil, store.Turn{Await: func() error { return nil }, Held: func() {}})
	for how, err := range errs {
		if !errors.Is(err, database.ErrNewer) || !strings.Contains(err.Error(), "upgrade this program") {
			t.Errorf("%s: %v", how, err)
		}
	}
	rename("of_a_newer_release", "unsorted_moves")
	report, err := s.Verify(t.Context(), "main")
	if err != nil || len(report.Faults) > 0 || report.Transfers != 1 {
		t.Errorf("verified as %+v, %v", report, err)
	}
}
