package configclient

import (
	"context"
	"errors"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/trace"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/rpc"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// Get is ConfigService.Get. The request must not be changed until it returns,
// and where ctx ends first until the call is over. Errors are those of
// ConfigService.Get, and ResourceExhausted where too many wait.
func (c *Client) Get(ctx context.Context, request *configstorev1.GetRequest) (*configstorev1.GetResponse, error) {
	if !sharesRead(ctx, request) {
		return c.ConfigServiceClient.Get(ctx, request)
	}
	out := c.reads.do(&item{ctx: ctx, tenant: identity.Tenant(ctx), read: request}, func() outcome {
		response, err := c.ConfigServiceClient.Get(ctx, request)
		return outcome{read: response, err: err}
	})
	return out.read, out.err
}

// sharesRead tells whether a read may go with others: it is the service's own
// and of what there is now, and nobody traces it.
func sharesRead(ctx context.Context, request *configstorev1.GetRequest) bool {
	return request.GetRevision() == 0 && request.GetSubscriber() == nil && !rpc.IsAsCaller(ctx) && !trace.SpanContextFromContext(ctx).IsSampled()
}

// newReader makes one call for several reads. Those that the configstore's
// answer had no room for go alone, as all do where it is of a version that
// does not know the call.
func newReader(client configstorev1.BatchServiceServer) func([]*item) {
	return func(batch []*item) {
		request := &configstorev1.GetEachRequest{Requests: make([]*configstorev1.GetRequest, len(batch))}
		for n, w := range batch {
			request.Requests[n] = w.read
		}
		// The call ends with none of its callers; the Conn bounds it.
		response, err := client.GetEach(context.WithoutCancel(batch[0].ctx), request)
		if err == nil && len(response.GetOutcomes()) != len(batch) {
			err = connect.NewWireError(connect.CodeInternal, errors.New("the configstore answered other reads than it was asked for"))
		}
		for n, w := range batch {
			switch {
			case connect.CodeOf(err) == connect.CodeUnimplemented && err != nil:
				w.done <- outcome{alone: true}
			case err != nil:
				w.done <- outcome{err: err}
			default:
				w.done <- readOf(response.GetOutcomes()[n])
			}
		}
	}
}

func readOf(answer *configstorev1.GetEachResponse_Outcome) outcome {
	switch {
	case answer.GetResponse() != nil:
		return outcome{read: answer.GetResponse()}
	case answer.GetFault() != nil:
		return outcome{err: faultOf(answer.GetFault())}
	}
	return outcome{alone: true}
}
