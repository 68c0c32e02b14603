package check

import (
	"fmt"

	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
)

// sums are an account's four sums, recomputed.
type sums struct{ debitsPosted, creditsPosted, debitsPending, creditsPending int64 }

// books recomputes accounts from postings.
func (s *State) books() []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	computed := map[string]*sums{}
	currencies := map[string]string{}
	for _, account := range s.Accounts {
		computed[account.GetId()] = &sums{}
		currencies[account.GetId()] = account.GetCurrency()
	}
	ids, sequences := map[string]bool{}, map[string]bool{}
	for _, transfer := range s.Transfers {
		id := transfer.GetId()
		if ids[id] {
			fault("transfer %s is listed twice", id)
		}
		ids[id] = true
		if place := fmt.Sprint(transfer.GetCurrency(), " ", transfer.GetSequence()); transfer.GetState() == posted {
			if sequences[place] || transfer.GetSequence() < 1 {
				fault("transfer %s has place %s of the chain, which is taken or none", id, place)
			}
			sequences[place] = true
		} else if transfer.GetState() == pending {
			fault("transfer %s (%s) is pending still", id, transfer.GetType())
		}
		if sum := balance(transfer); sum != 0 || len(transfer.GetPostings()) < 2 {
			fault("the %d postings of transfer %s sum to %d, not 0", len(transfer.GetPostings()), id, sum)
		}
		for _, posting := range transfer.GetPostings() {
			of := computed[posting.GetAccountId()]
			if of == nil {
				fault("transfer %s has a posting on account %s, which is not there", id, posting.GetAccountId())
				continue
			}
			if currency := posting.GetAmount().GetCurrency(); currency != currencies[posting.GetAccountId()] || currency != transfer.GetCurrency() {
				fault("transfer %s has a posting in %s on an account in %s", id, currency, currencies[posting.GetAccountId()])
			}
			if posting.GetAmount().GetMinor() <= 0 {
				fault("transfer %s has a posting of %d", id, posting.GetAmount().GetMinor())
			}
			of.add(transfer.GetState(), posting)
		}
	}
	return append(faults, s.accounts(computed)...)
}

const (
	pending = settlementv1.TransferState_TRANSFER_STATE_PENDING
	posted  = settlementv1.TransferState_TRANSFER_STATE_POSTED
)

func (s *sums) add(state settlementv1.TransferState, posting *settlementv1.Posting) {
	debit := posting.GetSide() == settlementv1.Side_SIDE_DEBIT
	amount := posting.GetAmount().GetMinor()
	switch {
	case state == posted && debit:
		s.debitsPosted += amount
	case state == posted:
		s.creditsPosted += amount
	case state == pending && debit:
		s.debitsPending += amount
	case state == pending:
		s.creditsPending += amount
	}
}

// accounts compares what accounts say with the recomputed sums.
func (s *State) accounts(computed map[string]*sums) []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	totals := map[string]int64{}
	for _, account := range s.Accounts {
		id := account.GetPurpose() + " account " + account.GetId()
		says := sums{account.GetDebitsPosted(), account.GetCreditsPosted(), account.GetDebitsPending(), account.GetCreditsPending()}
		if is := *computed[account.GetId()]; says != is {
			fault("%s says %+v, its postings say %+v", id, says, is)
		}
		if says.debitsPending != 0 || says.creditsPending != 0 {
			fault("%s holds pending %d and %d still", id, says.debitsPending, says.creditsPending)
		}
		left := says.creditsPosted - says.debitsPosted
		totals[account.GetCurrency()] += left
		if account.GetNormalSide() == settlementv1.Side_SIDE_DEBIT {
			left = -left
		}
		if !account.GetOverdraft() && left < 0 {
			fault("%s is below zero: %d", id, left)
		}
		if account.GetPurpose() == "wallet" && (account.GetOverdraft() || left < 0) {
			fault("%s may be, or is, overdrawn: %d", id, left)
		}
	}
	for currency, total := range totals {
		if total != 0 {
			fault("all accounts in %s sum to %d, not 0", currency, total)
		}
	}
	return faults
}

// balance is debits less credits.
func balance(t *settlementv1.Transfer) int64 {
	sum := int64(0)
	for _, posting := range t.GetPostings() {
		if posting.GetSide() == settlementv1.Side_SIDE_DEBIT {
			sum += posting.GetAmount().GetMinor()
		} else {
			sum -= posting.GetAmount().GetMinor()
		}
	}
	return sum
}
