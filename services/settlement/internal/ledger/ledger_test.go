package ledger

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/money"
)

// failer is what testing.T and rapid.T have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func usd(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "USD"} }

func account(t failer, id string, purpose Purpose, owner string) Account {
	t.Helper()
	a, err := NewAccount(id, purpose, owner, "USD")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// house is a book with a clearing account c, wallets w and v, earnings e,
// platform p and tax x.
func house(t failer) *Book {
	t.Helper()
	return NewBook(Head{},
		account(t, "c", Clearing, ""), account(t, "w", Wallet, "ann"), account(t, "v", Wallet, "bob"),
		account(t, "e", Earnings, "eve"), account(t, "p", Platform, ""), account(t, "x", Tax, ""))
}

func transfer(id string, postings ...Posting) *Transfer {
	return &Transfer{
		ID: id, TenantID: "main", Currency: "USD", Type: Sale, IdempotencyKey: "key-" + id, Postings: postings,
	}
}

func debit(id string, minor int64) Posting {
	return Posting{AccountID: id, Side: Debit, Amount: usd(minor)}
}

func credit(id string, minor int64) Posting {
	return Posting{AccountID: id, Side: Credit, Amount: usd(minor)}
}

// fund posts a top-up of a wallet.
func fund(t failer, b *Book, id, wallet string, minor int64) *Transfer {
	t.Helper()
	top := transfer(id, debit("c", minor), credit(wallet, minor))
	if err := b.Pend(top, noon); err != nil {
		t.Fatal(err)
	}
	if err := b.Post(top, noon); err != nil {
		t.Fatal(err)
	}
	return top
}

func available(t failer, b *Book, id string) int64 {
	t.Helper()
	a, found := b.Account(id)
	if !found {
		t.Fatalf("no account %s", id)
	}
	amount, err := a.Available()
	if err != nil {
		t.Fatal(err)
	}
	return amount.Minor
}

func TestPendHoldsPostPaysAndVoidReleases(t *testing.T) {
	b := house(t)
	fund(t, b, "1", "w", 1000)
	sale := transfer("2", debit("w", 600), credit("e", 420), credit("p", 120), credit("x", 60))
	if err := b.Pend(sale, noon); err != nil {
		t.Fatal(err)
	}
	if got := available(t, b, "w"); got != 400 {
		t.Errorf("while held: %d may be spent, want 400", got)
	}
	if got := available(t, b, "e"); got != 0 {
		t.Errorf("pending income: %d may be spent, want 0", got)
	}
	if err := b.Void(sale, noon); err != nil {
		t.Fatal(err)
	}
	if got := available(t, b, "w"); got != 1000 {
		t.Errorf("after void: %d, want 1000", got)
	}
	again := transfer("3", sale.Postings...)
	if err := errors.Join(b.Pend(again, noon), b.Post(again, noon)); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]int64{"w": 400, "e": 420, "p": 120, "x": 60, "c": 1000} {
		if got := available(t, b, id); got != want {
			t.Errorf("account %s: %d, want %d", id, got, want)
		}
	}
	if b.Head().Sequence != 2 || again.Sequence != 2 || sale.Sequence != 0 {
		t.Errorf("chain ends at %d, sale has %d, the voided one %d", b.Head().Sequence, again.Sequence, sale.Sequence)
	}
}

func TestPendRefusesOverdraft(t *testing.T) {
	b := house(t)
	fund(t, b, "1", "w", 100)
	if err := b.Pend(transfer("2", debit("w", 60), credit("p", 60)), noon); err != nil {
		t.Fatal(err)
	}
	before, _ := b.Account("p")
	err := b.Pend(transfer("3", credit("p", 41), debit("w", 41)), noon)
	if !errors.Is(err, ErrInsufficientFunds) {
		t.Fatalf("got %v, want ErrInsufficientFunds", err)
	}
	if after, _ := b.Account("p"); after != before {
		t.Error("a refused transfer has changed an account")
	}
	if err := b.Pend(transfer("4", debit("w", 40), credit("p", 40)), noon); err != nil {
		t.Errorf("the last 40: %v", err)
	}
}

func TestPendRefusesWhatIsNoTransfer(t *testing.T) {
	euro := Posting{AccountID: "p", Side: Credit, Amount: money.Amount{Minor: 5, Currency: "EUR"}}
	cases := map[string]struct {
		postings []Posting
		want     error
	}{
		"unbalanced":       {[]Posting{debit("c", 5), credit("w", 4)}, ErrUnbalanced},
		"one posting":      {[]Posting{debit("c", 5)}, ErrTransfer},
		"zero":             {[]Posting{debit("c", 0), credit("w", 0)}, ErrTransfer},
		"negative":         {[]Posting{debit("c", -5), credit("w", -5)}, ErrTransfer},
		"no side":          {[]Posting{{AccountID: "c", Amount: usd(5)}, credit("w", 5)}, ErrTransfer},
		"account twice":    {[]Posting{debit("c", 5), credit("c", 5)}, ErrTransfer},
		"two currencies":   {[]Posting{debit("c", 5), euro}, money.ErrCurrency},
		"unknown account":  {[]Posting{debit("nobody", 5), credit("w", 5)}, ErrAccount},
		"sum overflows":    {[]Posting{debit("c", math.MaxInt64), debit("w", 1), credit("p", 1)}, money.ErrOverflow},
		"balance overflow": {[]Posting{debit("c", math.MaxInt64), credit("w", math.MaxInt64)}, money.ErrOverflow},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := house(t)
			fund(t, b, "1", "w", 10)
			if err := b.Pend(transfer("2", c.postings...), noon); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestPendRefusesAccountOfAnotherCurrency(t *testing.T) {
	euros, err := NewAccount("e", Wallet, "ann", "EUR")
	if err != nil {
		t.Fatal(err)
	}
	b := NewBook(Head{}, account(t, "c", Clearing, ""), euros)
	if err := b.Pend(transfer("1", debit("c", 5), credit("e", 5)), noon); !errors.Is(err, money.ErrCurrency) {
		t.Errorf("got %v, want ErrCurrency", err)
	}
}

func TestPendingNeverOverflowsAtPost(t *testing.T) {
	b := house(t)
	fund(t, b, "1", "w", math.MaxInt64-10)
	first := transfer("2", debit("c", 6), credit("v", 6))
	if err := b.Pend(first, noon); err != nil {
		t.Fatal(err)
	}
	if err := b.Pend(transfer("3", debit("c", 5), credit("v", 5)), noon); !errors.Is(err, money.ErrOverflow) {
		t.Errorf("got %v, want ErrOverflow", err)
	}
	if err := b.Post(first, noon); err != nil {
		t.Errorf("post: %v", err)
	}
}

func TestTransferEndsOnce(t *testing.T) {
	b := house(t)
	posted := fund(t, b, "1", "w", 10)
	if err := b.Post(posted, noon); !errors.Is(err, ErrState) {
		t.Errorf("post again: %v", err)
	}
	if err := b.Void(posted, noon); !errors.Is(err, ErrState) {
		t.Errorf("void after post: %v", err)
	}
}

func TestNewAccountRefuses(t *testing.T) {
	cases := []struct {
		purpose         Purpose
		owner, currency string
		want            error
	}{
		{"savings", "ann", "USD", ErrAccount},
		{Wallet, "", "USD", ErrAccount},
		{Tax, "ann", "USD", ErrAccount},
		{Wallet, "ann", "XXX", money.ErrCurrency},
	}
	for _, c := range cases {
		if _, err := NewAccount("1", c.purpose, c.owner, c.currency); !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

func TestTopUpDraftsBalance(t *testing.T) {
	draft := TopUpOf("main", "ann", usd(499))
	rest := int64(0)
	for _, line := range draft.Lines {
		if line.Side == Debit {
			rest += line.Amount.Minor
		} else {
			rest -= line.Amount.Minor
		}
		if personal := line.Purpose == Wallet; personal != (line.OwnerID != "") {
			t.Errorf("line of %s has owner %q", line.Purpose, line.OwnerID)
		}
	}
	if rest != 0 || draft.Currency != "USD" {
		t.Errorf("%s in %s sums to %d", draft.Type, draft.Currency, rest)
	}
}

// TestResultsAreTheCallersOwn changes what a caller got, which shares its memory
// with what others get.
func TestResultsAreTheCallersOwn(t *testing.T) {
	b, ids := house(t), 0
	b.Continue(Head{}, 0, func() string { ids++; return fmt.Sprint(ids) })
	request := func(key string) []Request {
		r := []Request{{Action: ActionBook, Draft: TopUpOf("main", "ann", usd(5))}}
		r[0].Draft.IdempotencyKey = key
		return r
	}
	var all [][]Result
	for i := range 3 * together {
		all = append(all, b.Apply(request(fmt.Sprint("key-", i)), noon))
	}
	all[0] = append(all[0], Result{})
	all[0][0].Transfer.Postings = append(all[0][0].Transfer.Postings, Posting{AccountID: "other"})
	all[0][0].Transfer.IdempotencyKey = "changed"
	for i, results := range all[1:] {
		got := results[0].Transfer
		if results[0].Err != nil || got.IdempotencyKey != fmt.Sprint("key-", i+1) || len(got.Postings) != 2 || got.Postings[0].AccountID != "c" {
			t.Errorf("call %d got %+v", i+1, results[0])
		}
	}
	if again := b.Apply(request("key-0"), noon)[0]; !again.Repeated || len(again.Transfer.Postings) != 2 {
		t.Errorf("the book knows the first as %+v", again)
	}
}
