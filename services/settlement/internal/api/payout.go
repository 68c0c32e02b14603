package api

import (
	"context"
	"errors"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/money"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/payer"
	"github.com/backlot-video/backlot/services/settlement/internal/payout"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

// Payout implements settlementv1.PayoutServiceServer.
type Payout struct {
	payer *payer.Payer
	kept  *store.Payouts
}

var _ settlementv1.PayoutServiceServer = (*Payout)(nil)

// NewPayout makes a Payout.
func NewPayout(payer *payer.Payer, kept *store.Payouts) *Payout {
	return &Payout{payer: payer, kept: kept}
}

// CreatePayoutBatch drafts a batch.
func (p *Payout) CreatePayoutBatch(
	ctx context.Context, req *settlementv1.CreatePayoutBatchRequest,
) (*settlementv1.CreatePayoutBatchResponse, error) {
	minimum := money.Amount{Minor: req.GetMinimum(), Currency: req.GetCurrency()}
	if err := minimum.Validate(); err != nil {
		return nil, field("currency", err)
	}
	batch, err := p.payer.Create(ctx, identity.Tenant(ctx), req.GetIdempotencyKey(), minimum, req.GetOwnerIds())
	if errors.Is(err, payout.ErrMinimum) {
		return nil, field("minimum", err)
	}
	message, err := p.message(ctx, batch, err)
	return &settlementv1.CreatePayoutBatchResponse{Batch: message}, err
}

// ApprovePayoutBatch holds a batch's money.
func (p *Payout) ApprovePayoutBatch(
	ctx context.Context, req *settlementv1.ApprovePayoutBatchRequest,
) (*settlementv1.ApprovePayoutBatchResponse, error) {
	batch, err := p.payer.Step(ctx, identity.Tenant(ctx), req.GetBatchId(), payout.Approve)
	message, err := p.message(ctx, batch, err)
	return &settlementv1.ApprovePayoutBatchResponse{Batch: message}, err
}

// SubmitPayoutBatch gives a batch to the provider.
func (p *Payout) SubmitPayoutBatch(
	ctx context.Context, req *settlementv1.SubmitPayoutBatchRequest,
) (*settlementv1.SubmitPayoutBatchResponse, error) {
	batch, err := p.payer.Step(ctx, identity.Tenant(ctx), req.GetBatchId(), payout.Submit)
	message, err := p.message(ctx, batch, err)
	return &settlementv1.SubmitPayoutBatchResponse{Batch: message}, err
}

// CancelPayoutBatch ends a batch that was not submitted.
func (p *Payout) CancelPayoutBatch(
	ctx context.Context, req *settlementv1.CancelPayoutBatchRequest,
) (*settlementv1.CancelPayoutBatchResponse, error) {
	batch, err := p.payer.Step(ctx, identity.Tenant(ctx), req.GetBatchId(), payout.Cancel)
	message, err := p.message(ctx, batch, err)
	return &settlementv1.CancelPayoutBatchResponse{Batch: message}, err
}

// EndPayouts tells how payouts ended that a person sent.
func (p *Payout) EndPayouts(
	ctx context.Context, req *settlementv1.EndPayoutsRequest,
) (*settlementv1.EndPayoutsResponse, error) {
	ends := make([]payer.End, len(req.GetEnds()))
	for i, end := range req.GetEnds() {
		ends[i] = payer.End{PayoutID: end.GetPayoutId(), Problem: end.GetProblem()}
	}
	batch, err := p.payer.End(ctx, identity.Tenant(ctx), req.GetBatchId(), ends)
	message, err := p.message(ctx, batch, err)
	return &settlementv1.EndPayoutsResponse{Batch: message}, err
}

// GetPayoutBatch returns one batch.
func (p *Payout) GetPayoutBatch(
	ctx context.Context, req *settlementv1.GetPayoutBatchRequest,
) (*settlementv1.GetPayoutBatchResponse, error) {
	batch, err := p.kept.Batch(ctx, identity.Tenant(ctx), req.GetBatchId())
	message, err := p.message(ctx, batch, err)
	return &settlementv1.GetPayoutBatchResponse{Batch: message}, err
}

// ListPayoutBatches returns a page of batches, the newest first.
func (p *Payout) ListPayoutBatches(
	ctx context.Context, req *settlementv1.ListPayoutBatchesRequest,
) (*settlementv1.ListPayoutBatchesResponse, error) {
	page := pageOf(req)
	batches, err := p.kept.Batches(ctx, identity.Tenant(ctx), page.After, page.Limit)
	if err != nil {
		return nil, coded(err)
	}
	response := &settlementv1.ListPayoutBatchesResponse{}
	for _, batch := range batches {
		message, err := p.message(ctx, batch, nil)
		if err != nil {
			return nil, err
		}
		response.Batches = append(response.Batches, message)
	}
	if len(batches) == page.Limit {
		response.NextPageToken = batches[page.Limit-1].ID
	}
	return response, nil
}

// ListPayouts returns a page of a batch's payouts.
func (p *Payout) ListPayouts(
	ctx context.Context, req *settlementv1.ListPayoutsRequest,
) (*settlementv1.ListPayoutsResponse, error) {
	batch, err := p.kept.Batch(ctx, identity.Tenant(ctx), req.GetBatchId())
	if err != nil {
		return nil, coded(err)
	}
	page := pageOf(req)
	list, err := p.kept.List(ctx, batch, page)
	if err != nil {
		return nil, coded(err)
	}
	response := &settlementv1.ListPayoutsResponse{}
	for _, found := range list {
		response.Payouts = append(response.Payouts, &settlementv1.Payout{
			Id: found.ID, BatchId: found.BatchID, OwnerId: found.OwnerID, Amount: found.Amount.ToProto(),
			State: settlementv1.PayoutState(found.State), Problem: found.Problem, TransferId: found.TransferID,
			UpdatedAt: micros(found.UpdatedAt),
		})
	}
	if len(list) == page.Limit {
		response.NextPageToken = list[page.Limit-1].ID
	}
	return response, nil
}

// message is a batch on the wire, with the sums of its payouts, or the coded
// error of what made it.
func (p *Payout) message(ctx context.Context, batch payout.Batch, err error) (*settlementv1.PayoutBatch, error) {
	if err != nil {
		return nil, coded(err)
	}
	sums, err := p.kept.Sums(ctx, batch.ID)
	if err != nil {
		return nil, coded(err)
	}
	message := &settlementv1.PayoutBatch{
		Id: batch.ID, Currency: batch.Currency, State: settlementv1.PayoutBatchState(batch.State), Minimum: batch.Minimum.ToProto(),
		Settled: int32(sums[payout.Settled].Count), Failed: int32(sums[payout.Failed].Count),
		CreatedAt: micros(batch.CreatedAt), UpdatedAt: micros(batch.UpdatedAt), IdempotencyKey: batch.IdempotencyKey,
	}
	total := money.Amount{Currency: batch.Currency}
	for _, sum := range sums {
		message.Items += int32(sum.Count)
		if total, err = total.Add(money.Amount{Minor: sum.Minor, Currency: batch.Currency}); err != nil {
			return nil, coded(err)
		}
	}
	message.Total = total.ToProto()
	message.Paid = money.Amount{Minor: sums[payout.Settled].Minor, Currency: batch.Currency}.ToProto()
	return message, nil
}
