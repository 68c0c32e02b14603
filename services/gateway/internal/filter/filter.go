// Package filter is what is done to the exchanges of a route beside carrying
// them: who calls, who may, how often, what headers say, how answers are
// coded; and what watches every exchange: metrics, access log, traces, ids.
//
//	filter.go    Chain: the policies of one route, compiled
//	env.go       Env: what policies share, over all configurations
//	identity.go  Backlot's own tokens, principals, media grants
//	cert.go, apikey.go, bearer.go, anyof.go  who calls by other means
//	limit.go, quota.go  how often
//	authz.go, check.go  another service's word
//	cors.go, edit.go, forward.go  what headers say
//	compress.go  how the answer's body is coded
//	watch.go, metrics.go, trace.go, span.go, id.go  what watches
//
// A Chain is made once for each route of a configuration and does not change.
// What has to outlive a configuration (verified tokens, buckets, series of
// metrics) is kept by Env under the name of its route. Nothing here blocks but
// Chain.Block. Everything is safe for concurrent use; an exchange belongs to
// one goroutine at a time.
package filter

import (
	"context"
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// Verdict is what becomes of an exchange after a filter.
type Verdict uint8

// The verdicts.
const (
	// Next goes on to the route's target.
	Next Verdict = iota
	// Answered has made x.Response and x.Answer; Response is still to be called.
	Answered
	// Block has something to wait for: call Chain.Block where blocking is
	// allowed.
	Block
)

// Chain is the policies of one route. A nil Chain is that of exchanges
// without a route.
type Chain struct {
	env     *Env
	route   *edge.Route
	series  *series
	cors    *cors
	cert    *clientCert
	keys    *apiKeys
	bearers *bearers
	ways    *ways
	tokens  *tokens
	limits  []limit
	authz   *authz
	request *Edits
	answer  *Edits
	coded   *compression
}

// Compile makes the chain of a route. An error names the field at fault.
func Compile(route *edge.Route, config *edge.Config, env *Env) (*Chain, error) {
	env.mu.Lock()
	defer env.mu.Unlock()
	env.enter(config)
	c := &Chain{env: env, route: route, tokens: env.verified}
	var faults []error
	fault := func(field string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("route %q: %s: %w", route.Name, field, err))
		}
	}
	var err error
	c.series, _ = env.routes.take(route.Name, env.generation, func() (*series, error) { return env.metrics.series(route.Name), nil })
	c.cors, err = compileCORS(route.Policy.CORS)
	fault("cors", err)
	c.cert, err = compileClientCert(route.Policy.ClientCert)
	fault("client_certificate", err)
	c.keys, err = compileAPIKey(route.Policy.APIKey, config)
	fault("api_key", err)
	c.bearers, err = env.compileBearers(route.Policy.JWT, config)
	fault("jwt", err)
	c.ways, err = env.compileWays(route.Policy.AnyOf, config)
	fault("any_of", err)
	c.limits, err = env.compileLimits(route)
	fault("rate_limits", err)
	c.authz, err = env.compileAuthz(route.Policy.ExtAuthz, config)
	fault("external_authorization", err)
	c.coded, err = env.compileCompression(route.Policy.Compress)
	fault("compression", err)
	c.request, err = CompileEdits(route.Policy.RequestHeaders)
	fault("request_headers", err)
	c.answer, err = CompileEdits(route.Policy.ResponseHeaders)
	fault("response_headers", err)
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return c, nil
}

// Method is the one by which a request finds its route: its own, and of a
// CORS preflight the one that it asks about.
func Method(r *exchange.Request) []byte {
	if isPreflight(r) {
		return r.Fields.Get(exchange.AccessControlRequestMethod)
	}
	return r.Method
}

// Request runs the policies of the request, sets x.Principal and x.Subject
// and makes the header as the upstream is to see it, except that Host and the
// path are the relay's. Watcher.Begin, x.Route and x.Config come before.
func (c *Chain) Request(x *exchange.Exchange) Verdict {
	if c.cors != nil && isPreflight(&x.Request) {
		if !c.cors.allows(x.Request.Fields.Get(exchange.Origin)) {
			c.refuse(x, 403, "permission_denied", "cors: the origin is not allowed", causeOrigin)
			return Answered
		}
		c.cors.preflight(x)
		return Answered
	}
	if c.cert != nil && !c.certificate(x) {
		return Answered
	}
	if c.keys != nil && !c.apiKey(x) {
		return Answered
	}
	credential, passed := x.Request.Fields.Get(exchange.Authorization), true
	if c.bearers != nil {
		credential, passed = c.bearer(x, credential)
	}
	if c.ways != nil {
		credential, passed = c.anyOf(x, credential)
	}
	if !passed || !c.backlot(x, credential) || !c.authorise(x) || !c.limited(x) {
		return Answered
	}
	if c.authz != nil {
		return Block
	}
	x.Request.Fields.Remove(exchange.Authorization)
	return c.finish(x)
}

// Block does what Request could not do without waiting, and then the rest. ctx
// ends when the client goes away.
func (c *Chain) Block(ctx context.Context, x *exchange.Exchange) Verdict {
	if !c.externally(ctx, x) {
		return Answered
	}
	return c.finish(x)
}

// finish makes the header that the upstream sees.
func (c *Chain) finish(x *exchange.Exchange) Verdict {
	c.forward(x)
	c.request.Apply(x, &x.Request.Fields)
	return Next
}

// Response edits the head of any answer but an interim one, be it the
// upstream's or the gateway's own, and decides about its coding. It is called
// once, before Encoder and before the head is sent.
func (c *Chain) Response(x *exchange.Exchange) {
	fields := &x.Response.Fields
	fields.Remove(exchange.BacklotPrincipal)
	fields.Set(exchange.XRequestID, x.ID)
	*fields = append(*fields, x.Late...)
	if c != nil {
		if c.cors != nil {
			c.cors.mark(x)
		}
		c.answer.Apply(x, fields)
	}
}
