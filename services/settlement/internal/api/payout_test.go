package api

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/identity"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/payer"
	"github.com/backlot-video/backlot/services/settlement/internal/payment"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

func TestPayoutsAreServed(t *testing.T) {
	h := open(t)
	h.fund(t, "ann", 1000)
	h.sell(t, "order", 1000) // eve earns 700
	kept := store.NewPayouts(h.db)
	log := slog.New(slog.DiscardHandler)
	p := NewPayout(payer.New(payer.Config{Ledgers: h.store, Books: h.engine, Payouts: kept, Bank: payment.Manual{}, Clock: time.Now, Log: log}), kept)
	op := as(t, identity.Operator, "op")
	created, err := p.CreatePayoutBatch(op, &settlementv1.CreatePayoutBatchRequest{Currency: "USD", Minimum: 100, IdempotencyKey: "k"})
	if err != nil || created.GetBatch().GetItems() != 1 || created.GetBatch().GetTotal().GetMinor() != 700 || created.GetBatch().GetPaid().GetMinor() != 0 {
		t.Fatal(created, err)
	}
	id := created.GetBatch().GetId()
	if _, err := p.ApprovePayoutBatch(op, &settlementv1.ApprovePayoutBatchRequest{BatchId: id}); err != nil {
		t.Fatal(err)
	}
	list, err := p.ListPayouts(op, &settlementv1.ListPayoutsRequest{BatchId: id, PageSize: 1})
	if err != nil || len(list.GetPayouts()) != 1 || list.GetPayouts()[0].GetState() != settlementv1.PayoutState_PAYOUT_STATE_HELD || list.GetPayouts()[0].GetTransferId() == "" {
		t.Fatal(list, err)
	}
	end := &settlementv1.EndPayoutsRequest{BatchId: id, Ends: []*settlementv1.PayoutEnd{{PayoutId: list.GetPayouts()[0].GetId()}}}
	for name, c := range map[string]struct {
		call func() error
		code connect.Code
		says string
	}{
		"end too early": {func() error { _, err := p.EndPayouts(op, end); return err }, connect.CodeFailedPrecondition, "ends[0]: not allowed in this state"},
		"currency": {func() error {
			_, err := p.CreatePayoutBatch(op, &settlementv1.CreatePayoutBatchRequest{Currency: "XXX", Minimum: 1, IdempotencyKey: "l"})
			return err
		}, connect.CodeInvalidArgument, "currency: "},
		"minimum": {func() error {
			_, err := p.CreatePayoutBatch(op, &settlementv1.CreatePayoutBatchRequest{Currency: "USD", IdempotencyKey: "l"})
			return err
		}, connect.CodeInvalidArgument, "minimum: "},
		"nobody": {func() error {
			_, err := p.CreatePayoutBatch(op, &settlementv1.CreatePayoutBatchRequest{Currency: "USD", Minimum: 1, IdempotencyKey: "l"})
			return err
		}, connect.CodeFailedPrecondition, "nobody is due a payout of 0.01 USD or more"},
		"key": {func() error {
			_, err := p.CreatePayoutBatch(op, &settlementv1.CreatePayoutBatchRequest{Currency: "EUR", Minimum: 100, IdempotencyKey: "k"})
			return err
		}, connect.CodeAlreadyExists, "idempotency key"},
		"unknown": {func() error {
			_, err := p.GetPayoutBatch(op, &settlementv1.GetPayoutBatchRequest{BatchId: "none"})
			return err
		}, connect.CodeNotFound, "batch none"},
	} {
		if err := c.call(); connect.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v that says %q", name, err, c.code, c.says)
		}
	}
	if _, err := p.SubmitPayoutBatch(op, &settlementv1.SubmitPayoutBatchRequest{BatchId: id}); err != nil {
		t.Fatal(err)
	}
	ended, err := p.EndPayouts(op, end)
	if err != nil || ended.GetBatch().GetState() != settlementv1.PayoutBatchState_PAYOUT_BATCH_STATE_ENDED || ended.GetBatch().GetPaid().GetMinor() != 700 {
		t.Error(ended, err)
	}
	batches, err := p.ListPayoutBatches(op, &settlementv1.ListPayoutBatchesRequest{})
	if err != nil || len(batches.GetBatches()) != 1 || batches.GetBatches()[0].GetSettled() != 1 {
		t.Error(batches, err)
	}
	if _, err := p.CancelPayoutBatch(op, &settlementv1.CancelPayoutBatchRequest{BatchId: id}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("got %v", err)
	}
	h.verified(t)
}
