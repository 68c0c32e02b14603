package api

import (
	"github.com/backlot-video/backlot/kit/mq"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// The types of facts. A notification that is due carries what the end does: who
// sends notifications need not read every end to find those with an address.
const (
	TransactionEnded = "backlot.coordinator.transaction_ended.v1"
	NotificationDue  = "backlot.coordinator.notification_due.v1"
)

// Ended are the facts that a transaction has ended and that somebody is to be
// notified of it, where it says whom.
func Ended(t runner.Transaction) ([]*eventv1.Envelope, error) {
	ended, err := mq.NewEnvelope(t.TenantID, TransactionEnded, t.XID, end(t))
	if err != nil || t.Spec.NotifyURL == "" {
		return []*eventv1.Envelope{ended}, err
	}
	due, err := mq.NewEnvelope(t.TenantID, NotificationDue, t.XID, end(t))
	return []*eventv1.Envelope{ended, due}, err
}

func end(t runner.Transaction) *coordinatorv1.TransactionEnded {
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
	return ended
}
