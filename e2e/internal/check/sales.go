package check

import (
	"fmt"
	"maps"
	"sort"

	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	transcoderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
)

// sales compares orders with entitlements, transfers and transactions.
func (s *State) sales() []string {
	faults := s.unfinished()
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	sold := map[string][]*settlementv1.Transfer{}
	for _, transfer := range s.Transfers {
		if transfer.GetType() == "sale" && transfer.GetState() == posted {
			sold[transfer.GetReference()] = append(sold[transfer.GetReference()], transfer)
		}
	}
	granted := map[string][]*storefrontv1.Entitlement{}
	for _, entitlement := range s.Entitlements {
		if entitlement.GetState() == storefrontv1.EntitlementState_ENTITLEMENT_STATE_GRANTED {
			granted[entitlement.GetOrderId()] = append(granted[entitlement.GetOrderId()], entitlement)
		}
	}
	for _, order := range s.Orders {
		sales, rights := sold[order.GetId()], granted[order.GetId()]
		delete(sold, order.GetId())
		delete(granted, order.GetId())
		wanted := 0
		switch order.GetState() {
		case storefrontv1.OrderState_ORDER_STATE_PAID:
			wanted = 1
		case storefrontv1.OrderState_ORDER_STATE_REFUNDED:
			if len(sales) != 1 || len(rights) != 0 {
				fault("order %s is refunded, with %d sales and %d entitlements", order.GetId(), len(sales), len(rights))
			}
			continue
		default:
		}
		if len(sales) != wanted || len(rights) != wanted {
			fault("order %s is %s, with %d sales and %d entitlements", order.GetId(), order.GetState(), len(sales), len(rights))
			continue
		}
		if wanted == 1 {
			faults = append(faults, s.sale(order, sales[0], rights[0])...)
		}
	}
	for order := range sold {
		fault("a sale is booked for order %s, which is not there", order)
	}
	for order := range granted {
		fault("an entitlement is granted for order %s, which is not there", order)
	}
	return faults
}

// sale compares one paid order with its transfer and its entitlement.
func (s *State) sale(order *storefrontv1.Order, transfer *settlementv1.Transfer, right *storefrontv1.Entitlement) []string {
	var faults []string
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("order %s: ", order.GetId())+fmt.Sprintf(format, args...))
	}
	if right.GetViewerId() != order.GetViewerId() || right.GetVideoId() != order.GetVideoId() {
		fault("entitlement is for viewer %s and video %s", right.GetViewerId(), right.GetVideoId())
	}
	policy := s.Policies[transfer.GetSplitPolicy()]
	if policy == nil {
		fault("split policy %q is not there", transfer.GetSplitPolicy())
		return faults
	}
	wanted := split(order.GetPrice().GetMinor(), policy)
	wanted["wallet"] = -order.GetPrice().GetMinor()
	got := map[string]int64{}
	for _, posting := range transfer.GetPostings() {
		amount := posting.GetAmount().GetMinor()
		if posting.GetSide() == settlementv1.Side_SIDE_DEBIT {
			amount = -amount
		}
		got[posting.GetPurpose()] += amount
		owner := map[string]string{"wallet": order.GetViewerId(), "earnings": order.GetCreatorId()}[posting.GetPurpose()]
		if posting.GetOwnerId() != owner {
			fault("%s of %q instead of %q", posting.GetPurpose(), posting.GetOwnerId(), owner)
		}
	}
	if !maps.Equal(wanted, got) || transfer.GetCurrency() != order.GetPrice().GetCurrency() {
		fault("split is %v, want %v", got, wanted)
	}
	return faults
}

var purposes = map[settlementv1.Payee]string{
	settlementv1.Payee_PAYEE_CREATOR:  "earnings",
	settlementv1.Payee_PAYEE_PLATFORM: "platform",
	settlementv1.Payee_PAYEE_TAX:      "tax",
}

// split divides by largest remainder, ties to the share that comes first.
func split(price int64, policy *settlementv1.SplitPolicy) map[string]int64 {
	const million = 1_000_000
	shares := policy.GetShares()
	parts, order, left := make([]int64, len(shares)), make([]int, len(shares)), price
	for i, share := range shares {
		order[i] = i
		parts[i] = price * int64(share.GetPpm()) / million
		left -= parts[i]
	}
	rest := func(i int) int64 { return price * int64(shares[i].GetPpm()) % million }
	sort.SliceStable(order, func(a, b int) bool { return rest(order[a]) > rest(order[b]) })
	for i := range left {
		parts[order[i]]++
	}
	by := map[string]int64{}
	for i, share := range shares {
		if parts[i] != 0 {
			by[purposes[share.GetPayee()]] += parts[i]
		}
	}
	return by
}

// unfinished tells what should have ended.
func (s *State) unfinished() []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, transaction := range s.Transactions {
		switch transaction.GetState() {
		case coordinatorv1.TransactionState_TRANSACTION_STATE_CONFIRMED, coordinatorv1.TransactionState_TRANSACTION_STATE_CANCELLED:
		default:
			fault("transaction %s is %s still: %s", transaction.GetXid(), transaction.GetState(), transaction.GetProblem())
		}
	}
	for _, order := range s.Orders {
		if order.GetState() < storefrontv1.OrderState_ORDER_STATE_PAID {
			fault("order %s is %s still", order.GetId(), order.GetState())
		}
	}
	for _, right := range s.Entitlements {
		if right.GetState() == storefrontv1.EntitlementState_ENTITLEMENT_STATE_RESERVED {
			fault("entitlement of order %s is reserved still", right.GetOrderId())
		}
	}
	for _, job := range s.Jobs {
		if job.GetState() < transcoderv1alpha1.JobState_JOB_STATE_SUCCEEDED {
			fault("job %s is %s still", job.GetId(), job.GetState())
		}
	}
	return faults
}
