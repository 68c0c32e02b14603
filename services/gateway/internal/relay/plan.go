package relay

import (
	"math"
	"net/http"
	"strconv"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// Kind is what is left to do for an exchange.
type Kind uint8

// The kinds.
const (
	// Answer: x.Response and x.Answer are the gateway's own.
	Answer Kind = iota
	// Forward: plainly over HTTP/1.1 to an endpoint of the plan's cluster. An
	// event loop may do it by itself.
	Forward
	// Slow: something that waits, or that an event loop does not know.
	Slow
)

// Plan is what Decide has found. It is to be given to Go, or to be followed by
// an event loop, which then calls Answered and Finish.
type Plan struct {
	Kind  Kind
	Key   uint64 // for Cluster.Pick
	Keyed bool

	state *state
	route *route
	part  *part
	block bool // the chain has to wait for something first
}

// Cluster is where a Forward goes.
func (p *Plan) Cluster() *upstream.Cluster { return p.part.cluster }

// Decide pins the configuration in force, finds the route and runs those of
// its policies that do not wait. It never blocks. The request's head is then
// as the upstream is to get it. Exactly one of Go and Finish has to follow.
func (r *Relay) Decide(x *exchange.Exchange) Plan {
	r.watcher.Begin(x)
	s := r.current.Load()
	if s == nil || s.config.Empty() {
		x.Refuse(http.StatusServiceUnavailable, "unavailable", "the gateway has no routes yet; try again in a moment", "no_config")
		x.Response.Fields.Set(exchange.RetryAfter, oneSecond)
		return Plan{}
	}
	x.Config = s.config
	plan := Plan{state: s}
	if !r.find(x, &plan) {
		return plan
	}
	if x.Request.Length > plan.route.Policy.MaxRequest {
		tooLarge(x, plan.route.Policy.MaxRequest)
		return plan
	}
	switch plan.route.chain.Request(x) {
	case filter.Answered:
	case filter.Block:
		plan.Kind, plan.block = Slow, true
	case filter.Next:
		r.aim(x, &plan)
	}
	return plan
}

var oneSecond = []byte("1")

// find finds the route, false where there is none.
func (r *Relay) find(x *exchange.Exchange, plan *Plan) bool {
	config := plan.state.config
	q := &x.Request
	path, ok := edge.Normal(nil, q.Path)
	if !ok {
		if string(q.Path) == "*" {
			x.Response = exchange.Response{Status: http.StatusNoContent, Length: exchange.Unknown, NoBody: true, Fields: x.Response.Fields[:0]}
			return false
		}
		x.Refuse(http.StatusBadRequest, "invalid_argument", "path must not contain .. or what may be read as it", "path")
		return false
	}
	q.Path = path
	found, methodKnown := config.Match(q.Authority, filter.Method(q), path, q.Query, &q.Fields)
	if found != nil {
		x.Route, plan.route = found, plan.state.routes[found]
		return true
	}
	if methodKnown {
		x.Refuse(http.StatusNotFound, "not_found", "no route leads to this path", "no_route")
		return false
	}
	x.Refuse(http.StatusMethodNotAllowed, "unimplemented", "method "+string(q.Method)+" is not allowed here", "method")
	for _, method := range config.Methods(q.Authority, path, q.Query, &q.Fields) {
		x.Response.Fields.Add(exchange.Allow, exchange.Allow.Bytes(), x.Arena.CopyString(method))
	}
	return false
}

// aim decides about the target, and makes path and host as it sees them.
func (r *Relay) aim(x *exchange.Exchange, plan *Plan) {
	switch c := plan.route; c.Target {
	case edge.ToCluster:
		plan.Key, plan.Keyed = c.key(x)
		if plan.part = c.choose(plan.Key, plan.Keyed); plan.part == nil {
			x.Refuse(http.StatusServiceUnavailable, "unavailable", upstream.ErrNoEndpoint.Error(), "no_weight")
			return
		}
		x.Cluster = plan.part.name
		rewrite(x, c.Route)
		plan.part.request.Apply(x, &x.Request.Fields)
		plan.Kind = Slow
		if plain(&x.Request, plan) {
			plan.Kind = Forward
		}
	case edge.ToRedirect:
		redirect(x, c.Route)
	case edge.ToAnswer:
		fixed(x, c.Answer)
	default:
		plan.Kind = Slow
	}
}

func rewrite(x *exchange.Exchange, r *edge.Route) {
	if r.Rewrites() {
		var room [256]byte
		x.Request.Path = x.Arena.Copy(r.AppendPath(room[:0], x.Request.Path))
	}
	if r.HostRewrite != "" {
		x.Request.Authority = x.Arena.CopyString(r.HostRewrite)
	}
}

// plain tells what an event loop may forward: no body or one whose length is
// known, nothing that is held, copied, sent twice or coded, and HTTP/1.1 behind.
func plain(q *exchange.Request, plan *Plan) bool {
	p := &plan.route.Policy
	return q.Length >= 0 && q.Upgrade == nil && !q.Expect && p.Retry == nil && p.Hedge == nil && p.Compress == nil &&
		len(plan.route.mirrors) == 0 && !overHTTP2(q, plan.part.cluster)
}

// Answered edits the head of an upstream's answer, which is in x.Response,
// before it is sent.
func (r *Relay) Answered(x *exchange.Exchange, plan *Plan) {
	if plan.part != nil {
		plan.part.answer.Apply(x, &x.Response.Fields)
	}
	plan.chain().Response(x)
}

// Encoder is what codes the answer's body after Answered, nil for none.
func (r *Relay) Encoder(x *exchange.Exchange, plan *Plan) filter.Encoder {
	return plan.chain().Encoder(x)
}

// Finish ends an exchange that an event loop has served by itself.
func (r *Relay) Finish(x *exchange.Exchange, plan *Plan) { r.watcher.End(x, plan.chain()) }

// Refused counts and logs what an engine has answered without an exchange.
func (r *Relay) Refused(x *exchange.Exchange) {
	r.watcher.Begin(x)
	r.watcher.End(x, nil)
}

func (p *Plan) chain() *filter.Chain {
	if p.route == nil {
		return nil
	}
	return p.route.chain
}

func tooLarge(x *exchange.Exchange, limit int64) {
	x.Refuse(http.StatusRequestEntityTooLarge, "resource_exhausted",
		"request body: larger than the "+strconv.FormatInt(limit, 10)+" bytes that this route takes", "too_large")
}

// deadline is when an exchange ends, in Unix nanoseconds.
func (c *route) deadline(x *exchange.Exchange) int64 {
	if c.Policy.Timeout <= 0 {
		return math.MaxInt64
	}
	return x.Began.Add(c.Policy.Timeout).UnixNano()
}
