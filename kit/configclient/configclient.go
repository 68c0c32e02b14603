// Package configclient writes to the configstore, and reads single objects of
// it, for many callers at once.
//
//	configclient.go  Client: Apply
//	read.go          Get
//	queue.go         what goes together, and when
//	metrics.go       what is counted
//
// A call costs a member of the configstore, and the client, more than a
// release or a read does. A release goes alone and at once while there is
// nothing else to write; those that come while others are on their way share
// the next call. Each is a release of its own all the same, with its own
// outcome, error and deadline: the callers notice nothing. So do reads, each of
// which sees what was written before it.
//
// It caches nothing and repeats nothing: that is what kit/informer and kit/rpc
// do. It starts a goroutine for each call that is shared, which ends with the
// call. Safe for concurrent use.
package configclient

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/rpc"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// Client is a ConfigServiceClient whose Apply and Get share calls.
type Client struct {
	configstorev1.ConfigServiceClient

	queue queue // of releases
	reads queue
}

// New returns a client over a Conn to the configstore. Its metrics are kept
// but not exposed where registerer is nil; clients may share one.
func New(conn rpcdesc.Conn, registerer prometheus.Registerer) *Client {
	batches := configstorev1.NewBatchServiceClient(conn)
	return &Client{
		ConfigServiceClient: configstorev1.NewConfigServiceClient(conn),
		queue:               queue{send: newSender(batches), late: slowAfter, metrics: releaseMetrics(registerer)},
		reads:               queue{send: newReader(batches), late: slowAfter, metrics: readMetrics(registerer)},
	}
}

// Apply is ConfigService.Apply, with a request id where the request has none, so
// that kit/rpc may repeat it. Who repeats it after the last error gives an id
// of its own. The request belongs to the client until Apply
// returns, and where ctx ends first until the call is over: it must not be
// changed. Errors are those of ConfigService.Apply, and ResourceExhausted
// where too many wait.
func (c *Client) Apply(ctx context.Context, request *configstorev1.ApplyRequest) (*configstorev1.ApplyResponse, error) {
	request = identified(request)
	if !shares(ctx, request) {
		return c.ConfigServiceClient.Apply(ctx, request)
	}
	out := c.queue.do(&item{ctx: ctx, tenant: identity.Tenant(ctx), release: request}, func() outcome {
		response, err := c.ConfigServiceClient.Apply(ctx, request)
		return outcome{released: response, err: err}
	})
	return out.released, out.err
}

// identified is the request with an id. The caller's own stays as it is, and
// may be asked again for another release.
func identified(request *configstorev1.ApplyRequest) *configstorev1.ApplyRequest {
	if request.GetRequestId() != "" || request.GetDryRun() {
		return request
	}
	return &configstorev1.ApplyRequest{
		Changes: request.GetChanges(), Reason: request.GetReason(), RequestId: uuid.NewString(),
	}
}

// shares tells whether a release may go with others: it is small, is written
// by the service itself, and nobody traces it.
func shares(ctx context.Context, request *configstorev1.ApplyRequest) bool {
	return !request.GetDryRun() && len(request.GetChanges()) <= maxChanges && !rpc.IsAsCaller(ctx) &&
		!trace.SpanContextFromContext(ctx).IsSampled() && proto.Size(request) <= maxBytes
}

// newSender makes one call for several releases.
func newSender(client configstorev1.BatchServiceServer) func([]*item) {
	return func(batch []*item) {
		request := &configstorev1.ApplyEachRequest{Items: make([]*configstorev1.ApplyEachRequest_Item, len(batch))}
		for n, w := range batch {
			request.Items[n] = &configstorev1.ApplyEachRequest_Item{Request: w.release}
			if deadline, bounded := w.ctx.Deadline(); bounded {
				request.Items[n].Timeout = durationpb.New(max(time.Until(deadline), time.Microsecond))
			}
		}
		// The call ends with none of its callers; the Conn bounds it.
		response, err := client.ApplyEach(context.WithoutCancel(batch[0].ctx), request)
		if err == nil && len(response.GetOutcomes()) != len(batch) {
			err = connect.NewWireError(connect.CodeInternal, errors.New("the configstore answered other releases than it was asked for"))
		}
		for n, w := range batch {
			if err != nil {
				w.done <- outcome{err: err}
			} else {
				w.done <- outcomeOf(response.GetOutcomes()[n])
			}
		}
	}
}

func outcomeOf(answer *configstorev1.ApplyEachResponse_Outcome) outcome {
	if response := answer.GetResponse(); response != nil {
		return outcome{released: response}
	}
	return outcome{err: faultOf(answer.GetFault())}
}

// faultOf is the error that a fault tells of.
func faultOf(fault *configstorev1.ApplyEachResponse_Fault) error {
	code := connect.Code(fault.GetCode())
	if code < connect.CodeCanceled || code > connect.CodeUnauthenticated {
		return connect.NewWireError(connect.CodeInternal, errors.New("the configstore answered one of several requests with nothing"))
	}
	coded := connect.NewWireError(code, errors.New(fault.GetMessage()))
	for _, detail := range fault.GetDetails() {
		if kept, err := connect.NewErrorDetail(detail); err == nil {
			coded.AddDetail(kept)
		}
	}
	return coded
}

// ended is the error of a context that has.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return connect.NewWireError(connect.CodeDeadlineExceeded, ctx.Err())
	}
	return connect.NewWireError(connect.CodeCanceled, ctx.Err())
}
