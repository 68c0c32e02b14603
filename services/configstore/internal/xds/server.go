package xds

import (
	"context"
	"errors"
	"io"
	"net/http"

	"connectrpc.com/connect"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// Procedure is the path of the ADS stream, which is gRPC over HTTP/2.
const Procedure = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"

// maxRequestBytes bounds one request of a client.
const maxRequestBytes = 1 << 20

type adsStream = connect.BidiStream[discoveryv3.DiscoveryRequest, discoveryv3.DiscoveryResponse]

// Handler serves ADS at Procedure. allow says who may connect; its error is
// the caller's.
func (p *Plane) Handler(allow func(context.Context) error) http.Handler {
	serve := func(ctx context.Context, stream *adsStream) error {
		if err := allow(ctx); err != nil {
			return err
		}
		p.metrics.streams.Inc()
		defer p.metrics.streams.Dec()
		return p.serve(ctx, stream)
	}
	return connect.NewBidiStreamHandler(Procedure, serve, connect.WithReadMaxBytes(maxRequestBytes))
}

// serve answers one client. Requests arrive on a goroutine of their own, which
// ends with the stream.
func (p *Plane) serve(ctx context.Context, stream *adsStream) error {
	requests := make(chan *discoveryv3.DiscoveryRequest)
	ended := make(chan error, 1)
	go func() {
		for {
			request, err := stream.Receive()
			if err != nil {
				ended <- err
				return
			}
			select {
			case requests <- request:
			case <-ctx.Done():
				return
			}
		}
	}()

	client := newClient(p.log, p.metrics)
	for {
		current, changed := p.newest()
		if current != nil {
			for _, response := range client.responses(current) {
				if err := stream.Send(response); err != nil {
					return err
				}
			}
		}
		select {
		case request := <-requests:
			client.request(request)
		case <-changed:
		case err := <-ended:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-ctx.Done():
			return connect.NewError(connect.CodeUnavailable, context.Cause(ctx))
		}
	}
}
