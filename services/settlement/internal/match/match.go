// Package match compares what three facts say of one sale: that its order was
// paid (storefront), that its global transaction ended (coordinator) and that
// its transfer was posted (settlement).
//
// A Match collects the facts of one global transaction, in whatever order they
// come. It waits until they agree; where they do not once a grace time is over,
// it differs, and is closed when a later fact repairs it or a person closes it.
// The package holds no clock and does no I/O.
package match

import (
	"slices"
	"time"

	"github.com/backlot-video/backlot/kit/money"
)

// Status is where a match stands. The numbers are stored.
type Status int

// The statuses.
const (
	Waiting   Status = 1
	Agreed    Status = 2 // also where there is nothing to compare
	Different Status = 3
	Closed    Status = 4 // differed, and was repaired or closed by a person
)

// OrderState is what was heard of an order. The numbers are stored.
type OrderState int

// The states.
const (
	NoOrder OrderState = 0
	Paid    OrderState = 1
)

// TransactionState is what was heard of a global transaction. The numbers are
// the coordinator's, and stored.
type TransactionState int

// The states.
const (
	NoTransaction TransactionState = 0
	Confirmed     TransactionState = 3
	Cancelled     TransactionState = 5
)

func (s TransactionState) String() string {
	switch s {
	case Confirmed:
		return "confirmed"
	case Cancelled:
		return "cancelled"
	default:
		return ""
	}
}

// Kind is what does not agree.
type Kind string

// The kinds.
const (
	OrderMissing       Kind = "order_missing"
	TransactionMissing Kind = "transaction_missing"
	TransferMissing    Kind = "transfer_missing"
	AmountDiffers      Kind = "amount_differs"
	CurrencyDiffers    Kind = "currency_differs"
	ReferenceDiffers   Kind = "reference_differs" // the transfer names another order
	StateDiffers       Kind = "state_differs"     // cancelled, and yet paid or posted
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{
		OrderMissing, TransactionMissing, TransferMissing, AmountDiffers, CurrencyDiffers, ReferenceDiffers, StateDiffers,
	}
}

// Match is what is known of one global transaction.
type Match struct {
	TenantID, XID string
	Status        Status

	OrderID     string
	Order       OrderState
	OrderAmount money.Amount

	Transaction TransactionState

	TransferID        string // empty while no sale was posted
	TransferReference string
	TransferAmount    money.Amount

	Kinds []Kind // what does not agree; of Different and Closed

	FirstSeenAt time.Time // when it began to wait
	UpdatedAt   time.Time
	FoundAt     time.Time // when it differed; zero where it never did
	ClosedAt    time.Time
	ClosedBy    string // empty where it was repaired
	Reason      string
}

// OrderPaid takes the fact that an order was paid.
func (m *Match) OrderPaid(orderID string, amount money.Amount, now time.Time) {
	m.OrderID, m.Order, m.OrderAmount = orderID, Paid, amount
	m.heard(now)
}

// TransactionEnded takes the fact that the global transaction ended.
func (m *Match) TransactionEnded(state TransactionState, now time.Time) {
	m.Transaction = state
	m.heard(now)
}

// SalePosted takes the fact that the sale's transfer was posted.
func (m *Match) SalePosted(transferID, reference string, amount money.Amount, now time.Time) {
	m.TransferID, m.TransferReference, m.TransferAmount = transferID, reference, amount
	m.heard(now)
}

// heard looks at the match after a fact.
func (m *Match) heard(now time.Time) {
	if m.FirstSeenAt.IsZero() || m.Status == Agreed {
		m.FirstSeenAt = now
	}
	m.UpdatedAt = now
	agrees := len(m.faults()) == 0
	switch m.Status {
	case Different:
		if agrees {
			m.close("", "repaired", now)
		}
	case Closed: // a person's word, or a repair, is not taken back by what agrees
		if !agrees && m.ClosedBy == "" {
			m.Status, m.ClosedAt, m.Reason, m.FirstSeenAt = Waiting, time.Time{}, "", now
		}
	default:
		m.Status = Waiting
		if agrees && m.whole() {
			m.Status = Agreed
		}
	}
}

// Due looks at a match that has waited for the grace time, and tells whether it
// was found to differ just now.
func (m *Match) Due(now time.Time) (found bool) {
	if m.Status != Waiting {
		return false
	}
	m.UpdatedAt = now
	if m.Kinds = m.faults(); len(m.Kinds) == 0 {
		m.Status = Agreed
		return false
	}
	m.Status, m.FoundAt = Different, now
	return true
}

// Close is a person's word that a difference is dealt with. It tells whether
// there was one.
func (m *Match) Close(by, reason string, now time.Time) bool {
	if m.Status != Different {
		return false
	}
	m.close(by, reason, now)
	return true
}

func (m *Match) close(by, reason string, now time.Time) {
	m.Status, m.ClosedAt, m.ClosedBy, m.Reason, m.UpdatedAt = Closed, now, by, reason, now
}

// whole tells whether every fact is here.
func (m *Match) whole() bool {
	return m.Order == Paid && m.Transaction != NoTransaction && m.TransferID != ""
}

// faults are what does not agree, in the order of Kinds. A transaction without
// order and transfer is none of ours.
func (m *Match) faults() []Kind {
	posted := m.TransferID != ""
	if m.Order == NoOrder && !posted {
		return nil
	}
	found := map[Kind]bool{
		OrderMissing:       m.Order == NoOrder,
		TransactionMissing: m.Transaction == NoTransaction,
		TransferMissing:    !posted,
		StateDiffers:       m.Transaction != NoTransaction && m.Transaction != Confirmed,
	}
	if m.Order == Paid && posted {
		found[CurrencyDiffers] = m.OrderAmount.Currency != m.TransferAmount.Currency
		found[AmountDiffers] = !found[CurrencyDiffers] && m.OrderAmount != m.TransferAmount
		found[ReferenceDiffers] = m.OrderID != m.TransferReference
	}
	return slices.DeleteFunc(Kinds(), func(kind Kind) bool { return !found[kind] })
}
