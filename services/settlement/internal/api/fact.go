package api

import (
	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// TransferPosted is the type of the fact.
const TransferPosted = "backlot.settlement.transfer_posted.v1"

// Posted is the fact that a transfer was posted.
func Posted(t ledger.Transfer) (*eventv1.Envelope, error) {
	return mq.NewEnvelope(t.TenantID, TransferPosted, t.ID, &settlementv1.TransferPosted{Transfer: transferMessage(t)})
}
