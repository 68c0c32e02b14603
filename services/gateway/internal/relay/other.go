package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// Transport carries exchanges to endpoints over another protocol than
// HTTP/1.1.
type Transport interface {
	// Open sends the head of the exchange's request; more says that a body
	// follows. ctx ends the call. Errors are those of upstream.Endpoint.Dial, or
	// of a connection that broke.
	Open(ctx context.Context, x *exchange.Exchange, e *upstream.Endpoint, more bool) (Call, error)
	// Unprocessed tells errors, of Open and of calls, that say that the
	// endpoint has not acted on the request.
	Unprocessed(err error) bool
}

// Call is one request that a Transport has sent. Write and CloseWrite may run
// beside the reading methods. What waits in one of them returns the cause of
// the context's end, if that ends first.
type Call interface {
	// Write sends some of the body.
	Write(p []byte) (int, error)
	// CloseWrite ends the body.
	CloseWrite(trailers exchange.Fields) error
	// Head waits for the head of the answer, interim ones as well.
	Head(r *exchange.Response) error
	// Ready tells whether Read would return at once.
	Ready() bool
	// Read reads of the answer's body; io.EOF ends it.
	Read(p []byte) (int, error)
	// Trailers are complete once Read has returned io.EOF.
	Trailers() exchange.Fields
	// Close ends the call, whatever is left of it.
	Close() error
}

// other carries an exchange by the Transport.
func (f *flight) other() error {
	if f.relay.config.Other == nil {
		f.failed(errNoTransport)
		return f.relay.answer(f.x, &f.plan)
	}
	o := &outing{flight: f, due: math.MaxInt64}
	if wait := grpcTimeout(&f.x.Request); wait > 0 && isGRPC(&f.x.Request) {
		o.due = f.x.Began.Add(wait).UnixNano()
		f.deadline = min(f.deadline, o.due+int64(grpcGrace))
	}
	defer o.close()
	err := o.tries()
	if err == nil {
		return o.relayAnswer()
	}
	if f.ctx.Err() != nil || errors.Is(err, exchange.ErrGone) {
		f.x.Response.Status, f.x.Fault = statusGone, "gone"
		f.x.Client.Abort()
		return exchange.ErrGone
	}
	f.failed(err)
	return f.relay.answer(f.x, &f.plan)
}

var errNoTransport = errors.New("no transport for endpoints of this protocol")

// outing is an exchange over another protocol.
type outing struct {
	flight  *flight
	call    Call
	courier *courier // carries a body that is not held; nil: none
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	by      atomic.Int64 // when the call is given up, Unix nanoseconds
	due     int64        // when the client gives up, Unix nanoseconds
	moved   atomic.Int64 // the last byte either way, Unix nanoseconds
}

// tries tries endpoints until one has answered.
func (o *outing) tries() error {
	f := o.flight
	for {
		endpoint, err := f.plan.part.cluster.Pick(f.plan.Key, f.plan.Keyed, f.tried)
		if err != nil {
			return err
		}
		f.x.Attempts++
		f.x.Upstream = endpoint.Address()
		err = o.send(endpoint)
		again, wait := f.again(err)
		if !again {
			return err
		}
		o.endCall()
		f.drop(err)
		f.tried = append(f.tried, endpoint)
		if wait && !f.backoff() {
			return f.timeUp()
		}
	}
}

// send opens a call and waits for the head of its answer.
func (o *outing) send(e *upstream.Endpoint) error {
	f := o.flight
	t := &f.try
	*t = attempt{endpoint: e, began: time.Now(), budget: f.budget}
	f.budget = false
	e.Begin()
	ctx, cancel := context.WithCancelCause(f.ctx)
	o.cancel = cancel
	by, timeout := f.headBy()
	o.limit(by, timeout)
	call, err := f.relay.config.Other.Open(ctx, f.x, e, !f.whole || len(f.held) > 0)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && f.ctx.Err() == nil {
			t.finish(upstream.Refused, 0)
			return cause
		}
		return f.unreached(err)
	}
	o.call, t.sent = call, true
	if err := o.sendBody(); err != nil {
		return o.broken(err)
	}
	return o.readHead()
}

// sendBody sends what is held, or has a courier carry the rest.
func (o *outing) sendBody() error {
	f := o.flight
	switch {
	case !f.whole && o.courier == nil:
		o.courier = newCourier(o)
		go o.courier.run()
	case !f.whole:
		o.courier.turnTo(o.call)
	case len(f.held) > 0:
		if _, err := o.call.Write(f.held); err != nil {
			return err
		}
		return o.call.CloseWrite(nil)
	}
	return nil
}

func (o *outing) readHead() error {
	f := o.flight
	t, x := &f.try, f.x
	for range maxInterim {
		if err := o.call.Head(&x.Response); err != nil {
			return o.broken(err)
		}
		if x.Response.Status >= 200 {
			t.took = time.Since(t.began)
			return nil
		}
		if x.Response.Status == http.StatusContinue {
			continue
		}
		if err := x.Client.WriteHead(&x.Response); err != nil {
			t.finish(upstream.Aborted, 0)
			return exchange.ErrGone
		}
	}
	return o.broken(errors.New("too many interim answers"))
}

// broken is the end of a try whose call failed.
func (o *outing) broken(err error) error {
	f := o.flight
	t := &f.try
	t.bodyTouched = o.courier != nil && !o.courier.repeatable()
	if fault := o.courier.clientFault(); fault != nil {
		t.finish(upstream.Aborted, 0)
		return fault
	}
	switch {
	case f.ctx.Err() != nil:
		t.finish(upstream.Aborted, 0)
		return exchange.ErrGone
	case errors.Is(err, errTimeout):
		t.finish(upstream.TimedOut, 0)
		return err
	case time.Now().UnixNano() >= min(f.deadline, o.due): // the endpoint knows it, too
		t.finish(upstream.TimedOut, 0)
		return errTimeout
	case f.relay.config.Other.Unprocessed(err):
		t.sent = false
		t.finish(upstream.Aborted, 0)
	default:
		t.finish(upstream.Broken, 0)
	}
	return fmt.Errorf("%w: %w", errBroken, err)
}

// relayAnswer relays the answer whose head is in x.Response.
func (o *outing) relayAnswer() error {
	f := o.flight
	t, x := &f.try, f.x
	status := x.Response.Status
	if o.courier != nil && !o.courier.taken.Load() && x.Request.Protocol <= exchange.HTTP11 {
		x.Request.ServerEnd = true
	}
	f.relay.Answered(x, &f.plan)
	o.move()
	o.limit(f.deadline, errTimeout)
	err := o.relayBody()
	if err != nil {
		t.finish(upstream.Answered, status)
		x.Client.Abort()
		if f.ctx.Err() != nil {
			return exchange.ErrGone
		}
		return err
	}
	t.finish(upstream.Answered, grpcStatus(status, o.call.Trailers(), x.Response.Fields))
	return nil
}

func (o *outing) relayBody() error {
	f := o.flight
	x := f.x
	to := sink{client: x.Client, encoder: f.relay.Encoder(x, &f.plan)}
	defer func() {
		if to.encoder != nil {
			to.encoder.Discard()
		}
	}()
	if err := x.Client.WriteHead(&x.Response); err != nil {
		return err
	}
	buffer := bodies.Get().(*[bodyBytes]byte) //nolint:forcetypeassert // the pool's own
	defer bodies.Put(buffer)
	for {
		if !o.call.Ready() {
			if err := to.flush(); err != nil {
				return err
			}
		}
		n, err := o.call.Read(buffer[:])
		o.move()
		if n > 0 {
			if err := to.write(buffer[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF { //nolint:errorlint // as readers return it
			return to.end(o.call.Trailers())
		}
		if err != nil {
			if fault := o.courier.clientFault(); fault != nil {
				return fault
			}
			return fmt.Errorf("%w: %w", errCut, err)
		}
	}
}

// limit says when the call is given up, and why then.
func (o *outing) limit(by int64, timeout error) {
	if o.timer != nil {
		o.timer.Stop()
	}
	idle, cancel := o.flight.plan.route.idle, o.cancel
	o.move()
	o.by.Store(by)
	var timer *time.Timer
	look := func() (wait time.Duration) {
		now := time.Now().UnixNano()
		return time.Duration(min(o.by.Load(), o.moved.Load()+int64(idle)) - now)
	}
	ready := make(chan struct{})
	timer = time.AfterFunc(max(look(), 0), func() {
		<-ready
		if wait := look(); wait > 0 {
			timer.Reset(wait)
			return
		}
		cancel(timeout)
	})
	o.timer = timer
	close(ready)
}

// move notes that a byte came or went.
func (o *outing) move() { o.moved.Store(time.Now().UnixNano()) }

// endCall gives a call up that is to be followed by another.
func (o *outing) endCall() {
	o.timer.Stop()
	if o.call != nil { // first, so that a courier does not wait for it
		_ = o.call.Close()
		o.call = nil
	}
	if o.courier != nil {
		o.courier.turnTo(nil)
	}
	o.cancel(nil)
}

// close ends what is left. A courier that waits for the client ends with the
// exchange.
func (o *outing) close() {
	f := o.flight
	if o.timer != nil {
		o.endCall()
		f.drop(nil)
	}
	if o.courier != nil {
		o.courier.stop()
	}
}
