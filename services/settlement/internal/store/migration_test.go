package store_test

import (
	"context"
	"database/sql"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
	backlotsql "github.com/backlot-video/backlot/sql"
)

// migrations are some of settlement's.
func migrations(t *testing.T, names ...string) fs.FS {
	t.Helper()
	all := backlotsql.Migrations("settlement")
	kept := fstest.MapFS{}
	for _, name := range names {
		text, err := fs.ReadFile(all, name)
		if err != nil {
			t.Fatal(err)
		}
		kept[name] = &fstest.MapFile{Data: text}
	}
	return kept
}

// TestLedgerOfTheFirstReleaseIsMigrated writes a ledger as the first release
// had it, whose clock once went back, and reads it as it is now.
func TestLedgerOfTheFirstReleaseIsMigrated(t *testing.T) {
	for _, dialect := range []database.Dialect{database.SQLite, database.PostgreSQL} {
		t.Run(string(dialect), func(t *testing.T) {
			cfg := databasetest.Config(t, dialect, "settlement")
			old, err := database.Open(t.Context(), cfg, migrations(t, "00001_kit.sql", "00100_settlement.sql"))
			if err != nil {
				t.Fatal(err)
			}
			last := writeOld(t, old)
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			s := store.New(databasetest.Open(t, cfg, backlotsql.Migrations("settlement")))
			report, err := s.Verify(t.Context(), "main")
			if err != nil || len(report.Faults) > 0 || report.Transfers != 4 || report.Heads[0].Head != last {
				t.Fatalf("verified as %+v, %v", report, err)
			}
			wallet, found, err := s.Account(t.Context(), "main", "ann", ledger.Wallet, "USD")
			if err != nil || !found || wallet.Balance.CreditsPosted.Minor != 600 || wallet.Balance.CreditsPending.Minor != 50 {
				t.Errorf("wallet %+v, %v", wallet, err)
			}
			top, err := s.Find(t.Context(), "main", "key-2")
			if err != nil || top.Sequence != 2 || len(top.Postings) != 2 || top.Postings[1].OwnerID != "ann" || top.Postings[1].AccountID != wallet.ID {
				t.Errorf("transfer %+v, %v", top, err)
			}
			then, err := s.BalanceAsOf(t.Context(), "main", wallet.ID, time.Unix(1000, 0))
			if err != nil || then.CreditsPosted.Minor != 100 {
				t.Errorf("it had %v, %v", then, err)
			}
		})
	}
}

// writeOld writes three posted top-ups and a pending one.
func writeOld(t *testing.T, db *database.DB) ledger.Head {
	t.Helper()
	clearing, err := ledger.NewAccount("acc-1", ledger.Clearing, "", "USD")
	if err != nil {
		t.Fatal(err)
	}
	wallet, err := ledger.NewAccount("acc-2", ledger.Wallet, "ann", "USD")
	if err != nil {
		t.Fatal(err)
	}
	book := ledger.NewBook(ledger.Head{}, clearing, wallet)
	err = db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		for i, at := range []int64{1000, 3000, 2000, 4000} {
			amount := money.Amount{Minor: []int64{100, 200, 300, 50}[i], Currency: "USD"}
			id := string(rune('1' + i))
			top := ledger.Transfer{ID: "t-" + id, TenantID: "main", Currency: "USD", Type: ledger.TopUp, IdempotencyKey: "key-" + id, Postings: []ledger.Posting{
				{AccountID: "acc-1", Side: ledger.Debit, Amount: amount}, {AccountID: "acc-2", Side: ledger.Credit, Amount: amount},
			}}
			if err := book.Pend(&top, time.Unix(at, 0)); err != nil {
				return err
			}
			hash, ended := []byte{}, int64(0)
			if i < 3 {
				if err := book.Post(&top, time.Unix(at, 0)); err != nil {
					return err
				}
				hash, ended = top.Hash[:], at*1e6
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO transfers (id, tenant_id, currency, type, state, reference, xid, idempotency_key,
				split_policy, sequence, hash, created_at, ended_at) VALUES ($1, 'main', 'USD', 'top_up', $2, '', '', $3, '', $4, $5, $6, $7)`,
				top.ID, int(top.State), top.IdempotencyKey, top.Sequence, hash, at*1e6, ended)
			if err != nil {
				return err
			}
			for line, posting := range top.Postings {
				if i == 0 { // their accounts come first
					if err := writeOldAccount(ctx, tx, posting.AccountID); err != nil {
						return err
					}
				}
				_, err := tx.ExecContext(ctx, "INSERT INTO postings (transfer_id, line, tenant_id, account_id, side, amount) VALUES ($1, $2, 'main', $3, $4, $5)",
					top.ID, line, posting.AccountID, int(posting.Side), posting.Amount.Minor)
				if err != nil {
					return err
				}
			}
		}
		head := book.Head()
		_, err := tx.ExecContext(ctx, "INSERT INTO ledgers (tenant_id, currency, sequence, hash, updated_at) VALUES ('main', 'USD', $1, $2, 2000000000)",
			head.Sequence, head.Hash[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return book.Head()
}

func writeOldAccount(ctx context.Context, tx *sql.Tx, id string) error {
	values := map[string]string{
		"acc-1": "'clearing', '', 'USD', 1, 1, 600, 0, 50, 0",
		"acc-2": "'wallet', 'ann', 'USD', 2, 0, 0, 600, 0, 50",
	}[id]
	_, err := tx.ExecContext(ctx, `INSERT INTO accounts (id, tenant_id, purpose, owner_id, currency, normal_side, overdraft,
		debits_posted, credits_posted, debits_pending, credits_pending, created_at) VALUES ($1, 'main', `+values+`, 1)`, id)
	return err
}
