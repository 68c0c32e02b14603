package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/statement"
	settlementdb "github.com/backlot-video/backlot/sql/gen/settlement"
)

const (
	sortedBatch = 100  // transfers in a batch, all from one account
	sortedAfter = 1100 // postings, more than half of them of that one: it has two runs
)

// TestWhatIsReadIsExactAtEachStepOfSorting has two processes take turns at
// batches, some of which crash before they are committed, and compares what
// others read after each of them with what was booked.
func TestWhatIsReadIsExactAtEachStepOfSorting(t *testing.T) {
	databasetest.Each(t, "settlement", func(t *testing.T, db *database.DB) {
		seed := uint64(time.Now().UnixNano() & 0xffffff)
		t.Logf("seed %d", seed)
		s := &sortedLedger{t: t, db: db, random: rand.New(rand.NewPCG(seed, 1)), reader: store(db), booked: map[string][]move{}}
		s.open()
		for i := range s.writers {
			s.writers[i] = store(db)
		}
		seen := map[string]int{}
		for batch := 0; seen["sorted"] < 2; batch++ {
			if batch > 300 {
				t.Fatalf("after %d batches %v", batch, seen)
			}
			writer := s.random.IntN(len(s.writers))
			if s.random.IntN(5) == 0 { // it is another process now
				s.writers[writer] = store(db)
			}
			if s.random.IntN(3) == 0 {
				s.batch(s.writers[writer], true)
				s.same()
			}
			before := s.progress
			s.batch(s.writers[writer], false)
			s.same()
			switch now := s.progress; {
			case now == before:
			case now.sortingTo == 0:
				seen["sorted"]++
			case now.written():
				seen["deleted some"]++
			case now.account == before.account:
				seen["a run of an account that has another"]++
			case now.account > 0:
				seen["some accounts"]++
			}
		}
		if seen["deleted some"] == 0 || seen["some accounts"] == 0 || seen["a run of an account that has another"] == 0 {
			t.Errorf("%v", seen)
		}
	})
}

func store(db *database.DB) *Store { return New(db).SortAfter(sortedAfter, 1) }

// sortedLedger is a ledger and what was booked at it.
type sortedLedger struct {
	t        *testing.T
	db       *database.DB
	random   *rand.Rand
	writers  [2]*Store
	reader   *Store // which remembers
	accounts []ledger.Account
	booked   map[string][]move // by account
	ids      int
	head     int64
	progress progress // after the last batch

	// What was read some batches ago.
	snapshot *sql.Tx
	head0    int64
	row      settlementdb.GetAccountRow
}

// forget ends what was read some batches ago.
func (s *sortedLedger) forget() {
	if s.snapshot != nil {
		_ = s.snapshot.Rollback() // it has written nothing
		s.snapshot = nil
	}
}

func (s *sortedLedger) nextID() string {
	s.ids++
	return fmt.Sprintf("7fffffff-0000-7000-8000-%012d", s.ids)
}

// open opens accounts, of which the first may be overdrawn.
func (s *sortedLedger) open() {
	s.t.Cleanup(s.forget)
	err := s.reader.Write(s.t.Context(), func(ctx context.Context, session *Session) error {
		l, err := session.Lock(ctx, "main", "USD")
		if err != nil {
			return err
		}
		var changes ledger.Changes
		changes.Head, changes.LastNumber = l.Head, l.LastAccount
		for i, purpose := range []ledger.Purpose{ledger.Clearing, ledger.Wallet, ledger.Wallet, ledger.Wallet, ledger.Wallet} {
			owner := fmt.Sprint("owner-", i)
			if purpose == ledger.Clearing {
				owner = ""
			}
			account, err := ledger.NewAccount(fmt.Sprint("acc-", i), purpose, owner, "USD")
			if err != nil {
				return err
			}
			changes.LastNumber++
			account.Number = changes.LastNumber
			s.accounts, changes.Opened = append(s.accounts, account), append(changes.Opened, &account)
		}
		_, err = session.Write(ctx, NewBatch(s.reader.After(l, changes, time.Unix(1000, 0).UTC()), ledger.NewBook(l.Head), changes), nil)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

var errCrash = errors.New("a crash")

// batch books transfers from the first account to others.
func (s *sortedLedger) batch(w *Store, crashes bool) {
	s.t.Helper()
	var after Ledger
	var results []ledger.Result
	err := w.Write(s.t.Context(), func(ctx context.Context, session *Session) error {
		l, err := session.Lock(ctx, "main", "USD")
		if err != nil {
			return err
		}
		var ids []string
		for _, account := range s.accounts {
			ids = append(ids, account.ID)
		}
		accounts, err := session.Accounts(ctx, l, ids)
		if err != nil {
			return err
		}
		book := ledger.NewBook(l.Head, accounts...)
		book.Continue(l.Head, l.LastAccount, s.nextID)
		book.Begin()
		at := l.UpdatedAt.Add(time.Second)
		for _, request := range s.requests() {
			results = append(results, book.Apply([]ledger.Request{request}, at)...)
		}
		changes := book.Changes()
		after = w.After(l, changes, at)
		fresh, err := session.Write(ctx, NewBatch(after, book, changes), nil)
		switch {
		case err == nil && !fresh:
			return errStaleKey
		case err == nil && crashes:
			return errCrash
		}
		return err
	})
	if crashes {
		if !errors.Is(err, errCrash) {
			s.t.Fatal(err)
		}
		return
	}
	if err != nil {
		s.t.Fatal(err)
	}
	for _, result := range results {
		if result.Err != nil {
			s.t.Fatal(result.Err)
		}
		s.note(result.Transfer)
	}
	s.progress = after.progress
	if w.Unplanned(after) && s.random.IntN(3) > 0 {
		if err := w.Plan(s.t.Context(), after); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *sortedLedger) requests() (requests []ledger.Request) {
	for i := range sortedBatch {
		amount := money.Amount{Minor: 1 + s.random.Int64N(100), Currency: "USD"}
		to := s.accounts[1+s.random.IntN(len(s.accounts)-1)].ID
		requests = append(requests, ledger.Request{Action: ledger.ActionBook, Draft: ledger.Draft{
			TenantID: "main", Currency: "USD", Type: ledger.TopUp, IdempotencyKey: fmt.Sprint(s.head, "/", i),
			Lines: []ledger.Line{{AccountID: "acc-0", Side: ledger.Debit, Amount: amount}, {AccountID: to, Side: ledger.Credit, Amount: amount}},
		}})
	}
	return requests
}

// note remembers what a transfer did.
func (s *sortedLedger) note(t ledger.Transfer) {
	s.head = max(s.head, t.Sequence)
	for _, p := range t.Postings {
		all := s.booked[p.AccountID]
		m := move{place: place{t.EndedAt.UnixMicro(), t.Sequence}}
		if len(all) > 0 {
			m.debits, m.credits = all[len(all)-1].debits, all[len(all)-1].credits
		}
		if p.Side == ledger.Debit {
			m.debits += p.Amount.Minor
		} else {
			m.credits += p.Amount.Minor
		}
		s.booked[p.AccountID] = append(all, m)
	}
}

// at is what an account's sums were at a place in the chain.
func (s *sortedLedger) at(account string, head int64) (debits, credits int64) {
	for _, m := range s.booked[account] {
		if m.sequence <= head {
			debits, credits = m.debits, m.credits
		}
	}
	return debits, credits
}

// same reads everything, by stores that remember more or less.
func (s *sortedLedger) same() {
	s.t.Helper()
	readers := []*Store{s.reader, s.writers[0], New(s.db)}
	if s.random.IntN(4) > 0 {
		readers = readers[:1]
	}
	for _, r := range readers {
		for _, account := range s.accounts {
			s.sameBalance(r, account)
		}
		s.sameHistory(r, s.accounts[s.random.IntN(len(s.accounts))])
	}
	s.sameAsThen()
	if s.random.IntN(8) > 0 {
		return
	}
	report, err := s.reader.Verify(s.t.Context(), "main")
	if err != nil || len(report.Faults) > 0 || report.Transfers != s.head {
		s.t.Fatalf("%+v: verified as %+v, %v, want %d", s.progress, report, err, s.head)
	}
}

func (s *sortedLedger) sameBalance(r *Store, account ledger.Account) {
	s.t.Helper()
	got, err := r.AccountByID(s.t.Context(), "main", account.ID)
	debits, credits := s.at(account.ID, s.head)
	if err != nil || got.Balance.DebitsPosted.Minor != debits || got.Balance.CreditsPosted.Minor != credits {
		s.t.Fatalf("%+v: account %s has %v, %v, want %d %d", s.progress, account.ID, got.Balance, err, debits, credits)
	}
}

// sameHistory asks for a balance as of a time, and for a page of the statement
// from there on.
func (s *sortedLedger) sameHistory(r *Store, account ledger.Account) {
	s.t.Helper()
	booked := s.booked[account.ID]
	if len(booked) == 0 {
		return
	}
	first := s.random.IntN(len(booked))
	then, err := r.BalanceAsOf(s.t.Context(), "main", account.ID, timeOf(booked[first].at))
	last := first
	for last+1 < len(booked) && booked[last+1].at == booked[first].at {
		last++
	}
	if err != nil || then.DebitsPosted.Minor != booked[last].debits || then.CreditsPosted.Minor != booked[last].credits {
		s.t.Fatalf("%+v: account %s had %v, %v, want %+v", s.progress, account.ID, then, err, booked[last])
	}
	after := statement.Place{PostedAt: timeOf(booked[first].at), Sequence: booked[first].sequence}
	page, err := r.Statement(s.t.Context(), account, timeOf(0), timeOf(booked[len(booked)-1].at+1), after, 3*maxLines)
	want := booked[first+1:]
	if err != nil || len(page.Lines) != min(len(want), 3*maxLines) {
		s.t.Fatalf("%+v: account %s has %d lines, %v, want %d", s.progress, account.ID, len(page.Lines), err, len(want))
	}
	for i, line := range page.Lines {
		if line.Sequence != want[i].sequence || line.PostedAt.UnixMicro() != want[i].at {
			s.t.Fatalf("%+v: line %d of account %s is %+v, want %+v", s.progress, i, account.ID, line, want[i])
		}
	}
}

// sameAsThen reads an earlier state of the database with a tail of now, and goes
// on with a row of an account that was read then.
func (s *sortedLedger) sameAsThen() {
	s.t.Helper()
	if s.snapshot != nil {
		account := s.accounts[s.random.IntN(len(s.accounts))]
		h, err := s.reader.history(s.t.Context(), settlementdb.New(s.snapshot), account)
		if err != nil {
			s.t.Fatal(err)
		}
		sums, err := h.sums(s.t.Context(), ever)
		if debits, credits := s.at(account.ID, s.head0); err != nil || sums.Debits != debits || sums.Credits != credits {
			s.t.Fatalf("%+v: account %s had %+v, %v, want %d %d", s.progress, account.ID, sums, err, debits, credits)
		}
		all, err := s.reader.accounts(s.t.Context(), s.reader.queries(), s.row)
		debits, credits := s.at(s.row.ID, s.row.Head)
		if !errors.Is(err, errStale) && (err != nil || all[0].Balance.DebitsPosted.Minor != debits || all[0].Balance.CreditsPosted.Minor != credits) {
			s.t.Fatalf("%+v: account %s of %d has %+v, %v, want %d %d", s.progress, s.row.ID, s.row.Head, all, err, debits, credits)
		}
		if s.random.IntN(6) > 0 {
			return
		}
		s.forget()
	}
	var err error
	if s.snapshot, err = s.reader.snapshot(s.t.Context()); err == nil {
		id := s.accounts[s.random.IntN(len(s.accounts))].ID
		s.row, err = settlementdb.New(s.snapshot).GetAccount(s.t.Context(), settlementdb.GetAccountParams{TenantID: "main", ID: id})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.head0 = s.head
}
