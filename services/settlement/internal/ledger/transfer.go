package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/money"
)

var (
	// ErrTransfer means a transfer that no ledger books.
	ErrTransfer = errors.New("invalid transfer")
	// ErrUnbalanced means postings that do not sum to zero.
	ErrUnbalanced = errors.New("postings do not sum to zero")
	// ErrState means a transfer that is not in the state that a step needs.
	ErrState = errors.New("transfer is in another state")
)

// MaxPostings bounds the lines of one transfer.
const MaxPostings = 64

// Type is what a transfer is for.
type Type string

// The types.
const (
	TopUp      Type = "top_up"
	Sale       Type = "sale"
	Refund     Type = "refund"     // gives a sale back to the wallet
	Chargeback Type = "chargeback" // gives a sale back through the provider
	Payout     Type = "payout"     // pays earnings out
	Recovery   Type = "recovery"   // pays a debt to the house from earnings
)

// State is where a transfer stands. The numbers are stored.
type State int

// The states. Posted and Voided are final.
const (
	Pending State = 1
	Posted  State = 2
	Voided  State = 3
)

func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Posted:
		return "posted"
	case Voided:
		return "voided"
	default:
		return fmt.Sprintf("state(%d)", int(s))
	}
}

// Transfer moves money among accounts of one ledger.
type Transfer struct {
	ID             string
	TenantID       string
	Currency       string
	Type           Type
	State          State
	Postings       []Posting
	Reference      string // order or payment that it belongs to
	XID            string // global transaction; empty when there is none
	IdempotencyKey string // unique within the tenant
	SplitPolicy    string // `name@release` that a sale was split by; else empty
	CreatedAt      time.Time
	EndedAt        time.Time // posted or voided; zero while pending
	Sequence       int64     // place in the chain, from 1; 0 unless posted
	Hash           [sha256.Size]byte
}

// Posting is one line of a transfer.
type Posting struct {
	AccountID string
	Side      Side
	Amount    money.Amount // above zero
	Purpose   Purpose      // the account's, for readers; no part of the hash
	OwnerID   string       // the account's, for readers; no part of the hash
}

// Validate returns ErrTransfer, ErrUnbalanced, money.ErrCurrency or
// money.ErrOverflow for a transfer whose postings cannot be booked.
func (t Transfer) Validate() error {
	if t.ID == "" || t.TenantID == "" || t.IdempotencyKey == "" {
		return fmt.Errorf("%w: needs an id, a tenant and an idempotency key", ErrTransfer)
	}
	if len(t.Postings) < 2 || len(t.Postings) > MaxPostings {
		return fmt.Errorf("%w: %d postings, want 2 to %d", ErrTransfer, len(t.Postings), MaxPostings)
	}
	sums := map[Side]money.Amount{Debit: {Currency: t.Currency}, Credit: {Currency: t.Currency}}
	seen := make(map[string]bool, len(t.Postings))
	for i, posting := range t.Postings {
		sum, known := sums[posting.Side]
		switch {
		case !known:
			return fmt.Errorf("%w: postings[%d]: %v", ErrTransfer, i, posting.Side)
		case posting.Amount.Sign() <= 0:
			return fmt.Errorf("%w: postings[%d]: amount %d is not above zero", ErrTransfer, i, posting.Amount.Minor)
		case seen[posting.AccountID]:
			return fmt.Errorf("%w: postings[%d]: account %s appears twice", ErrTransfer, i, posting.AccountID)
		}
		seen[posting.AccountID] = true
		sum, err := sum.Add(posting.Amount)
		if err != nil {
			return fmt.Errorf("postings[%d]: %w", i, err)
		}
		sums[posting.Side] = sum
	}
	if sums[Debit] != sums[Credit] {
		return fmt.Errorf("%w: %v against %v", ErrUnbalanced, sums[Debit], sums[Credit])
	}
	return sums[Debit].Validate()
}

// Amount is what the transfer moves in all: the sum of its debits.
func (t Transfer) Amount() (money.Amount, error) {
	sum := money.Amount{Currency: t.Currency}
	for _, posting := range t.Postings {
		if posting.Side != Debit {
			continue
		}
		var err error
		if sum, err = sum.Add(posting.Amount); err != nil {
			return money.Amount{}, err
		}
	}
	return sum, nil
}
