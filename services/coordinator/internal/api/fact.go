package api

import (
	"github.com/backlot-video/backlot/kit/mq"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
)

// TransactionEnded is the type of the fact.
const TransactionEnded = "backlot.coordinator.transaction_ended.v1"

// Ended is the fact that a transaction has ended.
func Ended(t runner.Transaction) (*eventv1.Envelope, error) {
	return mq.NewEnvelope(t.TenantID, TransactionEnded, t.XID, &coordinatorv1.TransactionEnded{
		Xid: t.XID, State: coordinatorv1.TransactionState(t.State), Problem: t.Problem,
	})
}
