package epoll

import (
	"net/http"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h1"
	"github.com/backlot-video/backlot/services/gateway/internal/relay"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

const (
	// goneAfter is how long an exchange has to last before a client that has
	// closed its side is taken for gone.
	goneAfter = 1e9
	// statusGone is nginx's word for a client that did not wait.
	statusGone = 499
)

// begin decides about the request whose head has been read.
func (c *client) begin() {
	w, set := c.work, c.loop.set
	x := &w.x
	x.Client, x.Request.TLS, x.Request.Secure, x.Request.Remote = nil, nil, false, c.remote
	x.Began = c.loop.now
	set.config.Engine.CountRequest()
	w.begun = true
	c.become(holding)
	w.plan = set.config.Relay.Decide(x)
	length := x.Request.Length
	switch {
	case w.plan.Kind == relay.Slow, length == exchange.Unknown, length > heldBytes, x.Request.Expect:
		c.resume()
	case int64(w.w-w.r) < length:
		if need := w.r + int(length); need > len(w.in) {
			w.grow(need)
		}
		c.by = c.loop.nano + int64(set.config.BodyTimeout)
	default:
		c.whole()
	}
}

// readHeld reads the rest of a body.
func (c *client) readHeld() bool {
	w := c.work
	if !c.readable {
		return false
	}
	n, over := c.receive(w.in[w.w:])
	if over {
		c.gone()
		return false
	}
	if n == 0 {
		return false
	}
	w.w += n
	c.by = c.loop.nano + int64(c.loop.set.config.BodyTimeout)
	if int64(w.w-w.r) < w.x.Request.Length {
		return true
	}
	c.whole()
	return c.state != closed
}

// whole goes on when the whole request is here.
func (c *client) whole() {
	w := c.work
	w.x.Received = w.x.Request.Length
	if w.plan.Kind == relay.Answer {
		c.answer()
		return
	}
	if err := w.plan.Cluster().Admit(c.loop.now); err != nil {
		c.fail(err)
		return
	}
	w.admitted = true
	w.try.deadline = w.plan.Deadline(&w.x)
	c.become(trying)
}

// body is the request's.
func (w *work) body() []byte { return w.in[w.r : w.r+int(w.x.Request.Length)] }

// fail answers for a request that reached no answer of an endpoint.
func (c *client) fail(err error) {
	c.loop.set.config.Relay.Fail(&c.work.x, err)
	c.answer()
}

// answer sends an answer of the gateway's own.
func (c *client) answer() {
	w := c.work
	c.headOut()
	if !w.x.Response.NoBody {
		w.out = append(w.out, w.x.Answer...)
		w.x.Sent = int64(len(w.x.Answer))
	}
	w.pending, w.complete = w.out, true
	w.writeBy = c.loop.nano + int64(c.loop.set.config.WriteTimeout)
	c.become(relaying)
}

// headOut renders the answer's head to w.out.
func (c *client) headOut() {
	w := c.work
	r, q := &w.x.Response, &w.x.Request
	c.loop.set.config.Relay.Answered(&w.x, &w.plan)
	r.NoBody = r.NoBody || string(q.Method) == http.MethodHead
	o := h1.ResponseOptions{Protocol: q.Protocol, Date: c.loop.dateNow()}
	o.Close = q.ServerEnd || c.loop.set.config.Engine.Draining() || h1.EndsConnection(r, o)
	w.headed, w.last, w.chunk = true, o.Close, h1.Chunks(r, o)
	w.out = h1.AppendResponse(w.out[:0], r, o)
}

// end is the end of an exchange whose answer is out whole.
func (c *client) end() {
	w := c.work
	c.settle(upstream.Answered)
	c.loop.set.config.Relay.Finish(&w.x, &w.plan)
	w.begun = false
	taken := w.r + int(w.x.Request.Length)
	last := w.last
	w.w = copy(w.in, w.in[taken:w.w])
	w.r, w.known = 0, 0
	w.reset()
	switch {
	case last && (w.w > 0 || c.readable):
		c.linger()
	case last:
		c.close()
	case w.w > 0:
		c.become(heading)
		c.by = c.loop.nano + int64(c.loop.set.config.HeaderTimeout)
	default:
		c.become(idle)
		c.by = c.loop.nano + int64(c.loop.set.config.IdleTimeout)
	}
}

// settle gives back what the exchange has of endpoint and cluster.
func (c *client) settle(result upstream.Result) {
	w := c.work
	c.finishTry(result)
	if w.admitted {
		w.admitted = false
		w.plan.Cluster().Release()
	}
}

// gone is a client that does not wait for its answer.
func (c *client) gone() {
	if w := c.work; !w.headed {
		w.x.Response.Status = statusGone
	}
	c.abort("gone")
}

// abort ends the connection, and an exchange in its middle, so that the client
// sees that it is broken.
func (c *client) abort(fault string) {
	w := c.work
	if w != nil && w.begun {
		if w.x.Fault == "" {
			w.x.Fault = fault
		}
		c.dropLink()
		c.settle(upstream.Aborted)
		c.loop.set.config.Relay.Finish(&w.x, &w.plan)
		w.begun = false
		c.reset()
	}
	c.close()
}

// look is called while an exchange is under way, now and then.
func (c *client) look() {
	w, now := c.work, c.loop.nano
	if c.hurry() {
		return
	}
	switch {
	case c.broken, c.ended && now-w.x.Began.UnixNano() > goneAfter && c.state != holding:
		c.gone()
	case c.state == relaying && len(w.pending)+len(w.tail) > 0 || w.try.pipe != nil && w.try.pipe.held > 0:
		if now >= w.writeBy {
			c.abort("slow_client")
		}
	case now < c.by:
	case c.state == holding:
		w.x.Refuse(http.StatusRequestTimeout, "deadline_exceeded", "request body: did not come in time", "slow_client")
		w.x.Request.ServerEnd, w.x.Request.Length = true, int64(w.w-w.r)
		c.answer()
		c.run()
	case c.state == trying:
		c.tryTimedOut()
		c.run()
	case c.state == relaying:
		c.dropLink()
		c.finishTry(upstream.TimedOut)
		c.abort("timeout")
	}
}
