package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/statement"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
	backlotsql "github.com/backlot-video/backlot/sql"
)

// withHistory are the migrations after which an account's history was a row for
// each posting.
var withHistory = []string{
	"00001_kit.sql", "00002_outbox_lease.sql", "00100_settlement.sql", "00101_batches.sql", "00110_payouts.sql",
	"00111_reconciliation.sql", "00112_matches.sql", "00113_balances.sql",
}

// TestLedgerWithAHistoryIsMigrated writes a ledger with transfers of every kind
// as it was before postings were sorted into runs, reads all of it as it is now,
// and goes on with it.
func TestLedgerWithAHistoryIsMigrated(t *testing.T) {
	for _, dialect := range []database.Dialect{database.SQLite, database.PostgreSQL} {
		t.Run(string(dialect), func(t *testing.T) {
			cfg := databasetest.Config(t, dialect, "settlement")
			old, err := database.Open(t.Context(), cfg, migrations(t, withHistory...))
			if err != nil {
				t.Fatal(err)
			}
			h := newHistoryBook(t)
			if err := old.Write(t.Context(), h.write); err != nil {
				t.Fatal(err)
			}
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			s := store.New(databasetest.Open(t, cfg, backlotsql.Migrations("settlement"))).SortAfter(4, 2)
			h.check(t, s)
			h.goOn(t, s)
		})
	}
}

// historyBook is a ledger with two accounts and transfers of every kind.
type historyBook struct {
	book  *ledger.Book
	all   map[string]*ledger.Transfer // by id
	order []string
	moves []ledger.Move
	ended map[int64]time.Time // by sequence
}

const usd = "USD"

func newHistoryBook(t *testing.T) *historyBook {
	t.Helper()
	var accounts []ledger.Account
	for i, owner := range []string{"", "ann"} {
		account, err := ledger.NewAccount(fmt.Sprint("acc-", i+1), []ledger.Purpose{ledger.Clearing, ledger.Wallet}[i], owner, usd)
		if err != nil {
			t.Fatal(err)
		}
		account.Number = 1<<32 + int64(i) + 1
		accounts = append(accounts, account)
	}
	h := &historyBook{book: ledger.NewBook(ledger.Head{}, accounts...), all: make(map[string]*ledger.Transfer), ended: make(map[int64]time.Time)}
	steps := []struct {
		id, chain string
		minor     int64
		step      func(t *ledger.Transfer, at time.Time) error
	}{
		{"t1", "", 100, h.book.Enter},
		{"t2", "t2", 200, h.book.Enter},
		{"t3", "t2", 300, h.book.Enter}, // linked
		{"t4", "", 50, h.book.Pend},     // is posted below
		{"t5", "", 60, h.book.Pend},     // is voided
		{"t6", "", 70, h.book.Pend},     // is left pending
		{"t7", "", 7, h.book.Enter},
	}
	at := func(i int) time.Time { return time.Unix(1000+int64(i), 0).UTC() }
	for i, s := range steps {
		amount := money.Amount{Minor: s.minor, Currency: usd}
		top := &ledger.Transfer{
			ID: s.id, TenantID: "main", Currency: usd, Type: ledger.TopUp, IdempotencyKey: "key-" + s.id, Reference: "ref", ChainID: s.chain,
			Postings: []ledger.Posting{
				{AccountID: "acc-1", Side: ledger.Debit, Amount: amount}, {AccountID: "acc-2", Side: ledger.Credit, Amount: amount},
			},
		}
		if s.id == "t6" {
			top.ExpiresAt = at(1_000_000)
		}
		if err := s.step(top, at(i)); err != nil {
			t.Fatal(err)
		}
		h.all[s.id], h.order = top, append(h.order, s.id)
	}
	if err := h.book.Post(h.all["t4"], at(10)); err != nil {
		t.Fatal(err)
	}
	if err := h.book.Void(h.all["t5"], at(11)); err != nil {
		t.Fatal(err)
	}
	h.moves = h.book.Changes().Moves
	for _, transfer := range h.all {
		h.ended[transfer.Sequence] = transfer.EndedAt
	}
	return h
}

// write writes the ledger as it was stored.
func (h *historyBook) write(ctx context.Context, tx *sql.Tx) (err error) {
	exec := func(query string, args ...any) {
		if err == nil {
			_, err = tx.ExecContext(ctx, query, args...)
		}
	}
	micros := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixMicro()
	}
	head := h.book.Head()
	exec(`INSERT INTO ledgers (number, tenant_id, currency, version, accounts, sequence, hash, updated_at)
		VALUES (1, 'main', 'USD', 3, 4294967298, $1, $2, 1011000000)`, head.Sequence, head.Hash[:])
	for i, id := range []string{"acc-1", "acc-2"} {
		account, _ := h.book.Account(id)
		exec(`INSERT INTO accounts (number, id, tenant_id, purpose, owner_id, currency, normal_side, overdraft, state, created_at)
			VALUES ($1, $2, 'main', $3, $4, 'USD', $5, $6, 1, 1)`,
			account.Number, id, string(account.Purpose), account.OwnerID, int(account.NormalSide), 1-i)
		exec("INSERT INTO balances (account, debits_pending, credits_pending) VALUES ($1, $2, $3)",
			account.Number, account.Balance.DebitsPending.Minor, account.Balance.CreditsPending.Minor)
	}
	for _, id := range h.order {
		t := h.all[id]
		hash, pended, minor := []byte{}, 0, t.Postings[0].Amount.Minor
		if t.State == ledger.Posted {
			hash = t.Hash[:]
		}
		if t.Pended {
			pended = 1
		}
		exec(`INSERT INTO transfers (id, tenant_id, ledger, type, state, reference, xid, idempotency_key, split_policy, chain_id, pended,
			sequence, hash, postings, created_at, ended_at, expires_at)
			VALUES ($1, 'main', 1, 'top_up', $2, 'ref', '', $3, '', $4, $5, $6, $7, $8, $9, $10, $11)`,
			t.ID, int(t.State), t.IdempotencyKey, t.ChainID, pended, t.Sequence, hash,
			fmt.Sprintf("4294967297d%d 4294967298c%d", minor, minor), micros(t.CreatedAt), micros(t.EndedAt), micros(t.ExpiresAt))
	}
	for _, m := range h.moves {
		exec("INSERT INTO history (account, at, sequence, debits, credits) VALUES ($1, $2, $3, $4, $5)",
			m.Account, micros(h.ended[m.Sequence]), m.Sequence, m.Debits, m.Credits)
	}
	return err
}

// check reads what was written.
func (h *historyBook) check(t *testing.T, s *store.Store) {
	t.Helper()
	report, err := s.Verify(t.Context(), "main")
	if err != nil || len(report.Faults) > 0 || report.Transfers != 6 || report.Heads[0].Head != h.book.Head() {
		t.Fatalf("verified as %+v, %v", report, err)
	}
	for id, want := range h.all {
		byID, err := s.Transfer(t.Context(), "main", id)
		if err != nil || byID.State != want.State || byID.Hash != want.Hash || byID.ChainID != want.ChainID || !byID.EndedAt.Equal(want.EndedAt) {
			t.Errorf("transfer %+v, %v; want %+v", byID, err, want)
		}
		byKey, err := s.Find(t.Context(), "main", "key-"+id)
		if err != nil || byKey.ID != id {
			t.Errorf("key of %s gives %+v, %v", id, byKey, err)
		}
	}
	for _, reference := range []string{"", "ref"} {
		list, err := s.Transfers(t.Context(), "main", reference, store.Page{Limit: 100})
		if err != nil || len(list) != len(h.order) || list[0].ID != "t1" || list[6].ID != "t7" {
			t.Errorf("list of %q: %+v, %v", reference, list, err)
		}
	}
	wallet, _, err := s.Account(t.Context(), "main", "ann", ledger.Wallet, usd)
	if err != nil || wallet.Balance.CreditsPosted.Minor != 657 || wallet.Balance.CreditsPending.Minor != 70 {
		t.Errorf("wallet %+v, %v", wallet, err)
	}
	for seconds, want := range map[int64]int64{999: 0, 1000: 100, 1002: 600, 1009: 607, 1010: 657} {
		then, err := s.BalanceAsOf(t.Context(), "main", wallet.ID, time.Unix(seconds, 0))
		if err != nil || then.CreditsPosted.Minor != want {
			t.Errorf("at %d it had %v, want %d, %v", seconds, then, want, err)
		}
	}
	lines, err := s.Statement(t.Context(), wallet, time.Unix(1001, 0), time.Unix(2000, 0), statement.Place{}, 10)
	if err != nil || len(lines.Lines) != 4 || lines.Opening.Minor != 100 || lines.Closing.Minor != 657 || lines.Lines[3].TransferID != "t4" {
		t.Errorf("statement %+v, %v", lines, err)
	}
}

// goOn books on top of what was migrated: what is known is known, what is
// pending can be ended.
func (h *historyBook) goOn(t *testing.T, s *store.Store) {
	t.Helper()
	e := engine.New(s, engine.Config{Clock: func() time.Time { return time.Unix(2000, 0) }})
	defer e.Close()
	draft := func(key string, minor int64) ledger.Draft {
		amount := money.Amount{Minor: minor, Currency: usd}
		return ledger.Draft{TenantID: "main", Currency: usd, Type: ledger.TopUp, Reference: "ref", IdempotencyKey: key, Lines: []ledger.Line{
			{AccountID: "acc-1", Side: ledger.Debit, Amount: amount}, {AccountID: "acc-2", Side: ledger.Credit, Amount: amount},
		}}
	}
	results := e.Book(t.Context(), "main", []ledger.Request{
		{Action: ledger.ActionBook, Draft: draft("key-t1", 100)},
		{Action: ledger.ActionBook, Draft: draft("key-t1", 101)},
		{Action: ledger.ActionPost, Target: ledger.Target{ID: "t6"}},
		{Action: ledger.ActionBook, Draft: draft("key-t8", 8)},
	})
	if !results[0].Repeated || results[0].Transfer.ID != "t1" || results[1].Err == nil || results[2].Err != nil || results[3].Err != nil {
		t.Errorf("went on with %+v", results)
	}
	report, err := s.Verify(t.Context(), "main")
	if err != nil || len(report.Faults) > 0 || report.Transfers != 7 {
		t.Errorf("verified as %+v, %v", report, err)
	}
	wallet, err := s.AccountByID(t.Context(), "main", "acc-2")
	if err != nil || wallet.Balance.CreditsPosted.Minor != 735 || wallet.Balance.CreditsPending.Minor != 0 {
		t.Errorf("wallet %+v, %v", wallet, err)
	}
}
