package api

import (
	"context"
	"errors"
	"log/slog"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/rpc"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// applier carries out requests, each under its own context, and answers each
// once.
type applier func(contexts []context.Context, requests []*configstorev1.ApplyRequest, answer func(n int, response *configstorev1.ApplyResponse, err error))

// reader carries out reads, and answers each once.
type reader func(ctx context.Context, requests []*configstorev1.GetRequest, answer func(n int, response *configstorev1.GetResponse, err error))

// maxAnswer bounds the objects, in bytes, that an answer of GetEach has: reads
// that each have room alone must not fail together.
const maxAnswer = 1 << 20

// Batch serves configstore.v1.BatchService.
type Batch struct {
	apply applier
	read  reader
	log   *slog.Logger
}

// NewBatch returns the service over that of single releases and reads.
func NewBatch(config *Config, log *slog.Logger) *Batch {
	return &Batch{config.applyEach, config.getEach, log}
}

// ApplyEach implements BatchServiceServer. The store has the releases at the
// same time, so that it writes them together.
func (b *Batch) ApplyEach(ctx context.Context, request *configstorev1.ApplyEachRequest) (*configstorev1.ApplyEachResponse, error) {
	items := request.GetItems()
	outcomes := make([]configstorev1.ApplyEachResponse_Outcome, len(items))
	response := &configstorev1.ApplyEachResponse{Outcomes: make([]*configstorev1.ApplyEachResponse_Outcome, len(items))}
	valid := make([]int, 0, len(items))
	contexts := make([]context.Context, 0, len(items))
	requests := make([]*configstorev1.ApplyRequest, 0, len(items))
	cancels := make([]context.CancelFunc, 0, len(items))
	defer func() {
		for _, cancel := range cancels {
			cancel()
		}
	}()
	for n, item := range items {
		response.Outcomes[n] = &outcomes[n]
		one := item.GetRequest()
		if one == nil {
			one = new(configstorev1.ApplyRequest)
		}
		if err := rpc.Validate(one); err != nil {
			b.answer(ctx, &outcomes[n], nil, err)
			continue
		}
		under, cancel := bounded(ctx, item)
		valid, contexts, requests, cancels = append(valid, n), append(contexts, under), append(requests, one), append(cancels, cancel)
	}
	b.apply(contexts, requests, func(n int, answer *configstorev1.ApplyResponse, err error) {
		b.answer(contexts[n], &outcomes[valid[n]], answer, err)
	})
	return response, nil
}

// GetEach implements BatchServiceServer.
func (b *Batch) GetEach(ctx context.Context, request *configstorev1.GetEachRequest) (*configstorev1.GetEachResponse, error) {
	all := request.GetRequests()
	outcomes := make([]configstorev1.GetEachResponse_Outcome, len(all))
	response := &configstorev1.GetEachResponse{Outcomes: make([]*configstorev1.GetEachResponse_Outcome, len(all))}
	valid := make([]int, 0, len(all))
	requests := make([]*configstorev1.GetRequest, 0, len(all))
	for n, one := range all {
		response.Outcomes[n] = &outcomes[n]
		if err := rpc.Validate(one); err != nil {
			outcomes[n].Outcome = &configstorev1.GetEachResponse_Outcome_Fault{Fault: b.fault(ctx, err)}
			continue
		}
		valid, requests = append(valid, n), append(requests, one)
	}
	size := 0
	b.read(ctx, requests, func(n int, found *configstorev1.GetResponse, err error) {
		outcome := &outcomes[valid[n]]
		if err != nil {
			outcome.Outcome = &configstorev1.GetEachResponse_Outcome_Fault{Fault: b.fault(ctx, err)}
		} else if size += proto.Size(found); size <= maxAnswer {
			outcome.Outcome = &configstorev1.GetEachResponse_Outcome_Response{Response: found}
		}
	})
	return response, nil
}

// bounded gives an item the time that its caller does.
func bounded(ctx context.Context, item *configstorev1.ApplyEachRequest_Item) (context.Context, context.CancelFunc) {
	if timeout := item.GetTimeout().AsDuration(); timeout > 0 {
		return context.WithTimeout(ctx, timeout)
	}
	return ctx, func() {}
}

func (b *Batch) answer(ctx context.Context, outcome *configstorev1.ApplyEachResponse_Outcome, response *configstorev1.ApplyResponse, err error) {
	if err != nil {
		outcome.Outcome = &configstorev1.ApplyEachResponse_Outcome_Fault{Fault: b.fault(ctx, err)}
		return
	}
	outcome.Outcome = &configstorev1.ApplyEachResponse_Outcome_Response{Response: response}
}

// fault is what the item's caller may see of err.
func (b *Batch) fault(ctx context.Context, err error) *configstorev1.ApplyEachResponse_Fault {
	coded := new(connect.Error)
	if !errors.As(err, &coded) || coded.Code() == connect.CodeInternal || coded.Code() == connect.CodeUnknown {
		b.log.ErrorContext(ctx, "item of a batch failed", "err", err)
		return &configstorev1.ApplyEachResponse_Fault{Code: uint32(connect.CodeInternal), Message: "internal error"}
	}
	fault := &configstorev1.ApplyEachResponse_Fault{Code: uint32(coded.Code()), Message: coded.Message()}
	for _, detail := range coded.Details() {
		fault.Details = append(fault.Details, &anypb.Any{TypeUrl: "type.googleapis.com/" + detail.Type(), Value: detail.Bytes()})
	}
	return fault
}
