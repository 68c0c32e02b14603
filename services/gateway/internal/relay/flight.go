package relay

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

const (
	backoffLeast = 25 * time.Millisecond
	backoffMost  = 250 * time.Millisecond
	// staleTries is how often a request is sent again because a kept connection
	// turned out to have been closed, beyond the route's attempts.
	staleTries = 3
)

// flight is an exchange on its way to a cluster. It is used again.
type flight struct {
	relay    *Relay
	ctx      context.Context //nolint:containedctx // of the one call that owns the flight
	x        *exchange.Exchange
	plan     Plan
	deadline int64 // Unix nanoseconds

	out    []byte // what goes to the upstream in the first write
	held   []byte // whole body, where whole says so
	whole  bool   // the body is held, or there is none: it can be sent again
	tried  []*upstream.Endpoint
	room   [4]*upstream.Endpoint
	stale  int // tries over connections that were closed already
	budget bool
	try    attempt

	eager  bool           // a read that waits ends with ctx at once, not when it is first looked after
	racers sync.WaitGroup // copies of a hedged request
	racing []*racer
	winner *racer
}

var flights = sync.Pool{New: func() any { return &flight{out: make([]byte, 0, 4<<10)} }}

// forward carries an exchange to its cluster.
func (r *Relay) forward(ctx context.Context, x *exchange.Exchange, plan *Plan) error {
	cluster := plan.part.cluster
	if err := cluster.Admit(x.Began); err != nil {
		unavailable(x, err)
		return r.answer(x, plan)
	}
	defer cluster.Release()
	f := flights.Get().(*flight) //nolint:forcetypeassert // the pool's own
	f.relay, f.ctx, f.x, f.plan, f.deadline = r, ctx, x, *plan, plan.route.deadline(x)
	f.tried = f.room[:0]
	err := f.run()
	if u := f.try.upload; u != nil {
		u.wait()
	}
	x.Response.Fields = x.Response.Fields[:0] // they were views of a connection's buffer
	f.recycle()
	return err
}

// mostKept bounds the memory that a flight keeps for the next one.
const mostKept = 64 << 10

func (f *flight) recycle() {
	if cap(f.out) > mostKept {
		f.out = make([]byte, 0, 4<<10)
	}
	if cap(f.held) > mostKept {
		f.held = nil
	}
	f.endRetry()
	if f.budget {
		f.plan.part.cluster.EndRetry()
	}
	f.relay, f.ctx, f.x, f.plan = nil, nil, nil, Plan{}
	f.room = [4]*upstream.Endpoint{}
	f.tried, f.held, f.stale, f.budget, f.whole = nil, f.held[:0], 0, false, false
	f.try = attempt{}
	flights.Put(f)
}

// run tries endpoints until one answers, and relays the answer.
func (f *flight) run() error {
	err := f.hold()
	if err == nil {
		if overHTTP2(&f.x.Request, f.plan.part.cluster) {
			return f.other()
		}
		f.mirror()
		if f.hedges() {
			defer f.settle()
			err = f.race()
		} else {
			err = f.tries()
		}
	}
	if err == nil {
		return f.relayAnswer()
	}
	if f.ctx.Err() != nil || errors.Is(err, exchange.ErrGone) {
		f.x.Response.Status, f.x.Fault = statusGone, "gone"
		f.x.Client.Abort()
		return exchange.ErrGone
	}
	f.failed(err)
	f.cutShort()
	return f.relay.answer(f.x, &f.plan)
}

// cutShort ends a client's connection after an answer that comes before its
// request's body has: it may never stop sending.
func (f *flight) cutShort() {
	if u := f.try.upload; u != nil && f.x.Request.Protocol <= exchange.HTTP11 && !u.whole() {
		f.x.Request.ServerEnd = true
	}
}

// statusGone is nginx's word for a client that did not wait.
const statusGone = 499

// hold reads a body that is small enough to be held as a whole.
func (f *flight) hold() error {
	length := f.x.Request.Length
	f.whole = length == 0
	if length <= 0 || length > f.plan.route.held || f.x.Request.Upgrade != nil {
		return nil
	}
	f.held = slices.Grow(f.held[:0], int(length))[:length]
	for at := 0; at < len(f.held); {
		n, err := f.x.ReadBody(f.held[at:])
		if err != nil {
			if err == io.EOF { //nolint:errorlint // the engine's own
				err = exchange.ErrGone
			}
			return err
		}
		at += n
	}
	f.whole = true
	return nil
}

// tries tries endpoints until one has answered: its answer's head is then in
// x.Response and the rest can be read from f.try.
func (f *flight) tries() error {
	for {
		endpoint, err := f.plan.part.cluster.Pick(f.plan.Key, f.plan.Keyed, f.tried)
		if err != nil {
			return err
		}
		f.x.Attempts++
		f.x.Upstream = endpoint.Address()
		err = f.send(endpoint)
		again, wait := f.again(err)
		if !again {
			return err
		}
		f.drop(err)
		f.tried = append(f.tried, endpoint)
		if wait && !f.backoff() {
			return f.timeUp()
		}
	}
}

// again tells whether the request is to be sent once more, and whether after
// a wait. It takes of the budget of retries, once for all that follow.
func (f *flight) again(err error) (again, wait bool) {
	t := &f.try
	retry := f.plan.route.Policy.Retry
	if err == nil && (retry == nil || !slices.Contains(retry.Statuses, f.x.Response.Status)) {
		return false, false
	}
	if f.ctx.Err() != nil || !f.whole && t.bodyTouched {
		return false, false
	}
	repeatable := idempotent(f.x.Request.Method) || retry != nil && retry.NonIdempotent
	if err != nil {
		var unreached *upstream.DialError
		switch {
		case errors.As(err, &unreached):
			wait = false
		case t.stale && (repeatable || !t.sent):
			if f.stale++; f.stale <= staleTries {
				return true, false
			}
			return false, false
		case !t.sent && errors.Is(err, errBroken):
		case retry == nil || !retry.Reset || !errors.Is(err, errBroken) && !errors.Is(err, errTryTimeout):
			return false, false
		case !repeatable:
			return false, false
		default:
			wait = true
		}
	} else if !repeatable {
		return false, false
	} else {
		wait = true
	}
	begin := f.plan.part.cluster.BeginRetry
	if !wait {
		begin = f.plan.part.cluster.BeginElsewhere
	}
	if f.x.Attempts-f.stale >= f.plan.route.maxAttempts || !begin() {
		return false, false
	}
	f.relay.metrics.retries.WithLabelValues(f.x.Cluster).Inc()
	f.budget = true
	return true, wait
}

// idempotent tells the methods that may be repeated (RFC 9110 9.2.2).
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// backoff waits before a retry, at random up to a bound that doubles.
func (f *flight) backoff() bool {
	lowest, highest := backoffLeast, backoffMost
	if retry := f.plan.route.Policy.Retry; retry != nil {
		if retry.BackoffMin > 0 {
			lowest = retry.BackoffMin
		}
		if retry.BackoffMax > 0 {
			highest = retry.BackoffMax
		}
	}
	bound := min(lowest<<min(f.x.Attempts-1, 16), max(highest, lowest))
	wait := time.Duration(rand.Int64N(int64(bound) + 1))
	if time.Now().Add(wait).UnixNano() >= f.deadline {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.ctx.Done():
		return false
	}
}

// timeUp is why there is no time left.
func (f *flight) timeUp() error {
	if err := f.ctx.Err(); err != nil {
		return exchange.ErrGone
	}
	return errTimeout
}

// until is the client's context with an end.
func (f *flight) until(by int64) (context.Context, context.CancelFunc) {
	if by == math.MaxInt64 {
		return context.WithCancel(f.ctx)
	}
	return context.WithDeadline(f.ctx, time.Unix(0, by))
}

// overHTTP2 tells whether a request goes over HTTP/2.
func overHTTP2(q *exchange.Request, cluster *upstream.Cluster) bool {
	switch cluster.Settings().Protocol {
	case edge.UpstreamHTTP2:
		return true
	case edge.UpstreamHTTP1:
		return false
	default:
		return isGRPC(q)
	}
}

// isGRPC tells calls of gRPC, which needs trailers and streams both ways.
func isGRPC(q *exchange.Request) bool {
	const grpc = "application/grpc"
	kind := q.Fields.Get(exchange.ContentType)
	return q.Protocol >= exchange.HTTP2 && len(kind) >= len(grpc) && string(kind[:len(grpc)]) == grpc &&
		(len(kind) == len(grpc) || kind[len(grpc)] != '-')
}
