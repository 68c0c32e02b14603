package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/matcher"
	"github.com/backlot-video/backlot/services/settlement/internal/reconcile"
	"github.com/backlot-video/backlot/services/settlement/internal/reconciler"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// Reconciliation implements settlementv1.ReconciliationServiceServer.
type Reconciliation struct {
	reconciler *reconciler.Reconciler
	kept       *store.Reconciliations
	matcher    *matcher.Matcher
	matches    *store.Matches
}

var _ settlementv1.ReconciliationServiceServer = (*Reconciliation)(nil)

// NewReconciliation makes a Reconciliation.
func NewReconciliation(
	r *reconciler.Reconciler, kept *store.Reconciliations, m *matcher.Matcher, matches *store.Matches,
) *Reconciliation {
	return &Reconciliation{reconciler: r, kept: kept, matcher: m, matches: matches}
}

// StartReconciliation opens a reconciliation.
func (r *Reconciliation) StartReconciliation(
	ctx context.Context, req *settlementv1.StartReconciliationRequest,
) (*settlementv1.StartReconciliationResponse, error) {
	if req.GetTo() <= req.GetFrom() {
		return nil, field("to", errors.New("must be after from"))
	}
	started, err := r.reconciler.Start(ctx, identity.Tenant(ctx), req.GetName(), req.GetIdempotencyKey(),
		time.UnixMicro(req.GetFrom()).UTC(), time.UnixMicro(req.GetTo()).UTC(), req.GetMapping())
	if err != nil {
		return nil, coded(err)
	}
	message, err := reconciliationMessage(started)
	return &settlementv1.StartReconciliationResponse{Reconciliation: message}, err
}

// AddReconciliationData brings a part of the file.
func (r *Reconciliation) AddReconciliationData(
	ctx context.Context, req *settlementv1.AddReconciliationDataRequest,
) (*settlementv1.AddReconciliationDataResponse, error) {
	size, err := r.reconciler.Add(ctx, identity.Tenant(ctx), req.GetReconciliationId(), req.GetOffset(), req.GetData())
	switch {
	case errors.Is(err, reconciler.ErrTooLarge), errors.Is(err, store.ErrPlace):
		return nil, field("offset", err)
	case err != nil:
		return nil, coded(err)
	}
	return &settlementv1.AddReconciliationDataResponse{Size: size}, nil
}

// FinishReconciliation compares the file.
func (r *Reconciliation) FinishReconciliation(
	ctx context.Context, req *settlementv1.FinishReconciliationRequest,
) (*settlementv1.FinishReconciliationResponse, error) {
	finished, err := r.reconciler.Finish(ctx, identity.Tenant(ctx), req.GetReconciliationId())
	if errors.Is(err, reconcile.ErrFile) {
		return nil, field("file", err)
	}
	if err != nil {
		return nil, coded(err)
	}
	message, err := reconciliationMessage(finished)
	return &settlementv1.FinishReconciliationResponse{Reconciliation: message}, err
}

// GetReconciliation returns one reconciliation.
func (r *Reconciliation) GetReconciliation(
	ctx context.Context, req *settlementv1.GetReconciliationRequest,
) (*settlementv1.GetReconciliationResponse, error) {
	found, err := r.kept.Get(ctx, identity.Tenant(ctx), req.GetReconciliationId())
	if err != nil {
		return nil, coded(err)
	}
	message, err := reconciliationMessage(found)
	return &settlementv1.GetReconciliationResponse{Reconciliation: message}, err
}

// ListReconciliations returns a page of reconciliations, the newest first.
func (r *Reconciliation) ListReconciliations(
	ctx context.Context, req *settlementv1.ListReconciliationsRequest,
) (*settlementv1.ListReconciliationsResponse, error) {
	page := pageOf(req)
	list, err := r.kept.List(ctx, identity.Tenant(ctx), page.After, page.Limit)
	if err != nil {
		return nil, coded(err)
	}
	response := &settlementv1.ListReconciliationsResponse{}
	for _, found := range list {
		message, err := reconciliationMessage(found)
		if err != nil {
			return nil, err
		}
		response.Reconciliations = append(response.Reconciliations, message)
	}
	if len(list) == page.Limit {
		response.NextPageToken = list[page.Limit-1].ID
	}
	return response, nil
}

// ListReconciliationDifferences returns a page of what a reconciliation found.
func (r *Reconciliation) ListReconciliationDifferences(
	ctx context.Context, req *settlementv1.ListReconciliationDifferencesRequest,
) (*settlementv1.ListReconciliationDifferencesResponse, error) {
	if _, err := r.kept.Get(ctx, identity.Tenant(ctx), req.GetReconciliationId()); err != nil {
		return nil, coded(err)
	}
	page, after := pageOf(req), int64(0)
	if page.After != "" {
		var err error
		if after, err = strconv.ParseInt(page.After, 10, 64); err != nil {
			return nil, field("page_token", errors.New("is not one that was given out"))
		}
	}
	list, err := r.kept.Differences(ctx, req.GetReconciliationId(), after, page.Limit)
	if err != nil {
		return nil, coded(err)
	}
	response := &settlementv1.ListReconciliationDifferencesResponse{}
	for _, difference := range list {
		message := new(settlementv1.ReconciliationDifference)
		if err := proto.Unmarshal(difference.Data, message); err != nil {
			return nil, fmt.Errorf("difference %d: %w", difference.Place, err)
		}
		response.Differences = append(response.Differences, message)
	}
	if len(list) == page.Limit {
		response.NextPageToken = strconv.FormatInt(list[page.Limit-1].Place, 10)
	}
	return response, nil
}

func reconciliationMessage(r store.Reconciliation) (*settlementv1.Reconciliation, error) {
	message := new(settlementv1.Reconciliation)
	if err := proto.Unmarshal(r.Report, message); err != nil {
		return nil, fmt.Errorf("report of reconciliation %s: %w", r.ID, err)
	}
	message.Id, message.Name, message.Problem = r.ID, r.Name, r.Problem
	message.State = settlementv1.ReconciliationState(r.State)
	message.From, message.To = micros(r.From), micros(r.To)
	message.CreatedAt, message.UpdatedAt = micros(r.CreatedAt), micros(r.UpdatedAt)
	return message, nil
}
