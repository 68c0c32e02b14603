package epoll

import (
	"slices"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h1"
	"github.com/backlot-video/backlot/services/gateway/internal/relay"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

const (
	// staleTries is how often a request is sent again because a kept connection
	// turned out to have been closed, beyond the route's attempts.
	staleTries = 3
	// maxInterim bounds the 1xx answers before one.
	maxInterim = 16
)

// try is one try at an endpoint, and what those before have left.
type try struct {
	endpoint *upstream.Endpoint
	link     *link
	tried    []*upstream.Endpoint
	stale    int
	retries  int // of the budget, taken
	interim  int
	began    time.Time
	took     time.Duration // until the answer's head
	deadline int64         // of the exchange, Unix nanoseconds
	counted  bool          // Begin was called
	sending  bool          // out is not sent yet
	sent     bool          // some of it is

	framing h1.Framing
	decoder h1.Chunked
	left    int64 // of the answer's body; Unknown
	pipe    *pipe
}

// answerLimits are bound by the buffer as well.
var answerLimits = h1.Limits{Head: bufferBytes, Fields: 200}

// askEndpoint sends the request and reads the answer's head.
func (c *client) askEndpoint() bool {
	t := &c.work.try
	if c.broken {
		c.gone()
		return false
	}
	if t.link == nil {
		return c.newTry()
	}
	if t.sending {
		return c.sendRequest()
	}
	return c.readAnswer()
}

// newTry chooses an endpoint and finds a connection to it.
func (c *client) newTry() bool {
	w := c.work
	t := &w.try
	endpoint, err := w.plan.Cluster().Pick(w.plan.Key, w.plan.Keyed, t.tried)
	if err != nil {
		c.fail(err)
		return true
	}
	p := c.loop.pool(endpoint, w.plan.Cluster())
	k, dialled, err := p.take(!relay.Repeatable(w.x.Request.Method))
	switch {
	case err == errElsewhere: //nolint:errorlint // the pool's own
		c.resume()
		return false
	case err != nil:
		w.x.Attempts++
		w.x.Upstream = endpoint.Address()
		t.endpoint, t.began, t.counted = endpoint, c.loop.now, true
		endpoint.Begin()
		return c.again(upstream.Unreached, &upstream.DialError{Address: endpoint.Address(), Err: err})
	}
	w.x.Attempts++
	w.x.Upstream = endpoint.Address()
	t.endpoint, t.link, t.counted, t.began, t.took, t.sent, t.interim = endpoint, k, true, c.loop.now, 0, false, 0
	k.client = c
	endpoint.Begin()
	endpoint.CountUse(!dialled)
	if w.ur, w.uw = 0, 0; w.up == nil {
		w.up = make([]byte, bufferBytes)
	}
	w.out = h1.AppendRequest(w.out[:0], &w.x.Request, h1.RequestOptions{Host: p.host})
	if w.x.Request.Length > 0 {
		w.out = append(w.out, w.body()...)
	}
	w.pending, t.sending = w.out, true
	c.by = c.tryBy()
	if k.connecting {
		c.by = min(c.by, c.loop.nano+int64(p.connectTimeout))
	}
	return true
}

// tryBy is when the head of the answer must have come.
func (c *client) tryBy() int64 {
	w := c.work
	by := w.try.deadline
	if limit := w.plan.TryTimeout(); limit > 0 {
		by = min(by, c.loop.nano+int64(limit))
	}
	return by
}

// sendRequest sends what is left of the request.
func (c *client) sendRequest() bool {
	w := c.work
	t := &w.try
	k := t.link
	if k.connecting {
		if !k.writable {
			return false
		}
		k.connecting = false
		if err := socketFault(k.fd); err != nil {
			t.endpoint.CountDial(false)
			return c.again(upstream.Unreached, &upstream.DialError{Address: t.endpoint.Address(), Err: err})
		}
		t.endpoint.CountDial(true)
		c.by = c.tryBy()
	}
	if !k.writable {
		return k.ended && c.linkBroken()
	}
	if c.later() {
		return false
	}
	before := len(w.pending)
	rest, _, err := k.send(w.pending, nil)
	if err != nil {
		return c.linkBroken()
	}
	t.sent = t.sent || len(rest) < before
	if w.pending = rest; len(rest) > 0 {
		return false
	}
	t.sending = false
	return true
}

// linkBroken is a connection that failed before the answer's head.
func (c *client) linkBroken() bool { return c.again(upstream.Broken, relay.ErrBroken) }

// readAnswer reads towards the head of the final answer.
func (c *client) readAnswer() bool {
	w := c.work
	t := &w.try
	if w.ur < w.uw {
		n, framing, err := h1.ParseResponse(w.up[w.ur:w.uw], &w.x.Response, w.x.Request.Method, answerLimits)
		switch {
		case err != nil, n > 0 && w.x.Response.Status == 101:
			return c.linkBroken()
		case n > 0 && w.x.Response.Status < 200:
			w.ur += n
			return c.interim()
		case n > 0:
			w.ur += n
			t.framing, t.left, t.took = framing, w.x.Response.Length, c.loop.now.Sub(t.began)
			c.answerBegins()
			return true
		case w.uw == len(w.up):
			return c.linkBroken()
		}
	}
	if !t.link.readable {
		return false
	}
	n, over := t.link.receive(w.up[w.uw:])
	if w.uw += n; over {
		return c.linkBroken()
	}
	return n > 0
}

// interim passes 1xx on, but for 100: that is between the endpoint and us.
func (c *client) interim() bool {
	w := c.work
	if w.try.interim++; w.try.interim > maxInterim {
		return c.linkBroken()
	}
	if w.x.Response.Status == 100 || w.x.Request.Protocol == exchange.HTTP10 {
		return true
	}
	head := h1.AppendResponse(w.out[:0], &w.x.Response, h1.ResponseOptions{Protocol: w.x.Request.Protocol})
	w.out = head
	rest, _, err := c.send(head, nil)
	if err != nil || len(rest) > 0 { // a client that takes no interim answer takes nothing
		c.gone()
		return false
	}
	return true
}

// again ends a try that got no answer, and begins another where that may be.
// The request is here whole, so that it can be sent again.
func (c *client) again(result upstream.Result, err error) bool {
	w := c.work
	t := &w.try
	kept := t.link != nil && t.link.uses > 0 && w.uw == 0 && result == upstream.Broken
	repeatable := relay.Repeatable(w.x.Request.Method)
	dialled := result == upstream.Unreached
	c.dropLink()
	w.pending = nil
	switch {
	case kept && (repeatable || !t.sent):
		c.finishTry(upstream.Aborted)
		t.stale++
		if t.stale <= staleTries {
			return true
		}
		c.fail(err)
		return true
	case kept:
		c.finishTry(upstream.Aborted)
		c.fail(err)
		return true
	}
	sent := t.sent
	c.finishTry(result)
	if (dialled || !sent && result == upstream.Broken) && w.x.Attempts-t.stale < w.plan.MaxAttempts() && w.plan.Cluster().BeginElsewhere() {
		t.retries++
		c.loop.set.config.Relay.CountRetry(&w.x)
		if !slices.Contains(t.tried, t.endpoint) {
			t.tried = append(t.tried, t.endpoint)
		}
		return true
	}
	c.fail(err)
	return true
}

// tryTimedOut is the end of a try's time, or of the exchange's.
func (c *client) tryTimedOut() {
	t := &c.work.try
	if t.link != nil && t.link.connecting && c.loop.nano < t.deadline {
		t.endpoint.CountDial(false)
		c.again(upstream.Unreached, &upstream.DialError{Address: t.endpoint.Address(), Err: errConnectTimeout})
		return
	}
	c.dropLink()
	c.finishTry(upstream.TimedOut)
	c.work.pending = nil
	c.fail(relay.ErrTimeout)
}

// finishTry tells the endpoint what became of the try, once.
func (c *client) finishTry(result upstream.Result) {
	w := c.work
	t := &w.try
	for ; t.retries > 0; t.retries-- {
		w.plan.Cluster().EndRetry()
	}
	if !t.counted {
		return
	}
	t.counted = false
	outcome := upstream.Outcome{Result: result, Took: c.loop.now.Sub(t.began)}
	if result == upstream.Answered {
		outcome.Status, outcome.Took = w.x.Response.Status, t.took
	}
	t.endpoint.Done(outcome, c.loop.now)
}

// dropLink closes the connection to the endpoint.
func (c *client) dropLink() {
	t := &c.work.try
	if t.pipe != nil {
		c.loop.givePipe(t.pipe)
		t.pipe = nil
	}
	if t.link != nil {
		t.link.close()
		t.link = nil
	}
}

// keepLink gives the connection back to its pool, or closes it.
func (c *client) keepLink() {
	w := c.work
	t := &w.try
	if t.pipe != nil {
		c.loop.givePipe(t.pipe)
		t.pipe = nil
	}
	k := t.link
	t.link = nil
	if t.framing.KeepAlive && w.ur == w.uw && !k.ended && !k.broken {
		k.keep()
		return
	}
	k.close()
}
