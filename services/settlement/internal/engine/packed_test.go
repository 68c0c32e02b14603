package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/statement"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// of sets the reference of a payment.
func of(reference string, r ledger.Request) ledger.Request {
	r.Draft.Reference = reference
	return r
}

// book books transfers of every kind, in batches of several and of one, and
// returns them in the order of their ids.
func (f *fixture) book() (all []ledger.Transfer) {
	f.t.Helper()
	f.purses()
	euros := f.Open(f.t.Context(), "main", []ledger.AccountSpec{
		{ID: "quelle", Purpose: "source", Currency: "EUR", NormalSide: ledger.Debit, Overdraft: true},
		{ID: "euros", Purpose: "purse", OwnerID: "a", Currency: "EUR", NormalSide: ledger.Credit},
	})
	for _, r := range euros {
		if r.Err != nil {
			f.t.Fatal(r.Err)
		}
	}
	batch := func(requests ...ledger.Request) {
		f.t.Helper()
		f.pass(time.Second)
		for _, r := range f.must(requests...) {
			if r.Transfer.ID != "" {
				all = append(all, r.Transfer)
			}
		}
	}
	for i := range 3 {
		key := func(name string) string { return fmt.Sprint(name, i) }
		euro := pay(ledger.ActionBook, key("euro"), "quelle", "euros", 5)
		euro.Draft.Currency = "EUR"
		for j := range euro.Draft.Lines {
			euro.Draft.Lines[j].Amount.Currency = "EUR"
		}
		batch(
			of("order", pay(ledger.ActionBook, key("first"), "source", "a", 100)),
			pay(ledger.ActionPend, key("held"), "a", "b", 10),
			pay(ledger.ActionBook, key("second"), "a", "b", 20),
			of("order", pay(ledger.ActionBook, key("third"), "a", "c", 30)),
		)
		batch(linked(of("order", pay(ledger.ActionBook, key("left"), "b", "c", 1)), pay(ledger.ActionBook, key("right"), "c", "b", 1))...)
		batch(euro)
		if i != 1 {
			f.pass(time.Second)
			f.must(end([]ledger.Action{ledger.ActionPost, 0, ledger.ActionVoid}[i], key("held")))
		}
	}
	for i := range all {
		stored, err := f.Transfer(f.t.Context(), "main", all[i].ID)
		if err != nil || stored.IdempotencyKey != all[i].IdempotencyKey || all[i].State == ledger.Posted && stored.Hash != all[i].Hash {
			f.t.Fatalf("%+v is stored as %+v, %v", all[i], stored, err)
		}
		all[i] = stored
	}
	slices.SortFunc(all, func(a, b ledger.Transfer) int { return slices.Compare([]string{a.ID}, []string{b.ID}) })
	return all
}

func names(list []ledger.Transfer) (keys []string) {
	for _, t := range list {
		keys = append(keys, t.IdempotencyKey)
	}
	return keys
}

// pages reads a list in pages of so many.
func (f *fixture) pages(limit int, read func(page store.Page) ([]ledger.Transfer, error)) (all []ledger.Transfer) {
	f.t.Helper()
	for page := (store.Page{Limit: limit}); ; {
		list, err := read(page)
		if err != nil || len(list) > limit {
			f.t.Fatalf("page of %d: %v", len(list), err)
		}
		if all = append(all, list...); len(list) < limit {
			return all
		}
		page.After = list[limit-1].ID
	}
}

func TestPackedTransfersAndRowsAreOneList(t *testing.T) {
	suite(t, func(f *fixture) {
		all := f.book()
		var referenced, payments []ledger.Transfer
		from, to := all[3].CreatedAt, all[12].CreatedAt
		for _, t := range all {
			if t.Reference == "order" {
				referenced = append(referenced, t)
			}
			if !t.CreatedAt.Before(from) && t.CreatedAt.Before(to) {
				payments = append(payments, t)
			}
			byKey, err := f.Find(f.t.Context(), "main", t.IdempotencyKey)
			if err != nil || fmt.Sprint(byKey) != fmt.Sprint(t) {
				f.t.Errorf("by its key %+v is %+v, %v", t, byKey, err)
			}
		}
		for _, limit := range []int{1, 2, 3, 5, 100} {
			for _, list := range []struct {
				what string
				want []ledger.Transfer
				read func(page store.Page) ([]ledger.Transfer, error)
			}{
				{"all", all, func(page store.Page) ([]ledger.Transfer, error) { return f.Transfers(f.t.Context(), "main", "", page) }},
				{"of a reference", referenced, func(page store.Page) ([]ledger.Transfer, error) {
					return f.Transfers(f.t.Context(), "main", "order", page)
				}},
				{"of a time", payments, func(page store.Page) ([]ledger.Transfer, error) {
					return f.Payments(f.t.Context(), "main", "payment", "other", from, to, page)
				}},
				{"of another type", nil, func(page store.Page) ([]ledger.Transfer, error) {
					return f.Payments(f.t.Context(), "main", "sale", "other", from, to, page)
				}},
				{"of another tenant", nil, func(page store.Page) ([]ledger.Transfer, error) { return f.Transfers(f.t.Context(), "other", "", page) }},
			} {
				if got := f.pages(limit, list.read); fmt.Sprint(got) != fmt.Sprint(list.want) {
					f.t.Errorf("%s, %d at a time: %v, want %v", list.what, limit, names(got), names(list.want))
				}
			}
		}
		f.stated(all)
		f.verified()
	})
}

// stated looks for all that was posted to account a in its statement.
func (f *fixture) stated(all []ledger.Transfer) {
	f.t.Helper()
	account, err := f.AccountByID(f.t.Context(), "main", "a")
	if err != nil {
		f.t.Fatal(err)
	}
	var want []string
	for _, t := range all {
		for _, p := range t.Postings {
			if p.AccountID == "a" && t.State == ledger.Posted && t.IdempotencyKey != "held0" {
				want = append(want, t.ID+t.Reference)
			}
		}
	}
	s, err := f.Statement(f.t.Context(), account, noon, f.clock().Add(time.Hour), statement.Place{}, 100)
	if err != nil {
		f.t.Fatal(err)
	}
	var got []string
	for _, line := range s.Lines {
		if t, err := f.Transfer(f.t.Context(), "main", line.TransferID); err != nil || t.IdempotencyKey != "held0" {
			got = append(got, line.TransferID+line.Reference)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		f.t.Errorf("the statement has %v, want %v", got, want)
	}
}

func TestKeysAreTakenOnceWhereverTheirTransfersAre(t *testing.T) {
	suite(t, func(f *fixture) {
		for _, t := range f.book() {
			if t.Currency != "USD" || t.ChainID != "" {
				continue
			}
			action := ledger.ActionBook
			if t.Pended {
				action = ledger.ActionPend
			}
			again := of(t.Reference, pay(action, t.IdempotencyKey, t.Postings[0].AccountID, t.Postings[1].AccountID, t.Postings[0].Amount.Minor))
			for name, e := range map[string]*engine.Engine{"this": f.Engine, "another": f.engine(engine.Config{})} {
				if r := e.Book(f.t.Context(), "main", []ledger.Request{again})[0]; r.Err != nil || !r.Repeated || r.Transfer.ID != t.ID {
					f.t.Errorf("%s is repeated at %s engine as %+v", t.IdempotencyKey, name, r)
				}
				for _, other := range []ledger.Action{ledger.ActionBook, ledger.ActionPend} {
					differs := pay(other, t.IdempotencyKey, "source", "d", 1)
					if r := e.Book(f.t.Context(), "main", []ledger.Request{differs})[0]; !errors.Is(r.Err, ledger.ErrConflict) {
						f.t.Errorf("%s was taken, at %s engine it is %+v", t.IdempotencyKey, name, r)
					}
				}
				target := ledger.Request{Action: ledger.ActionVoid, Target: ledger.Target{ID: t.ID}}
				if t.State == ledger.Posted {
					if r := e.Book(f.t.Context(), "main", []ledger.Request{target})[0]; !errors.Is(r.Err, ledger.ErrState) {
						f.t.Errorf("%s is posted, void gives %+v", t.IdempotencyKey, r)
					}
				}
			}
		}
		f.verified()
	})
}

// TestWriterWhoseClockIsBehindGoesOnWithIds books at two engines in turn: a
// block is found by the order of ids.
func TestWriterWhoseClockIsBehindGoesOnWithIDs(t *testing.T) {
	suite(t, func(f *fixture) {
		f.purses()
		behind := engine.New(f.Store, engine.Config{Clock: func() time.Time { return noon.Add(-time.Hour) }})
		f.t.Cleanup(behind.Close)
		for i := range 6 {
			e := []*engine.Engine{f.Engine, behind}[i%2]
			for _, r := range e.Book(f.t.Context(), "main", []ledger.Request{pay(ledger.ActionBook, fmt.Sprint(i), "source", "a", 1)}) {
				if r.Err != nil {
					f.t.Fatal(r.Err)
				}
				if _, err := f.Transfer(f.t.Context(), "main", r.Transfer.ID); err != nil {
					f.t.Error(err)
				}
			}
		}
		list, err := f.Transfers(f.t.Context(), "main", "", store.Page{Limit: 10})
		if err != nil || fmt.Sprint(names(list)) != "[0 1 2 3 4 5]" {
			f.t.Errorf("listed as %v, %v", names(list), err)
		}
		f.verified()
	})
}

func TestVerifyFindsChangedBlocksAndKeys(t *testing.T) {
	suite(t, func(f *fixture) {
		f.book()
		f.verified()
		for _, table := range []string{"blocks", "keys"} {
			f.execute("CREATE TABLE kept_" + table + " AS SELECT * FROM " + table)
		}
		for _, do := range []string{
			"DELETE FROM blocks WHERE sequence = 3",
			"DELETE FROM blocks",
			"UPDATE blocks SET at = at + 1 WHERE sequence = 3",
			"UPDATE blocks SET last_id = 'x' WHERE sequence = 3",
			"UPDATE blocks SET sequence = 77 WHERE sequence = 3",
			"UPDATE blocks SET transfers = (SELECT hash FROM ledgers WHERE currency = 'USD') WHERE sequence = 3",
			"DELETE FROM keys WHERE idempotency_key = 'first0'",
			"DELETE FROM keys WHERE idempotency_key = 'held1'",
			"UPDATE keys SET sequence = 2 WHERE idempotency_key = 'first0'",
			"UPDATE keys SET sequence = 0 WHERE idempotency_key = 'first0'",
			"UPDATE keys SET idempotency_key = 'other' WHERE idempotency_key = 'first0'",
			"UPDATE keys SET ledger = 7 WHERE idempotency_key = 'first0'",
		} {
			f.execute(do)
			report, err := f.Verify(f.t.Context(), "main")
			if err != nil || len(report.Faults) == 0 {
				f.t.Errorf("not found: %s, %v", do, err)
			}
			for _, table := range []string{"blocks", "keys"} {
				f.execute("DELETE FROM " + table)
				f.execute("INSERT INTO " + table + " SELECT * FROM kept_" + table)
			}
			f.verified()
		}
	})
}

// TestVerifyFindsEachChangedByteOfABlock has a ledger of one block and little
// else, which is quick to verify.
func TestVerifyFindsEachChangedByteOfABlock(t *testing.T) {
	suite(t, func(f *fixture) {
		f.Open(f.t.Context(), "main", []ledger.AccountSpec{
			{ID: "source", Purpose: "source", Currency: "USD", NormalSide: ledger.Debit, Overdraft: true},
			{ID: "a", Purpose: "purse", OwnerID: "a", Currency: "USD", NormalSide: ledger.Credit},
		})
		f.must(pay(ledger.ActionBook, "first", "source", "a", 20), of("order", pay(ledger.ActionBook, "second", "source", "a", 30)))
		f.verified()
		var block []byte
		if err := f.db.Read().QueryRowContext(f.t.Context(), "SELECT transfers FROM blocks").Scan(&block); err != nil {
			f.t.Fatal(err)
		}
		for i := range block {
			changed := slices.Clone(block)
			changed[i] ^= 1
			f.pack(changed)
			if report, err := f.Verify(f.t.Context(), "main"); err != nil || len(report.Faults) == 0 {
				f.t.Errorf("not found: byte %d of %d, %v", i, len(block), err)
			}
		}
		f.pack(block)
		f.verified()
	})
}

// pack overwrites what is in the only block.
func (f *fixture) pack(transfers []byte) {
	f.t.Helper()
	err := f.db.Write(f.t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE blocks SET transfers = $1", transfers)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}
