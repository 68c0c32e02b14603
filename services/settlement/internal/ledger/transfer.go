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
	// ErrAmount means an amount that is not above zero. It is an ErrTransfer.
	ErrAmount = fmt.Errorf("%w: amount is not above zero", ErrTransfer)
	// ErrSameAccount means an account with two postings in one transfer. It is
	// an ErrTransfer.
	ErrSameAccount = fmt.Errorf("%w: account appears twice", ErrTransfer)
	// ErrState means a transfer that is not in the state that a step needs.
	ErrState = errors.New("transfer is in another state")
	// ErrExpired means a pending transfer whose time is over. It is an ErrState.
	ErrExpired = fmt.Errorf("%w: it has expired", ErrState)
)

const (
	// MaxPostings bounds the lines of one transfer.
	MaxPostings = 64
	// MaxText bounds the bytes of each text of a transfer.
	MaxText = 256
)

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
	ChainID        string    // the first of those it was linked with; empty alone
	Pended         bool      // whether it was pending at first
	ExpiresAt      time.Time // when it is voided if still pending; zero never
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

// Expired reports whether the transfer was voided because its time was over.
func (t Transfer) Expired() bool {
	return t.State == Voided && !t.ExpiresAt.IsZero() && !t.EndedAt.Before(t.ExpiresAt)
}

// Validate returns ErrTransfer, ErrUnbalanced, money.ErrCurrency or
// money.ErrOverflow for a transfer whose postings cannot be booked. Where a
// posting is at fault the error is a *FieldError.
func (t Transfer) Validate() error {
	if t.ID == "" || t.TenantID == "" || t.IdempotencyKey == "" {
		return fmt.Errorf("%w: needs an id, a tenant and an idempotency key", ErrTransfer)
	}
	if len(t.Postings) < 2 || len(t.Postings) > MaxPostings {
		return &FieldError{"postings", fmt.Errorf("%w: %d postings, want 2 to %d", ErrTransfer, len(t.Postings), MaxPostings)}
	}
	debits, credits := money.Amount{Currency: t.Currency}, money.Amount{Currency: t.Currency}
	for i, posting := range t.Postings {
		var err error
		switch {
		case posting.Amount.Sign() <= 0:
			return atPosting(i, "amount", fmt.Errorf("%w: %d", ErrAmount, posting.Amount.Minor))
		case posting.Side == Debit:
			debits, err = debits.Add(posting.Amount)
		case posting.Side == Credit:
			credits, err = credits.Add(posting.Amount)
		default:
			return atPosting(i, "side", fmt.Errorf("%w: %v", ErrTransfer, posting.Side))
		}
		if err != nil {
			return atPosting(i, "amount", err)
		}
		for _, other := range t.Postings[:i] {
			if other.AccountID == posting.AccountID {
				return atPosting(i, "account_id", fmt.Errorf("%w: %s", ErrSameAccount, posting.AccountID))
			}
		}
	}
	if debits != credits {
		return &FieldError{"postings", fmt.Errorf("%w: %v against %v", ErrUnbalanced, debits, credits)}
	}
	return debits.Validate()
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
