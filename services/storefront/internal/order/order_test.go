package order_test

import (
	"errors"
	"testing"

	"github.com/backlot-video/backlot/services/storefront/internal/order"
)

func TestReserveRefusesWhatIsOwnedOrUnderWay(t *testing.T) {
	cases := map[string]struct {
		current *order.Entitlement
		want    error
	}{
		"first purchase":       {nil, nil},
		"owned":                {&order.Entitlement{OrderID: "a", State: order.Granted}, order.ErrOwned},
		"owned by same order":  {&order.Entitlement{OrderID: "b", State: order.Granted}, order.ErrOwned},
		"other order reserved": {&order.Entitlement{OrderID: "a", State: order.Reserved}, order.ErrBusy},
		"same order reserved":  {&order.Entitlement{OrderID: "b", State: order.Reserved}, nil},
		"released before":      {&order.Entitlement{OrderID: "a", State: order.Released}, nil},
		"revoked before":       {&order.Entitlement{OrderID: "a", State: order.Revoked}, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := order.Reserve(c.current, order.Entitlement{OrderID: "b"})
			if !errors.Is(err, c.want) {
				t.Fatalf("err = %v, want %v", err, c.want)
			}
			if err == nil && (got.State != order.Reserved || got.OrderID != "b") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestVerdictDecidesTheNextState(t *testing.T) {
	want := map[order.Verdict]order.State{
		order.Allow: order.Paying, order.Deny: order.Refused,
		order.Hold: order.Review, order.Challenge: order.Review, 0: order.Review,
	}
	for verdict, state := range want {
		if got := verdict.Next(); got != state {
			t.Errorf("verdict %d leads to %d, want %d", verdict, got, state)
		}
	}
}
