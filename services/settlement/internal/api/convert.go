package api

import (
	"time"

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

func transferMessage(t ledger.Transfer) *settlementv1.Transfer {
	message := &settlementv1.Transfer{
		Id: t.ID, Type: string(t.Type), State: settlementv1.TransferState(t.State), Currency: t.Currency,
		Reference: t.Reference, Xid: t.XID, SplitPolicy: t.SplitPolicy, Sequence: t.Sequence,
		CreatedAt: micros(t.CreatedAt), EndedAt: micros(t.EndedAt),
		IdempotencyKey: t.IdempotencyKey, ChainId: t.ChainID, ExpiresAt: micros(t.ExpiresAt),
	}
	if t.State == ledger.Posted {
		message.Hash = t.Hash[:]
	}
	for _, posting := range t.Postings {
		message.Postings = append(message.Postings, &settlementv1.Posting{
			AccountId: posting.AccountID, Side: settlementv1.Side(posting.Side), Amount: posting.Amount.ToProto(),
			Purpose: string(posting.Purpose), OwnerId: posting.OwnerID,
		})
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
