package api

import (
	"context"
	"time"

	"github.com/backlot-video/backlot/kit/mq"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// TransfersPosted is the type of the fact.
const TransfersPosted = "backlot.settlement.transfers_posted.v1"

// maxTold bounds the postings that one fact tells of, so that it stays far
// below mq.EnvelopeLimit.
const maxTold = 512

// Tell makes the facts that transfers of a ledger were posted, for the outbox.
func Tell(outbox *mq.Outbox) func(
	ctx context.Context, tenantID, currency string, at time.Time, posted []*ledger.Transfer,
) ([]store.Fact, error) {
	return func(ctx context.Context, tenantID, currency string, at time.Time, posted []*ledger.Transfer) ([]store.Fact, error) {
		var facts []store.Fact
		for len(posted) > 0 {
			fact := &settlementv1.TransfersPosted{}
			for told := 0; len(posted) > 0 && (told == 0 || told+len(posted[0].Postings) <= maxTold); posted = posted[1:] {
				told += len(posted[0].Postings)
				fact.Transfers = append(fact.Transfers, transferMessage(posted[0]))
			}
			envelope, err := mq.NewEnvelope(tenantID, TransfersPosted, tenantID+"/"+currency, fact)
			if err != nil {
				return nil, err
			}
			id, data, err := outbox.Encode(ctx, envelope, at.UnixMicro())
			if err != nil {
				return nil, err
			}
			facts = append(facts, store.Fact{ID: id, Envelope: data})
		}
		return facts, nil
	}
}
