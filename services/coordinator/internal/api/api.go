// Package api serves coordinator.v1 and turns its messages into the runner's
// types and back.
//
//	api.go      the handlers
//	convert.go  messages to and from the runner's types
//	payload.go  showing what branches are given
//	errors.go   which code an error gets
//	fact.go     the fact that a transaction has ended
//
// Every transaction belongs to its submitter's tenant. Access by kind of
// principal, deadlines and the contract's field rules are the chain's duty
// (kit/rpc).
package api

import (
	"context"
	"time"

	"github.com/backlot-video/backlot/kit/identity"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

const defaultPage = 50

// Runner is what the handlers need of a runner.Runner.
type Runner interface {
	Submit(ctx context.Context, s runner.Submission) (runner.Status, error)
	Get(ctx context.Context, key runner.Key) (runner.Status, error)
	List(ctx context.Context, tenantID string, states []tcc.State, before runner.Cursor, limit int) ([]runner.Status, error)
	Retry(ctx context.Context, key runner.Key) (runner.Status, error)
}

// Handler implements coordinatorv1.CoordinatorServiceServer.
type Handler struct{ runner Runner }

var _ coordinatorv1.CoordinatorServiceServer = (*Handler)(nil)

// New makes a Handler.
func New(runner Runner) *Handler { return &Handler{runner: runner} }

// Submit starts a transaction, or finds it.
func (h *Handler) Submit(ctx context.Context, req *coordinatorv1.SubmitRequest) (*coordinatorv1.SubmitResponse, error) {
	submission := runner.Submission{
		Key: keyOf(ctx, req.GetXid()), Spec: specOf(req), Wait: runner.Wait(req.GetWait()),
	}
	if req.GetTimeout() != nil {
		submission.Timeout = max(req.GetTimeout().AsDuration(), time.Nanosecond)
	}
	status, err := h.runner.Submit(ctx, submission)
	if err != nil {
		return nil, coded(err)
	}
	return &coordinatorv1.SubmitResponse{Transaction: message(status)}, nil
}

// GetTransaction returns one transaction of the caller's tenant.
func (h *Handler) GetTransaction(
	ctx context.Context, req *coordinatorv1.GetTransactionRequest,
) (*coordinatorv1.GetTransactionResponse, error) {
	status, err := h.runner.Get(ctx, keyOf(ctx, req.GetXid()))
	if err != nil {
		return nil, coded(err)
	}
	return &coordinatorv1.GetTransactionResponse{Transaction: message(status)}, nil
}

// ListTransactions returns a page, newest first.
func (h *Handler) ListTransactions(
	ctx context.Context, req *coordinatorv1.ListTransactionsRequest,
) (*coordinatorv1.ListTransactionsResponse, error) {
	before, err := parseToken(req.GetPageToken())
	if err != nil {
		return nil, coded(err)
	}
	size := int(req.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	var states []tcc.State
	for _, state := range req.GetStates() {
		states = append(states, tcc.State(state))
	}
	page, err := h.runner.List(ctx, identity.Tenant(ctx), states, before, size)
	if err != nil {
		return nil, coded(err)
	}
	response := &coordinatorv1.ListTransactionsResponse{}
	for _, status := range page {
		response.Transactions = append(response.Transactions, message(status))
	}
	if len(page) == size {
		last := page[size-1]
		response.NextPageToken = token(runner.Cursor{CreatedAt: last.CreatedAt, Key: last.Key})
	}
	return response, nil
}

// RetryTransaction drives a parked transaction again.
func (h *Handler) RetryTransaction(
	ctx context.Context, req *coordinatorv1.RetryTransactionRequest,
) (*coordinatorv1.RetryTransactionResponse, error) {
	status, err := h.runner.Retry(ctx, keyOf(ctx, req.GetXid()))
	if err != nil {
		return nil, coded(err)
	}
	return &coordinatorv1.RetryTransactionResponse{Transaction: message(status)}, nil
}

func keyOf(ctx context.Context, xid string) runner.Key {
	return runner.Key{TenantID: identity.Tenant(ctx), XID: xid}
}
