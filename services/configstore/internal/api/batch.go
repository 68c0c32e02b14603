package api

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/rpc"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// Batch serves configstore.v1.BatchService.
type Batch struct {
	apply func(context.Context, *configstorev1.ApplyRequest) (*configstorev1.ApplyResponse, error)
	log   *slog.Logger
}

// NewBatch returns the service over that of single releases.
func NewBatch(config *Config, log *slog.Logger) *Batch { return &Batch{config.Apply, log} }

// ApplyEach implements BatchServiceServer. The releases are under way at the
// same time, so that the store writes them together.
func (b *Batch) ApplyEach(ctx context.Context, request *configstorev1.ApplyEachRequest) (*configstorev1.ApplyEachResponse, error) {
	items := request.GetItems()
	outcomes := make([]configstorev1.ApplyEachResponse_Outcome, len(items))
	response := &configstorev1.ApplyEachResponse{Outcomes: make([]*configstorev1.ApplyEachResponse_Outcome, len(items))}
	var work sync.WaitGroup
	var mu sync.Mutex
	var panicked any
	for n, item := range items {
		response.Outcomes[n] = &outcomes[n]
		work.Go(func() {
			defer func() {
				if value := recover(); value != nil {
					mu.Lock()
					defer mu.Unlock()
					panicked = value
				}
			}()
			b.one(ctx, item, &outcomes[n])
		})
	}
	work.Wait()
	if panicked != nil {
		panic(panicked) // where the server's chain logs it
	}
	return response, nil
}

// one carries out one item.
func (b *Batch) one(ctx context.Context, item *configstorev1.ApplyEachRequest_Item, outcome *configstorev1.ApplyEachResponse_Outcome) {
	if timeout := item.GetTimeout().AsDuration(); timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	answer, err := b.checked(ctx, item.GetRequest())
	if err != nil {
		outcome.Outcome = &configstorev1.ApplyEachResponse_Outcome_Fault{Fault: b.fault(ctx, err)}
		return
	}
	outcome.Outcome = &configstorev1.ApplyEachResponse_Outcome_Response{Response: answer}
}

func (b *Batch) checked(ctx context.Context, request *configstorev1.ApplyRequest) (*configstorev1.ApplyResponse, error) {
	if request == nil {
		request = new(configstorev1.ApplyRequest)
	}
	if err := rpc.Validate(request); err != nil {
		return nil, err
	}
	return b.apply(ctx, request)
}

// fault is what the item's caller may see of err.
func (b *Batch) fault(ctx context.Context, err error) *configstorev1.ApplyEachResponse_Fault {
	coded := new(connect.Error)
	if !errors.As(err, &coded) || coded.Code() == connect.CodeInternal || coded.Code() == connect.CodeUnknown {
		b.log.ErrorContext(ctx, "release of a batch failed", "err", err)
		return &configstorev1.ApplyEachResponse_Fault{Code: uint32(connect.CodeInternal), Message: "internal error"}
	}
	fault := &configstorev1.ApplyEachResponse_Fault{Code: uint32(coded.Code()), Message: coded.Message()}
	for _, detail := range coded.Details() {
		fault.Details = append(fault.Details, &anypb.Any{TypeUrl: "type.googleapis.com/" + detail.Type(), Value: detail.Bytes()})
	}
	return fault
}
