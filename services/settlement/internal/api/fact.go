package api

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// TransfersPosted is the type of the fact.
const TransfersPosted = "backlot.settlement.transfers_posted.v1"

// transfersPostedURL names the fact's message.
const transfersPostedURL = "type.googleapis.com/backlot.settlement.v1.TransfersPosted"

const (
	// maxTold bounds the postings that one fact tells of, so that it stays far
	// below mq.EnvelopeLimit.
	maxTold = 512
	// leastShort is how many transfers a fact tells of, at least, that is short in
	// the outbox: fewer take little room, and are published without being read.
	leastShort = 8
)

// Tell makes the facts that transfers of a ledger were posted, for the outbox.
// Those of transfers in blocks are short: written twice, they were two fifths of all
// that a batch writes. Expand makes them whole.
func Tell(outbox *mq.Outbox) func(
	ctx context.Context, tenantID, currency string, at time.Time, posted store.Posted,
) ([]store.Fact, error) {
	return func(ctx context.Context, tenantID, currency string, at time.Time, posted store.Posted) ([]store.Fact, error) {
		var facts []store.Fact
		for rest := posted.Transfers; len(rest) > 0; {
			told, n := 0, 0
			for n < len(rest) && (n == 0 || told+len(rest[n].Postings) <= maxTold) {
				told += len(rest[n].Postings)
				n++
			}
			envelope := &eventv1.Envelope{TenantId: tenantID, Type: TransfersPosted, Key: tenantID + "/" + currency}
			encode, err := outbox.Encode, error(nil)
			if posted.Ledger != 0 && n >= leastShort {
				encode = outbox.EncodeShort
				envelope.Data, err = anypb.New(&settlementv1.TransfersPostedAt{
					Ledger: posted.Ledger, FirstSequence: rest[0].Sequence, LastSequence: rest[n-1].Sequence,
				})
			} else {
				envelope.Data = transfersPosted(rest[:n])
			}
			if err != nil {
				return nil, err
			}
			var fact store.Fact
			if fact.ID, fact.Envelope, err = encode(ctx, envelope, at.UnixMicro()); err != nil {
				return nil, err
			}
			facts, rest = append(facts, fact), rest[n:]
		}
		return facts, nil
	}
}

func transfersPosted(transfers []*ledger.Transfer) *anypb.Any {
	return &anypb.Any{TypeUrl: transfersPostedURL, Value: appendTransfersPosted(nil, transfers)}
}

// Expand makes whole what Tell has made, for mq.OutboxConfig.
func Expand(ledgers *store.Store) func(ctx context.Context, envelope *eventv1.Envelope) error {
	return func(ctx context.Context, envelope *eventv1.Envelope) error {
		at := new(settlementv1.TransfersPostedAt)
		if err := envelope.GetData().UnmarshalTo(at); err != nil {
			return fmt.Errorf("short fact: %w", err)
		}
		first, last := at.GetFirstSequence(), at.GetLastSequence()
		whole := make([]byte, 0, usualTransfer*max(0, min(maxTold, last-first+1)))
		err := ledgers.EachInBlocks(ctx, at.GetLedger(), first, last, func(t *ledger.Transfer) { whole = appendPostedTransfer(whole, t) })
		if err != nil {
			return fmt.Errorf("transfers %d to %d of ledger %d: %w", first, last, at.GetLedger(), err)
		}
		envelope.Data = &anypb.Any{TypeUrl: transfersPostedURL, Value: whole}
		return nil
	}
}
