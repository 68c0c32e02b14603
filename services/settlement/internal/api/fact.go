package api

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// TransfersPosted is the type of the fact.
const TransfersPosted = "backlot.settlement.transfers_posted.v1"

// transfersPostedURL names the fact's message.
const transfersPostedURL = "type.googleapis.com/backlot.settlement.v1.TransfersPosted"

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
			told, n := 0, 0
			for n < len(posted) && (n == 0 || told+len(posted[n].Postings) <= maxTold) {
				told += len(posted[n].Postings)
				n++
			}
			envelope := &eventv1.Envelope{
				TenantId: tenantID, Type: TransfersPosted, Key: tenantID + "/" + currency,
				Data: &anypb.Any{TypeUrl: transfersPostedURL, Value: appendTransfersPosted(nil, posted[:n])},
			}
			posted = posted[n:]
			id, data, err := outbox.Encode(ctx, envelope, at.UnixMicro())
			if err != nil {
				return nil, err
			}
			facts = append(facts, store.Fact{ID: id, Envelope: data})
		}
		return facts, nil
	}
}
