// Package api serves coordinator.v1 and turns its messages into the runner's
// types and back.
//
//	api.go      the handlers
//	order.go    the handlers of what an initiator and operators order
//	check.go    what the field rules cannot say: names, addresses
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
	"errors"

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
	List(ctx context.Context, tenantID string, filter runner.Filter, before runner.Cursor, limit int) ([]runner.Status, runner.Cursor, error)
	Register(ctx context.Context, key runner.Key, branch tcc.Branch) error
	Confirm(ctx context.Context, key runner.Key, wait runner.Wait) (runner.Status, error)
	Cancel(ctx context.Context, key runner.Key, wait runner.Wait, why string) (runner.Status, error)
	Retry(ctx context.Context, key runner.Key) (runner.Status, error)
	Force(ctx context.Context, key runner.Key, phase tcc.Phase, branchID, why string) (runner.Status, error)
	Log(ctx context.Context, key runner.Key) (runner.Status, []tcc.Record, error)
}

// Config has what a Handler may do without.
type Config struct {
	// Allow returns why a URL must not be called; nil means that it may.
	// Default: none may.
	Allow func(url string) error
}

// Handler implements coordinatorv1.CoordinatorServiceServer.
type Handler struct {
	runner Runner
	config Config
}

var _ coordinatorv1.CoordinatorServiceServer = (*Handler)(nil)

// New makes a Handler.
func New(runner Runner, config Config) *Handler {
	if config.Allow == nil {
		config.Allow = func(string) error { return errors.New("no address is allowed") }
	}
	return &Handler{runner: runner, config: config}
}

// Submit starts a transaction, or finds it.
func (h *Handler) Submit(ctx context.Context, req *coordinatorv1.SubmitRequest) (*coordinatorv1.SubmitResponse, error) {
	xid, err := xidOf(identity.Tenant(ctx), req.GetXid(), req.GetIdempotencyKey())
	if err != nil {
		return nil, coded(err)
	}
	submission := runner.Submission{
		Key: keyOf(ctx, xid), Spec: specOf(req), Wait: runner.Wait(req.GetWait()), Timeout: timeout(req.GetTimeout()),
	}
	if err := h.check(submission.Spec); err != nil {
		return nil, coded(err)
	}
	status, err := h.runner.Submit(ctx, submission)
	if err != nil {
		return nil, coded(err)
	}
	return &coordinatorv1.SubmitResponse{Transaction: transaction(status)}, nil
}

// GetTransaction returns one transaction of the caller's tenant.
func (h *Handler) GetTransaction(
	ctx context.Context, req *coordinatorv1.GetTransactionRequest,
) (*coordinatorv1.GetTransactionResponse, error) {
	status, err := h.runner.Get(ctx, keyOf(ctx, req.GetXid()))
	if err != nil {
		return nil, coded(err)
	}
	return &coordinatorv1.GetTransactionResponse{Transaction: transaction(status)}, nil
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
	filter := runner.Filter{
		XIDPrefix: req.GetXidPrefix(), Service: req.GetService(), Problem: req.GetProblem(),
		OlderThan: req.GetOlderThan().AsDuration(), YoungerThan: req.GetYoungerThan().AsDuration(),
	}
	for _, state := range req.GetStates() {
		filter.States = append(filter.States, tcc.State(state))
	}
	page, next, err := h.runner.List(ctx, identity.Tenant(ctx), filter, before, size)
	if err != nil {
		return nil, coded(err)
	}
	response := &coordinatorv1.ListTransactionsResponse{}
	for _, status := range page {
		response.Transactions = append(response.Transactions, transaction(status))
	}
	if next != (runner.Cursor{}) {
		response.NextPageToken = token(next)
	}
	return response, nil
}

func keyOf(ctx context.Context, xid string) runner.Key {
	return runner.Key{TenantID: identity.Tenant(ctx), XID: xid}
}
