package ledger

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/backlot-video/backlot/kit/money"
)

// TestLedgerHoldsItsInvariants books random transfers in random order. After
// each step the books sum to zero, no account is short and a second
// bookkeeping agrees; at the end the Verifier finds nothing.
func TestLedgerHoldsItsInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := house(t)
		var all, open []*Transfer
		model := map[string]int64{} // what is posted, credits less debits
		for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
			id := strconv.Itoa(i)
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				top := fund(t, b, id, rapid.SampledFrom([]string{"w", "v"}).Draw(t, "wallet"),
					rapid.Int64Range(1, 100_000).Draw(t, "amount"))
				all = append(all, top)
				settle(model, top)
			case 1:
				sale := drawSale(t, id)
				before := available(t, b, sale.Postings[0].AccountID)
				err := b.Pend(sale, noon)
				if short := before < sale.Postings[0].Amount.Minor; short != (err != nil) {
					t.Fatalf("%d available, %v: %v", before, sale.Postings[0].Amount, err)
				}
				if err == nil {
					open, all = append(open, sale), append(all, sale)
				}
			default:
				if len(open) == 0 {
					continue
				}
				at := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				end(t, b, open[at], model)
				open = append(open[:at], open[at+1:]...)
			}
			checkBooks(t, b, model)
		}
		if faults := verify(b, all); len(faults) > 0 {
			t.Fatalf("verifier: %s", strings.Join(faults, "; "))
		}
	})
}

func drawSale(t *rapid.T, id string) *Transfer {
	price := usd(rapid.Int64Range(1, 50_000).Draw(t, "price"))
	parts, err := money.Split(price, []uint32{700_001, 199_999, 100_000})
	if err != nil {
		t.Fatal(err)
	}
	wallet := rapid.SampledFrom([]string{"w", "v"}).Draw(t, "buyer")
	sale := transfer(id, Posting{AccountID: wallet, Side: Debit, Amount: price})
	for i, part := range parts {
		if !part.IsZero() {
			sale.Postings = append(sale.Postings, Posting{AccountID: []string{"e", "p", "x"}[i], Side: Credit, Amount: part})
		}
	}
	if err := sale.Validate(); err != nil {
		t.Fatal(err)
	}
	return sale
}

func end(t *rapid.T, b *Book, pending *Transfer, model map[string]int64) {
	if rapid.Bool().Draw(t, "void") {
		if err := b.Void(pending, noon); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := b.Post(pending, noon); err != nil {
		t.Fatal(err)
	}
	settle(model, pending)
}

func settle(model map[string]int64, t *Transfer) {
	for _, posting := range t.Postings {
		sign := int64(1)
		if posting.Side == Debit {
			sign = -1
		}
		model[posting.AccountID] += sign * posting.Amount.Minor
	}
}

func checkBooks(t *rapid.T, b *Book, model map[string]int64) {
	posted, pending := int64(0), int64(0)
	for id, account := range b.accounts {
		balance := account.Balance
		net := balance.CreditsPosted.Minor - balance.DebitsPosted.Minor
		posted += net
		pending += balance.CreditsPending.Minor - balance.DebitsPending.Minor
		if net != model[id] {
			t.Fatalf("account %s: %d posted, want %d", id, net, model[id])
		}
		if err := account.covered(); err != nil {
			t.Fatal(err)
		}
	}
	if posted != 0 || pending != 0 {
		t.Fatalf("the books sum to %d posted, %d pending", posted, pending)
	}
}

// verify runs a Verifier over what was booked.
func verify(b *Book, all []*Transfer) []string {
	v := NewVerifier("main", "USD")
	chain := make([]*Transfer, b.Head().Sequence)
	for _, t := range all {
		if t.State == Posted {
			chain[t.Sequence-1] = t
		}
		if t.State == Pending {
			v.Transfer(*t)
		}
	}
	for _, t := range chain {
		v.Transfer(*t)
	}
	for _, account := range b.accounts {
		v.Account(account.Account)
	}
	faults, _ := v.Finish(b.Head())
	return faults
}

func TestVerifierFindsEveryTampering(t *testing.T) {
	tamper := map[string]func(b *Book, all []*Transfer){
		"amounts":     func(_ *Book, all []*Transfer) { all[1].Postings[0].Amount.Minor++; all[1].Postings[1].Amount.Minor++ },
		"one amount":  func(_ *Book, all []*Transfer) { all[0].Postings[0].Amount.Minor++ },
		"account":     func(_ *Book, all []*Transfer) { all[1].Postings[1].AccountID = "v" },
		"reference":   func(_ *Book, all []*Transfer) { all[0].Reference = "another order" },
		"policy":      func(_ *Book, all []*Transfer) { all[0].SplitPolicy = "generous" },
		"time":        func(_ *Book, all []*Transfer) { all[0].EndedAt = noon.Add(1e6) },
		"hash":        func(_ *Book, all []*Transfer) { all[0].Hash[3] ^= 1 },
		"order":       func(_ *Book, all []*Transfer) { all[0].Sequence, all[1].Sequence = 2, 1 },
		"balance":     func(b *Book, _ []*Transfer) { b.accounts["w"].Balance.CreditsPosted.Minor++ },
		"hold":        func(b *Book, _ []*Transfer) { b.accounts["w"].Balance.DebitsPending.Minor-- },
		"head":        func(b *Book, _ []*Transfer) { b.head.Hash[0] ^= 1 },
		"pending one": func(_ *Book, all []*Transfer) { all[3].Postings[0].Amount.Minor++ },
		"lost account": func(b *Book, _ []*Transfer) {
			delete(b.accounts, "w")
		},
	}
	for name, change := range tamper {
		t.Run(name, func(t *testing.T) {
			b := house(t)
			all := []*Transfer{fund(t, b, "1", "w", 100), fund(t, b, "2", "w", 200), fund(t, b, "3", "v", 50)}
			held := transfer("4", debit("w", 10), credit("p", 10))
			if err := b.Pend(held, noon); err != nil {
				t.Fatal(err)
			}
			all = append(all, held)
			if faults := verify(b, all); len(faults) > 0 {
				t.Fatalf("before: %v", faults)
			}
			change(b, all)
			if faults := verify(b, all); len(faults) == 0 {
				t.Error("not found")
			}
		})
	}
}

func TestHashTellsFieldsApart(t *testing.T) {
	a := Transfer{Reference: "ab", XID: "c", Postings: []Posting{debit("x", 1), credit("y", 1)}}
	b := a
	b.Reference, b.XID = "a", "bc"
	if Hash(Head{}, a) == Hash(Head{}, b) {
		t.Error("two transfers run together")
	}
	if Hash(Head{}, a) == Hash(Head{Hash: [32]byte{1}}, a) {
		t.Error("the hash before does not matter")
	}
	same := a
	same.Postings = append([]Posting(nil), a.Postings...)
	if Hash(Head{}, a) != Hash(Head{}, same) {
		t.Error("not stable")
	}
	forReaders := a
	forReaders.Postings = []Posting{{AccountID: "x", Side: Debit, Amount: money.Amount{Minor: 1, Currency: "USD"}, OwnerID: "o"}, a.Postings[1]}
	if Hash(Head{}, a) != Hash(Head{}, forReaders) {
		t.Error("what is only for readers is hashed")
	}
}
