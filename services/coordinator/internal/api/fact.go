package api

import (
	"github.com/backlot-video/backlot/kit/mq"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// TransactionEnded is the type of the fact.
const TransactionEnded = "backlot.coordinator.transaction_ended.v1"

// Ended is the fact that a transaction has ended.
func Ended(t runner.Transaction) (*eventv1.Envelope, error) {
	ended := &coordinatorv1.TransactionEnded{
		Xid: t.XID, TenantId: t.TenantID, State: coordinatorv1.TransactionState(t.State), Problem: t.Problem,
		EndedAt: t.UpdatedAt.UnixMicro(), NotifyUrl: t.Spec.NotifyURL,
	}
	for _, forced := range t.Forced {
		outcome := coordinatorv1.Outcome_OUTCOME_CONFIRMED
		if forced.State == tcc.BranchCancelled {
			outcome = coordinatorv1.Outcome_OUTCOME_CANCELLED
		}
		ended.Forced = append(ended.Forced, &coordinatorv1.ForcedBranch{
			BranchId: forced.BranchID, Outcome: outcome, Reason: forced.Reason,
		})
	}
	return mq.NewEnvelope(t.TenantID, TransactionEnded, t.XID, ended)
}
