package epoll

import (
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h1"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// copied is how much of a body is put behind the head in one buffer; more is
// sent from where it is.
const copied = 4 << 10

// answerBegins renders the head and what is here of the body.
func (c *client) answerBegins() {
	w := c.work
	t := &w.try
	c.headOut()
	c.become(relaying)
	if w.x.Response.NoBody {
		t.left = 0
	}
	if t.framing.Chunked {
		t.decoder.Reset()
	}
	c.idleBy()
	w.writeBy = c.loop.nano + int64(c.loop.set.config.WriteTimeout)
	if !c.produce() {
		return
	}
	w.pending = w.out
}

// idleBy puts the deadline for the next byte of the endpoint in force.
func (c *client) idleBy() {
	w := c.work
	c.by = min(w.try.deadline, c.loop.nano+int64(w.plan.IdleTimeout()))
}

// relayAnswer sends what is ready, and makes more ready.
func (c *client) relayAnswer() bool {
	w := c.work
	if c.broken {
		c.gone()
		return false
	}
	if len(w.pending)+len(w.tail) > 0 {
		return c.flush()
	}
	if w.complete {
		c.end()
		return c.state != closed
	}
	w.out = w.out[:0]
	if w.try.pipe != nil {
		return c.spliceBody()
	}
	return c.readBody()
}

// flush sends what is pending. It returns true when all is out.
func (c *client) flush() bool {
	w := c.work
	if !c.writable || c.later() {
		return false
	}
	before := len(w.pending) + len(w.tail)
	var err error
	if len(w.pending) == 0 {
		w.pending, w.tail = w.tail, nil
	}
	if w.pending, w.tail, err = c.send(w.pending, w.tail); err != nil {
		c.gone()
		return false
	}
	left := len(w.pending) + len(w.tail)
	if left < before {
		w.writeBy = c.loop.nano + int64(c.loop.set.config.WriteTimeout)
	}
	return left == 0
}

// readBody reads more of the answer.
func (c *client) readBody() bool {
	w := c.work
	t := &w.try
	if t.framing.Chunked && w.ur < w.uw { // there was no room for it beside what is out now
		if !c.produce() {
			return false
		}
		if w.pending = w.out; len(w.pending) > 0 || w.complete {
			return true
		}
	}
	if w.ur == w.uw {
		w.ur, w.uw = 0, 0
		if t.left >= spliceFrom && !t.framing.Chunked && !w.chunk {
			if t.pipe = c.loop.takePipe(); t.pipe != nil {
				if t.left >= batchFrom {
					t.pipe.batch(&t.link.socket, true)
				}
				return true
			}
		}
	} else if w.uw == len(w.up) {
		w.uw = copy(w.up, w.up[w.ur:w.uw])
		w.ur = 0
	}
	if !t.link.readable {
		return false
	}
	n, over := t.link.receive(w.up[w.uw:])
	if w.uw += n; over {
		if t.framing.UntilClose && !t.link.broken {
			t.left = 0
		} else {
			return c.bodyBroken()
		}
	} else if n == 0 {
		return false
	}
	c.idleBy()
	if !c.produce() {
		return false
	}
	w.pending = w.out
	return true
}

// bodyBroken is an endpoint that fails in the middle of its answer.
func (c *client) bodyBroken() bool {
	c.dropLink()
	c.finishTry(upstream.Broken)
	c.abort("upstream")
	return false
}

// produce makes what has come of the body ready to be sent. It returns false
// where the exchange is over.
func (c *client) produce() bool {
	w := c.work
	t := &w.try
	switch {
	case t.framing.Chunked:
		return c.produceChunks()
	case t.left == exchange.Unknown:
		if n := w.uw - w.ur; n > 0 {
			c.add(w.up[w.ur:w.uw])
			w.ur = w.uw
		}
		return true
	}
	data := w.up[w.ur:w.uw]
	if t.framing.UntilClose || w.x.Response.NoBody {
		data = nil
	}
	if int64(len(data)) > t.left {
		data = data[:t.left]
	}
	if t.left -= int64(len(data)); len(data) > 0 {
		w.ur += len(data)
		c.add(data)
	}
	if t.left == 0 {
		c.bodyRead(nil)
	}
	return true
}

// add puts data behind what is to be sent.
func (c *client) add(data []byte) {
	w := c.work
	w.x.Sent += int64(len(data))
	if w.chunk {
		w.out = h1.AppendChunk(w.out, len(data))
		w.out = append(append(w.out, data...), h1.ChunkEnd...)
		return
	}
	if len(data) <= copied {
		w.out = append(w.out, data...)
		return
	}
	w.tail = data
}

func (c *client) produceChunks() bool {
	w := c.work
	t := &w.try
	for len(w.out) <= bufferBytes {
		data, used, done, err := t.decoder.Next(w.up[w.ur:w.uw])
		if err != nil {
			return c.bodyBroken()
		}
		w.ur += used
		switch {
		case done:
			c.bodyRead(t.decoder.Trailers())
			return true
		case len(data) == 0:
			return true
		case w.chunk:
			c.add(data)
		default: // to HTTP/1.0, as it is
			w.out = append(w.out, data...)
			w.x.Sent += int64(len(data))
		}
	}
	return true
}

// bodyRead is the end of the endpoint's side.
func (c *client) bodyRead(trailers exchange.Fields) {
	w := c.work
	if w.chunk {
		w.out = h1.AppendLastChunk(w.out, trailers)
	}
	w.complete = true
	c.keepLink()
}

// spliceBody has the kernel move the rest of a body of known length.
func (c *client) spliceBody() bool {
	w := c.work
	t := &w.try
	p := t.pipe
	if p.held == 0 {
		if !t.link.readable {
			return false
		}
		if over := p.fill(&t.link.socket, t.left); over {
			return c.bodyBroken()
		}
		if p.held == 0 {
			return false
		}
		c.idleBy()
		w.writeBy = c.loop.nano + int64(c.loop.set.config.WriteTimeout)
	}
	if !c.writable {
		return false
	}
	before := p.held
	if p.drain(&c.socket) != nil {
		c.gone()
		return false
	}
	moved := int64(before - p.held)
	if moved == 0 {
		return false
	}
	w.x.Sent += moved
	w.writeBy = c.loop.nano + int64(c.loop.set.config.WriteTimeout)
	if t.left -= moved; t.left == 0 {
		c.bodyRead(nil)
	}
	return true
}

// hurry takes what has come of a large body that does not come fast, and has the
// loop woken for anything of it from now on. It tells whether it has done so.
func (c *client) hurry() bool {
	t := &c.work.try
	p := t.pipe
	if p == nil || !p.batched || p.held > 0 {
		return false
	}
	if p.filled {
		p.filled = false
		return false
	}
	p.batch(&t.link.socket, false)
	t.link.readable = true
	c.run()
	return true
}
