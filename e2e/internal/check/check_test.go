package check

import (
	"slices"
	"strings"
	"testing"

	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	transcoderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
)

func dollars(minor int64) *moneyv1.Money { return &moneyv1.Money{Minor: minor, Currency: "USD"} }

func posting(account, purpose, owner string, side settlementv1.Side, minor int64) *settlementv1.Posting {
	return &settlementv1.Posting{AccountId: account, Purpose: purpose, OwnerId: owner, Side: side, Amount: dollars(minor)}
}

const (
	debit  = settlementv1.Side_SIDE_DEBIT
	credit = settlementv1.Side_SIDE_CREDIT
)

// sound is a state without faults: a top-up of 20.00, a sale at 4.99 and a
// refused order.
func sound() *State {
	account := func(id, purpose string, normal settlementv1.Side, debits, credits int64) *settlementv1.Account {
		return &settlementv1.Account{
			Id: id, Purpose: purpose, Currency: "USD", NormalSide: normal, DebitsPosted: debits, CreditsPosted: credits,
			Overdraft: purpose == "clearing",
		}
	}
	return &State{
		Accounts: []*settlementv1.Account{
			account("clearing", "clearing", debit, 2000, 0), account("wallet", "wallet", credit, 499, 2000),
			account("earnings", "earnings", credit, 0, 349), account("platform", "platform", credit, 0, 100),
			account("tax", "tax", credit, 0, 50),
		},
		Transfers: []*settlementv1.Transfer{
			{Id: "t1", Type: "top_up", State: posted, Sequence: 1, Currency: "USD", Postings: []*settlementv1.Posting{
				posting("clearing", "clearing", "", debit, 2000), posting("wallet", "wallet", "bo", credit, 2000),
			}},
			{Id: "t2", Type: "sale", State: posted, Sequence: 2, Currency: "USD", Reference: "o1", SplitPolicy: "default", Postings: []*settlementv1.Posting{
				posting("wallet", "wallet", "bo", debit, 499), posting("earnings", "earnings", "ada", credit, 349),
				posting("platform", "platform", "", credit, 100), posting("tax", "tax", "", credit, 50),
			}},
		},
		Orders: []*storefrontv1.Order{
			{Id: "o1", ViewerId: "bo", CreatorId: "ada", VideoId: "v", Price: dollars(499), State: storefrontv1.OrderState_ORDER_STATE_PAID},
			{Id: "o2", ViewerId: "bo", CreatorId: "ada", VideoId: "v", Price: dollars(499), State: storefrontv1.OrderState_ORDER_STATE_REFUSED},
		},
		Entitlements: []*storefrontv1.Entitlement{
			{OrderId: "o1", ViewerId: "bo", VideoId: "v", State: storefrontv1.EntitlementState_ENTITLEMENT_STATE_GRANTED},
		},
		Transactions: []*coordinatorv1.Transaction{{Xid: "o1", State: coordinatorv1.TransactionState_TRANSACTION_STATE_CONFIRMED}},
		Jobs:         []*transcoderv1alpha1.Job{{Id: "j", State: transcoderv1alpha1.JobState_JOB_STATE_SUCCEEDED}},
		Policies: map[string]*settlementv1.SplitPolicy{"default": {Shares: []*settlementv1.Share{
			{Payee: settlementv1.Payee_PAYEE_CREATOR, Ppm: 700_000},
			{Payee: settlementv1.Payee_PAYEE_PLATFORM, Ppm: 200_000},
			{Payee: settlementv1.Payee_PAYEE_TAX, Ppm: 100_000},
		}}},
		Verified: &settlementv1.VerifyLedgerResponse{Ok: true},
	}
}

func TestASoundStateHasNoFaults(t *testing.T) {
	if faults := sound().Faults(); len(faults) != 0 {
		t.Error(faults)
	}
}

func TestPlantedFaultsAreFound(t *testing.T) {
	for fault, plant := range map[string]func(s *State){
		"sum to -1, not 0":                 func(s *State) { s.Transfers[1].Postings[0].Amount.Minor-- },
		"its postings say":                 func(s *State) { s.Accounts[2].CreditsPosted++ },
		"all accounts in USD sum to 1":     func(s *State) { s.Accounts[2].CreditsPosted++ },
		"is below zero":                    func(s *State) { s.Accounts[1].DebitsPosted = 2001 },
		"may be, or is, overdrawn":         func(s *State) { s.Accounts[1].Overdraft = true },
		"t1 is listed twice":               func(s *State) { s.Transfers[1].Id = "t1" },
		"which is taken or none":           func(s *State) { s.Transfers[1].Sequence = 1 },
		"which is not there":               func(s *State) { s.Transfers[1].Postings[0].AccountId = "gone" },
		"posting in EUR":                   func(s *State) { s.Transfers[1].Postings[0].Amount.Currency = "EUR" },
		"posting of -50":                   func(s *State) { s.Transfers[1].Postings[3].Amount.Minor = -50 },
		"(sale) is pending still":          func(s *State) { s.Transfers[1].State = pending },
		"holds pending 5":                  func(s *State) { s.Accounts[1].DebitsPending = 5 },
		"with 0 sales and 1":               func(s *State) { s.Transfers[1].Type = "refund" },
		"with 2 sales and 1":               func(s *State) { s.Transfers = append(s.Transfers, s.Transfers[1]) },
		"with 1 sales and 0":               func(s *State) { s.Entitlements = nil },
		"with 1 sales and 2":               func(s *State) { s.Entitlements = append(s.Entitlements, s.Entitlements[0]) },
		"REFUSED, with 1 sales and 1":      func(s *State) { s.Orders[0].State = storefrontv1.OrderState_ORDER_STATE_REFUSED },
		"o1 is ORDER_STATE_PAYING still":   func(s *State) { s.Orders[0].State = storefrontv1.OrderState_ORDER_STATE_PAYING },
		"booked for order o1":              func(s *State) { s.Orders = s.Orders[1:] },
		"granted for order o1":             func(s *State) { s.Orders = s.Orders[1:] },
		"entitlement is for viewer eve":    func(s *State) { s.Entitlements[0].ViewerId = "eve" },
		"earnings of \"eve\" instead of":   func(s *State) { s.Transfers[1].Postings[1].OwnerId = "eve" },
		"split policy \"x\" is not there":  func(s *State) { s.Transfers[1].SplitPolicy = "x" },
		"split is map[earnings:348":        func(s *State) { s.Transfers[1].Postings[1].Amount.Minor--; s.Transfers[1].Postings[2].Amount.Minor++ },
		"transaction o1 is":                func(s *State) { s.Transactions[0].State = coordinatorv1.TransactionState_TRANSACTION_STATE_PARKED },
		"order o1 is reserved still":       func(s *State) { s.Entitlements[0].State = storefrontv1.EntitlementState_ENTITLEMENT_STATE_RESERVED },
		"job j is":                         func(s *State) { s.Jobs[0].State = transcoderv1alpha1.JobState_JOB_STATE_PROBING },
		"the ledger says that it does not": func(s *State) { s.Verified.Ok = false },
		"a difference of transaction o1: [transfer_missing]": func(s *State) {
			s.Differences = []*settlementv1.Difference{{Xid: "o1", Kinds: []string{"transfer_missing"}}}
		},
		"order o1 is refunded, with 1 sales and 1": func(s *State) { s.Orders[0].State = storefrontv1.OrderState_ORDER_STATE_REFUNDED },
		"the ledger says of itself: broken":        func(s *State) { s.Verified.Faults = []string{"broken"} },
	} {
		state := sound()
		plant(state)
		faults := state.Faults()
		if !slices.ContainsFunc(faults, func(found string) bool { return strings.Contains(found, fault) }) {
			t.Errorf("%q was not found among %q", fault, faults)
		}
	}
}

func TestSplitGivesTheLargestRemaindersOneMore(t *testing.T) {
	shares := sound().Policies["default"]
	for price, want := range map[int64][3]int64{1: {1, 0, 0}, 2: {2, 0, 0}, 3: {2, 1, 0}, 499: {349, 100, 50}, 5: {4, 1, 0}} {
		got := split(price, shares)
		if [3]int64{got["earnings"], got["platform"], got["tax"]} != want {
			t.Errorf("%d: %v, want %v", price, got, want)
		}
	}
}
