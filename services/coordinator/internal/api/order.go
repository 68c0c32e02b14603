package api

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/identity"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	"github.com/backlot-video/backlot/services/coordinator/internal/message"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// OpenTransaction starts a transaction for an initiator, or finds it.
func (h *Handler) OpenTransaction(
	ctx context.Context, req *coordinatorv1.OpenTransactionRequest,
) (*coordinatorv1.OpenTransactionResponse, error) {
	xid, err := xidOf(identity.Tenant(ctx), req.GetXid(), req.GetIdempotencyKey())
	if err != nil {
		return nil, coded(err)
	}
	submission := runner.Submission{
		Key: keyOf(ctx, xid), Wait: runner.WaitAccepted, Timeout: timeout(req.GetTimeout()),
		Spec: tcc.Spec{Mode: tcc.Initiator, Policy: message.PolicyOf(req.GetPolicy()), NotifyURL: req.GetNotifyUrl()},
	}
	if err := h.check(submission.Spec); err != nil {
		return nil, coded(err)
	}
	status, err := h.runner.Submit(ctx, submission)
	if err != nil {
		return nil, coded(err)
	}
	return &coordinatorv1.OpenTransactionResponse{Transaction: transaction(status)}, nil
}

// RegisterBranch makes a branch of an open transaction durable.
func (h *Handler) RegisterBranch(
	ctx context.Context, req *coordinatorv1.RegisterBranchRequest,
) (*coordinatorv1.RegisterBranchResponse, error) {
	branch := message.BranchOf(req.GetBranch())
	err := h.checkBranch("branch", branch)
	if err == nil {
		err = h.runner.Register(ctx, keyOf(ctx, req.GetXid()), branch)
	}
	if err != nil {
		return nil, coded(err)
	}
	return &coordinatorv1.RegisterBranchResponse{}, nil
}

// ConfirmTransaction decides an open transaction.
func (h *Handler) ConfirmTransaction(
	ctx context.Context, req *coordinatorv1.ConfirmTransactionRequest,
) (*coordinatorv1.ConfirmTransactionResponse, error) {
	status, err := h.runner.Confirm(ctx, keyOf(ctx, req.GetXid()), runner.Wait(req.GetWait()))
	if err != nil {
		return nil, coded(err)
	}
	return &coordinatorv1.ConfirmTransactionResponse{Transaction: transaction(status)}, nil
}

// CancelTransaction decides a transaction in its Try phase for Cancel.
func (h *Handler) CancelTransaction(
	ctx context.Context, req *coordinatorv1.CancelTransactionRequest,
) (*coordinatorv1.CancelTransactionResponse, error) {
	why := "cancelled on demand"
	if req.GetReason() != "" {
		why = req.GetReason()
	}
	status, err := h.runner.Cancel(ctx, keyOf(ctx, req.GetXid()), runner.Wait(req.GetWait()), why)
	if err != nil {
		return nil, coded(err)
	}
	return &coordinatorv1.CancelTransactionResponse{Transaction: transaction(status)}, nil
}

// RetryTransaction drives a parked transaction again.
func (h *Handler) RetryTransaction(
	ctx context.Context, req *coordinatorv1.RetryTransactionRequest,
) (*coordinatorv1.RetryTransactionResponse, error) {
	status, err := h.runner.Retry(ctx, keyOf(ctx, req.GetXid()))
	if err != nil {
		return nil, coded(err)
	}
	return &coordinatorv1.RetryTransactionResponse{Transaction: transaction(status)}, nil
}

// ForceTransaction takes branches for ended. Who asked is kept with the
// reason.
func (h *Handler) ForceTransaction(
	ctx context.Context, req *coordinatorv1.ForceTransactionRequest,
) (*coordinatorv1.ForceTransactionResponse, error) {
	phase, outcome := tcc.Confirm, "confirmed"
	if req.GetOutcome() == coordinatorv1.Outcome_OUTCOME_CANCELLED {
		phase, outcome = tcc.Cancel, "cancelled"
	}
	who := "unknown"
	if principal, ok := identity.From(ctx); ok {
		who = principal.ID
	}
	why := "forced to " + outcome + " by " + who + ": " + req.GetReason()
	status, err := h.runner.Force(ctx, keyOf(ctx, req.GetXid()), phase, req.GetBranchId(), why)
	if err != nil {
		return nil, coded(err)
	}
	return &coordinatorv1.ForceTransactionResponse{Transaction: transaction(status)}, nil
}

// ListRecords returns a transaction's log.
func (h *Handler) ListRecords(
	ctx context.Context, req *coordinatorv1.ListRecordsRequest,
) (*coordinatorv1.ListRecordsResponse, error) {
	status, log, err := h.runner.Log(ctx, keyOf(ctx, req.GetXid()))
	if err != nil {
		return nil, coded(err)
	}
	response := &coordinatorv1.ListRecordsResponse{}
	for _, record := range log {
		shown := &coordinatorv1.Record{
			Sequence: uint32(record.Sequence), Phase: record.Phase.String(), Status: record.Status.String(),
			Attempt: uint32(record.Attempt), Problem: record.Problem,
		}
		if record.Branch != tcc.Whole {
			shown.BranchId = status.Spec.Branches[record.Branch].ID
		}
		response.Records = append(response.Records, shown)
	}
	return response, nil
}

// timeout is a time limit of a request; 0 means the default.
func timeout(d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return max(d.AsDuration(), time.Nanosecond)
}
