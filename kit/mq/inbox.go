package mq

import (
	"context"
	"database/sql"
	"fmt"

	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	kitdb "github.com/backlot-video/backlot/sql/gen/kit"
)

// Once notes in tx that a consumer handles an envelope, and reports whether it
// does so for the first time. Where it does not, the handler has nothing to do
// and returns nil. A consumer's handlers all use one name.
func Once(ctx context.Context, tx *sql.Tx, consumer string, envelope *eventv1.Envelope) (first bool, err error) {
	n, err := kitdb.New(tx).AddToInbox(ctx, kitdb.AddToInboxParams{
		Consumer: consumer, EnvelopeID: envelope.GetId(),
		TenantID: envelope.GetTenantId(), OccurredAt: envelope.GetOccurredAt(),
	})
	if err != nil {
		return false, fmt.Errorf("inbox of %s: %w", consumer, err)
	}
	return n == 1, nil
}

// OnceAll is Once for a Batch: it returns the envelopes that the consumer
// handles for the first time, in order.
func OnceAll(ctx context.Context, tx *sql.Tx, consumer string, envelopes []*eventv1.Envelope) (fresh []*eventv1.Envelope, err error) {
	for _, envelope := range envelopes {
		first, err := Once(ctx, tx, consumer, envelope)
		if err != nil {
			return nil, err
		}
		if first {
			fresh = append(fresh, envelope)
		}
	}
	return fresh, nil
}
