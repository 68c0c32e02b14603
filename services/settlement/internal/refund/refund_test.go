package refund

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

func usd(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "USD"} }

// sold is a posted sale of ann's to eve, fay, the platform and the tax.
func sold(eve, fay, platform, tax int64) ledger.Transfer {
	sale := ledger.Transfer{
		ID: "sale", TenantID: "main", Currency: "USD", Type: ledger.Sale, State: ledger.Posted, Reference: "order", SplitPolicy: "default@r1",
		Postings: []ledger.Posting{{Purpose: ledger.Wallet, OwnerID: "ann", Side: ledger.Debit, Amount: usd(eve + fay + platform + tax)}},
	}
	for _, line := range []ledger.Posting{
		{Purpose: ledger.Earnings, OwnerID: "eve", Amount: usd(eve)},
		{Purpose: ledger.Earnings, OwnerID: "fay", Amount: usd(fay)},
		{Purpose: ledger.Platform, Amount: usd(platform)},
		{Purpose: ledger.Tax, Amount: usd(tax)},
	} {
		if line.Side = ledger.Credit; !line.Amount.IsZero() {
			sale.Postings = append(sale.Postings, line)
		}
	}
	return sale
}

func rich(string) (money.Amount, error) { return usd(math.MaxInt64), nil }

// booked makes a draft a transfer, as the ledger would.
func booked(draft ledger.Draft, state ledger.State, id int) ledger.Transfer {
	t := ledger.Transfer{ID: fmt.Sprint(id), Type: draft.Type, State: state, Currency: draft.Currency, Reference: draft.Reference}
	for _, line := range draft.Lines {
		t.Postings = append(t.Postings, ledger.Posting{Purpose: line.Purpose, OwnerID: line.OwnerID, Side: line.Side, Amount: line.Amount})
	}
	return t
}

func shown(draft ledger.Draft) string {
	var all []string
	for _, line := range draft.Lines {
		all = append(all, fmt.Sprintf("%v %s %s %d", line.Side, line.Purpose, line.OwnerID, line.Amount.Minor))
	}
	return strings.Join(all, ", ")
}

func TestWholeRefundReversesEveryPosting(t *testing.T) {
	r, err := Of(sold(349, 0, 100, 50), nil)
	if err != nil || r.Left() != usd(499) {
		t.Fatalf("left %v, %v", r.Left(), err)
	}
	for kind, want := range map[ledger.Type]string{
		ledger.Refund:     "debit earnings eve 349, debit platform  100, debit tax  50, credit wallet ann 499",
		ledger.Chargeback: "debit earnings eve 349, debit platform  100, debit tax  50, credit clearing  499",
	} {
		draft, err := r.Draft(kind, money.Amount{}, rich)
		if err != nil || shown(draft) != want || draft.Reference != "order" || draft.SplitPolicy != "default@r1" {
			t.Errorf("%s: %+v, %v, want %s", kind, draft, err, want)
		}
	}
}

func TestWhoWasPaidOutOwesTheHouse(t *testing.T) {
	has := map[string]int64{"eve": 300, "fay": 0}
	available := func(owner string) (money.Amount, error) { return usd(has[owner]), nil }
	sale := sold(400, 100, 300, 200)
	r, err := Of(sale, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, err := r.Draft(ledger.Refund, usd(900), available)
	want := "debit earnings eve 300, debit receivable eve 60, debit receivable fay 90, debit platform  270, debit tax  180, credit wallet ann 900"
	if err != nil || shown(first) != want {
		t.Fatalf("%s, %v, want %s", shown(first), err, want)
	}
	r, err = Of(sale, []ledger.Transfer{sale, booked(first, ledger.Pending, 1)})
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Draft(ledger.Chargeback, money.Amount{}, rich)
	want = "debit earnings eve 40, debit earnings fay 10, debit platform  30, debit tax  20, credit clearing  100"
	if err != nil || shown(second) != want {
		t.Errorf("%s, %v, want %s", shown(second), err, want)
	}
}

func TestRefundsAreRefusedWithAReason(t *testing.T) {
	sale := sold(349, 0, 100, 50)
	r, err := Of(sale, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		amount money.Amount
		want   error
	}{
		{usd(500), ErrTooMuch},
		{usd(0), ledger.ErrTransfer},
		{usd(-1), ledger.ErrTransfer},
		{money.Amount{Minor: 5, Currency: "EUR"}, money.ErrCurrency},
	} {
		if _, err := r.Draft(ledger.Refund, c.amount, rich); !errors.Is(err, c.want) {
			t.Errorf("%v: got %v, want %v", c.amount, err, c.want)
		}
	}
	whole, err := r.Draft(ledger.Refund, money.Amount{}, rich)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Of(sale, []ledger.Transfer{booked(whole, ledger.Posted, 1)}); !errors.Is(err, ErrNothingLeft) {
		t.Errorf("got %v, want ErrNothingLeft", err)
	}
	if again, err := Of(sale, []ledger.Transfer{booked(whole, ledger.Voided, 1)}); err != nil || again.Left() != usd(499) {
		t.Errorf("after a voided refund: %v, %v", again.Left(), err)
	}
	pending := sale
	pending.State = ledger.Pending
	if _, err := Of(pending, nil); !errors.Is(err, ErrSale) {
		t.Errorf("pending sale: %v", err)
	}
	one, err := r.Draft(ledger.Refund, usd(1), rich)
	if err != nil {
		t.Fatal(err)
	}
	var many []ledger.Transfer
	for i := range MaxRefunds {
		many = append(many, booked(one, ledger.Posted, i))
	}
	if _, err := Of(sold(100_000, 0, 0, 0), many); !errors.Is(err, ErrTooMany) {
		t.Errorf("got %v, want ErrTooMany", err)
	}
	stray := booked(one, ledger.Posted, 1)
	stray.Postings[0].OwnerID = "mallory"
	if _, err := Of(sale, []ledger.Transfer{stray}); err == nil {
		t.Error("a refund that takes from somebody else was counted")
	}
	fault := errors.New("down")
	if _, err := r.Draft(ledger.Refund, usd(1), func(string) (money.Amount, error) { return money.Amount{}, fault }); !errors.Is(err, fault) {
		t.Errorf("got %v, want %v", err, fault)
	}
}

// TestPartialRefundsSumToTheSale draws sales and refunds until nothing is left:
// nobody gives back more than it got, and in the end exactly that.
func TestPartialRefundsSumToTheSale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int64{3, 1000, math.MaxInt64 / 4}).Draw(t, "limit")
		part := func(label string) int64 { return rapid.Int64Range(0, limit).Draw(t, label) }
		sale := sold(1+part("eve"), part("fay"), part("platform"), part("tax"))
		var refunds []ledger.Transfer
		back := map[string]int64{}
		for round := 0; ; round++ {
			r, err := Of(sale, refunds)
			if errors.Is(err, ErrNothingLeft) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			amount := usd(rapid.Int64Range(1, r.Left().Minor).Draw(t, "amount"))
			if round > 8 {
				amount = r.Left()
			}
			has := rapid.Int64Range(0, limit).Draw(t, "available")
			draft, err := r.Draft(ledger.Refund, amount, func(string) (money.Amount, error) { return usd(has), nil })
			if err != nil {
				t.Fatal(err)
			}
			state := rapid.SampledFrom([]ledger.State{ledger.Posted, ledger.Pending, ledger.Voided}).Draw(t, "state")
			if round > 8 {
				state = ledger.Posted
			}
			refund := booked(draft, state, round)
			refunds = append(refunds, refund)
			sums := map[ledger.Side]int64{}
			for _, posting := range refund.Postings {
				sums[posting.Side] += posting.Amount.Minor
				if state != ledger.Voided {
					purpose := posting.Purpose
					if purpose == ledger.Receivable {
						purpose = ledger.Earnings
					}
					back[string(purpose)+posting.OwnerID] += posting.Amount.Minor
				}
			}
			if sums[ledger.Debit] != amount.Minor || sums[ledger.Credit] != amount.Minor {
				t.Fatalf("refund of %v has %v", amount, sums)
			}
		}
		for _, posting := range sale.Postings {
			if got := back[string(posting.Purpose)+posting.OwnerID]; got != posting.Amount.Minor {
				t.Fatalf("%s %s gave back %d of %d", posting.Purpose, posting.OwnerID, got, posting.Amount.Minor)
			}
		}
	})
}
