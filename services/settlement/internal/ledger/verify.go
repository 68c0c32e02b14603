package ledger

import "fmt"

// MaxFaults bounds what a Verifier reports.
const MaxFaults = 100

// Verifier recomputes one ledger from its transfers. Give it the posted ones
// in the order of the chain and the pending ones in any order, then every
// account and the stored head.
type Verifier struct {
	tenantID, currency string
	head               Head
	sums               map[string]Balance // by account
	postings           map[string]int64   // that were posted, by account
	transfers          int64
	faults             []string
}

// NewVerifier starts with an empty ledger.
func NewVerifier(tenantID, currency string) *Verifier {
	return &Verifier{tenantID: tenantID, currency: currency, sums: make(map[string]Balance), postings: make(map[string]int64)}
}

// Fault adds what whoever reads the ledger found wrong with it.
func (v *Verifier) Fault(text string) { v.fault("%s", text) }

// Transfer checks the next transfer and adds it up.
func (v *Verifier) Transfer(t Transfer) {
	v.transfers++
	if err := t.Validate(); err != nil {
		v.fault("transfer %s: %v", t.ID, err)
	}
	if t.TenantID != v.tenantID || t.Currency != v.currency {
		v.fault("transfer %s: belongs to ledger %s of tenant %s", t.ID, t.Currency, t.TenantID)
	}
	switch t.State {
	case Posted:
		v.link(t)
	case Pending:
		if t.Sequence != 0 {
			v.fault("transfer %s: pending, with sequence %d", t.ID, t.Sequence)
		}
	default:
		v.fault("transfer %s: %v, want posted or pending", t.ID, t.State)
		return
	}
	for _, posting := range t.Postings {
		v.add(t, posting)
	}
}

// link checks the transfer's place in the chain.
func (v *Verifier) link(t Transfer) {
	if t.Sequence != v.head.Sequence+1 {
		v.fault("transfer %s: sequence %d follows %d", t.ID, t.Sequence, v.head.Sequence)
	}
	if Hash(v.head, t) != t.Hash {
		v.fault("transfer %s: sequence %d: hash does not match its content and the one before", t.ID, t.Sequence)
	}
	v.head = Head{Sequence: t.Sequence, Hash: t.Hash}
}

func (v *Verifier) add(t Transfer, posting Posting) {
	balance, found := v.sums[posting.AccountID]
	if !found {
		balance = ZeroBalance(v.currency)
	}
	account := Account{Balance: balance}
	posted, pending := account.sums(posting.Side)
	sum := posted
	if t.State == Pending {
		sum = pending
	}
	total, err := sum.Add(posting.Amount)
	if err != nil {
		v.fault("transfer %s: account %s: %v", t.ID, posting.AccountID, err)
		return
	}
	*sum = total
	if t.State == Posted {
		v.postings[posting.AccountID]++
	}
	v.sums[posting.AccountID] = account.Balance
}

// Account compares an account's stored balance with its postings. Accounts of
// other currencies are passed over.
func (v *Verifier) Account(account Account) {
	if account.Currency != v.currency {
		return
	}
	want, found := v.sums[account.ID]
	if !found {
		want = ZeroBalance(v.currency)
	}
	delete(v.sums, account.ID)
	if account.Balance != want {
		v.fault("account %s: balance is %v, its postings sum to %v", account.ID, account.Balance, want)
	}
	if err := account.covered(); err != nil {
		v.fault("account %s: %v", account.ID, err)
	}
}

// History is what is kept of an account's postings, for a Verifier.
type History struct {
	moves, at int64
	last      Move
	bad       int64 // sequence of the first move that does not follow the one before
}

// Add adds the next move and when it was posted, in microseconds.
func (h *History) Add(m Move, at int64) {
	debits, credits := m.Debits-h.last.Debits, m.Credits-h.last.Credits
	follows := m.Sequence > h.last.Sequence && at >= h.at && debits >= 0 && credits >= 0 && (debits == 0) != (credits == 0)
	if !follows {
		h.Broken(m.Sequence)
	}
	h.last, h.at, h.moves = m, at, h.moves+1
}

// Broken marks what cannot be read, near a place in the chain.
func (h *History) Broken(sequence int64) {
	if h.bad == 0 {
		h.bad = max(1, sequence)
	}
}

// History compares an account's history with its stored balance and its
// postings. All transfers must have been seen.
func (v *Verifier) History(account Account, h History) {
	if h.bad != 0 {
		v.fault("account %s: its history is broken at transfer %d of the chain", account.ID, h.bad)
	}
	if want := v.postings[account.ID]; h.moves != want {
		v.fault("account %s: its history has %d postings of %d", account.ID, h.moves, want)
	}
	if account.Balance.DebitsPosted.Minor != h.last.Debits || account.Balance.CreditsPosted.Minor != h.last.Credits {
		v.fault("account %s: balance is %v, its history ends with debits %d, credits %d",
			account.ID, account.Balance, h.last.Debits, h.last.Credits)
	}
}

// Finish compares the stored head and returns all faults, at most MaxFaults,
// and the number of transfers seen. Sums of debits and credits need no check
// of their own: each transfer's are equal.
func (v *Verifier) Finish(head Head) (faults []string, transfers int64) {
	if head != v.head {
		v.fault("ledger %s: head is %d (%x), the chain ends at %d (%x)",
			v.currency, head.Sequence, head.Hash, v.head.Sequence, v.head.Hash)
	}
	for id := range v.sums {
		v.fault("account %s: has postings, but does not exist", id)
	}
	return v.faults, v.transfers
}

func (v *Verifier) fault(format string, args ...any) {
	if len(v.faults) < MaxFaults {
		v.faults = append(v.faults, fmt.Sprintf(format, args...))
	}
}

// String shows a balance in minor units, for fault reports.
func (b Balance) String() string {
	return fmt.Sprintf("debits %d posted %d pending, credits %d posted %d pending",
		b.DebitsPosted.Minor, b.DebitsPending.Minor, b.CreditsPosted.Minor, b.CreditsPending.Minor)
}
