package api

import (
	"time"

	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// The sides and states have the contract's numbers.

func accountMessage(a ledger.Account) *settlementv1.Account {
	return &settlementv1.Account{
		Id: a.ID, Purpose: string(a.Purpose), OwnerId: a.OwnerID, Currency: a.Currency,
		NormalSide: settlementv1.Side(a.NormalSide), Overdraft: a.Overdraft,
		DebitsPosted: a.Balance.DebitsPosted.Minor, CreditsPosted: a.Balance.CreditsPosted.Minor,
		DebitsPending: a.Balance.DebitsPending.Minor, CreditsPending: a.Balance.CreditsPending.Minor,
	}
}

// transferMessage is of t's memory: t must stay as it is.
func transferMessage(t *ledger.Transfer) *settlementv1.Transfer {
	message := &settlementv1.Transfer{
		Id: t.ID, Type: string(t.Type), State: settlementv1.TransferState(t.State), Currency: t.Currency,
		Reference: t.Reference, Xid: t.XID, SplitPolicy: t.SplitPolicy, Sequence: t.Sequence,
		CreatedAt: micros(t.CreatedAt), EndedAt: micros(t.EndedAt),
		IdempotencyKey: t.IdempotencyKey, ChainId: t.ChainID, ExpiresAt: micros(t.ExpiresAt),
		Postings: make([]*settlementv1.Posting, len(t.Postings)),
	}
	if t.State == ledger.Posted {
		message.Hash = t.Hash[:]
	}
	memory := make([]struct { // all postings in one piece: there are many
		posting settlementv1.Posting
		amount  moneyv1.Money
	}, len(t.Postings))
	for i := range t.Postings {
		from, to := &t.Postings[i], &memory[i]
		to.amount.Minor, to.amount.Currency = from.Amount.Minor, from.Amount.Currency
		to.posting.AccountId, to.posting.Side, to.posting.Amount = from.AccountID, settlementv1.Side(from.Side), &to.amount
		to.posting.Purpose, to.posting.OwnerId = string(from.Purpose), from.OwnerID
		message.Postings[i] = &to.posting
	}
	return message
}

// micros is a time on the wire; none is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
