package rpc

import (
	"fmt"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/backlot-video/backlot/kit/identity"
)

// HTTPClient returns a client whose requests go to the service, and the base
// URL to build them with. It is for streaming Connect calls and raw HTTP: it
// chooses an endpoint and attaches principal and trace context, and nothing
// more. Time limits are the request's context; there are no retries.
func (d *Dialer) HTTPClient(service string) (client *http.Client, baseURL string) {
	return &http.Client{Transport: roundTripper{d.target(service)}}, "http://" + service
}

type roundTripper struct{ *target }

// RoundTrip implements http.RoundTripper.
func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) {
	chosen := r.pool.pick(func(e Endpoint) bool { return e.Address != "" })
	if chosen == nil {
		return nil, fmt.Errorf("call %s: %w", r.service, errNoEndpoint)
	}
	ctx := request.Context()
	sent := request.Clone(ctx)
	base := chosen.baseURL()
	sent.URL.Scheme, sent.URL.Host, _ = strings.Cut(base, "://")
	sent.Host = sent.URL.Host
	if sent.Header.Get(identity.Header) == "" {
		token, err := r.dialer.principal(ctx)
		if err != nil {
			chosen.release(false)
			return nil, fmt.Errorf("call %s: %w", r.service, err)
		}
		if token != "" {
			sent.Header.Set(identity.Header, token)
		}
	}
	if parent := trace.SpanContextFromContext(ctx); parent.IsValid() && sent.Header.Get(headerTraceparent) == "" {
		sent.Header.Set(headerTraceparent, formatTraceparent(parent))
	}
	response, err := chosen.transport().RoundTrip(sent)
	chosen.release(err != nil && ctx.Err() == nil)
	return response, err
}
