package match

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/money"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func usd(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "USD"} }

// fact is one step of a match.
type fact func(*Match)

func paid(amount money.Amount) fact {
	return func(m *Match) { m.OrderPaid("order", amount, noon) }
}

func ended(state TransactionState) fact {
	return func(m *Match) { m.TransactionEnded(state, noon) }
}

func posted(reference string, amount money.Amount) fact {
	return func(m *Match) { m.SalePosted("transfer", reference, amount, noon) }
}

// orders are the permutations of up to three facts.
func orders(facts []fact) [][]fact {
	if len(facts) < 2 {
		return [][]fact{facts}
	}
	var all [][]fact
	for i := range facts {
		rest := slices.Concat(facts[:i], facts[i+1:])
		for _, tail := range orders(rest) {
			all = append(all, append([]fact{facts[i]}, tail...))
		}
	}
	return all
}

func TestFactsAreComparedInWhateverOrderTheyCome(t *testing.T) {
	for name, c := range map[string]struct {
		facts []fact
		early Status // as soon as all are heard
		kinds string // when the grace time is over
	}{
		"all agree":          {[]fact{paid(usd(5)), ended(Confirmed), posted("order", usd(5))}, Agreed, "[]"},
		"no transfer":        {[]fact{paid(usd(5)), ended(Confirmed)}, Waiting, "[transfer_missing]"},
		"no order":           {[]fact{ended(Confirmed), posted("order", usd(5))}, Waiting, "[order_missing]"},
		"no transaction":     {[]fact{paid(usd(5)), posted("order", usd(5))}, Waiting, "[transaction_missing]"},
		"order alone":        {[]fact{paid(usd(5))}, Waiting, "[transaction_missing transfer_missing]"},
		"transfer alone":     {[]fact{posted("order", usd(5))}, Waiting, "[order_missing transaction_missing]"},
		"transaction alone":  {[]fact{ended(Confirmed)}, Waiting, "[]"},
		"cancelled alone":    {[]fact{ended(Cancelled)}, Waiting, "[]"},
		"cancelled, posted":  {[]fact{ended(Cancelled), posted("order", usd(5))}, Waiting, "[order_missing state_differs]"},
		"cancelled, paid":    {[]fact{paid(usd(5)), ended(Cancelled)}, Waiting, "[transfer_missing state_differs]"},
		"another amount":     {[]fact{paid(usd(5)), ended(Confirmed), posted("order", usd(4))}, Waiting, "[amount_differs]"},
		"another currency":   {[]fact{paid(usd(5)), ended(Confirmed), posted("order", money.Amount{Minor: 5, Currency: "EUR"})}, Waiting, "[currency_differs]"},
		"another order's":    {[]fact{paid(usd(5)), ended(Confirmed), posted("other", usd(5))}, Waiting, "[reference_differs]"},
		"all, but cancelled": {[]fact{paid(usd(5)), ended(Cancelled), posted("order", usd(5))}, Waiting, "[state_differs]"},
	} {
		for i, facts := range orders(c.facts) {
			m := Match{XID: "x"}
			for _, f := range facts {
				f(&m)
				f(&m) // repeats change nothing
			}
			if m.Status != c.early {
				t.Errorf("%s, order %d: status %d, want %d", name, i, m.Status, c.early)
			}
			found := m.Due(noon.Add(time.Minute))
			if fmt.Sprint(m.Kinds) != c.kinds || found != (c.kinds != "[]") || found != (m.Status == Different) || !found && m.Status != Agreed {
				t.Errorf("%s, order %d: found %v, %v, status %d, want %s", name, i, found, m.Kinds, m.Status, c.kinds)
			}
			if m.Due(noon.Add(time.Hour)) {
				t.Errorf("%s: found twice", name)
			}
		}
	}
}

func TestDifferenceIsClosedByTheFactThatWasMissing(t *testing.T) {
	m := Match{XID: "x"}
	m.OrderPaid("order", usd(5), noon)
	m.TransactionEnded(Confirmed, noon)
	if !m.Due(noon.Add(time.Second)) {
		t.Fatal("not found")
	}
	m.SalePosted("transfer", "order", usd(5), noon.Add(time.Minute))
	if m.Status != Closed || m.ClosedAt != noon.Add(time.Minute) || m.ClosedBy != "" || fmt.Sprint(m.Kinds) != "[transfer_missing]" {
		t.Errorf("got %+v", m)
	}
	m.SalePosted("transfer", "order", usd(4), noon.Add(time.Hour)) // and differs anew
	if m.Status != Waiting || !m.Due(noon.Add(2*time.Hour)) {
		t.Errorf("got %+v", m)
	}
	if !m.Close("op", "known", noon.Add(3*time.Hour)) || m.Status != Closed || m.ClosedBy != "op" || m.Reason != "known" {
		t.Errorf("got %+v", m)
	}
	m.SalePosted("transfer", "order", usd(3), noon.Add(4*time.Hour))
	if m.Status != Closed || m.Close("op", "again", noon) {
		t.Errorf("opened again, or closed twice: %+v", m)
	}
}

func TestAgreedMatchWaitsAnewWhereAFactChangesIt(t *testing.T) {
	m := Match{XID: "x"}
	m.TransactionEnded(Confirmed, noon)
	m.Due(noon.Add(time.Minute)) // none of ours, so far
	m.OrderPaid("order", usd(5), noon.Add(time.Hour))
	if m.Status != Waiting || m.FirstSeenAt != noon.Add(time.Hour) {
		t.Errorf("got %+v", m)
	}
}
