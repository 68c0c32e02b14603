package relay

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// courier carries the body of a request to a call, beside the reading of its
// answer. It keeps the beginning, so that another call may take over.
type courier struct {
	x      *exchange.Exchange
	outing *outing
	limit  int64 // most bytes of the body
	keeps  int64 // most that is kept
	taken  atomic.Bool
	fault  atomic.Pointer[error] // of the client

	mu      sync.Mutex // also held while the call takes bytes
	call    Call       // nil: there is none just now
	kept    []byte
	overrun bool // more came than is kept
	ended   bool
	stopped bool
}

func newCourier(o *outing) *courier {
	f := o.flight
	return &courier{x: f.x, outing: o, limit: f.plan.route.Policy.MaxRequest, keeps: f.plan.route.held, call: o.call}
}

// run carries until the body ends, the client fails or nobody wants more.
func (c *courier) run() {
	buffer := bodies.Get().(*[bodyBytes]byte) //nolint:forcetypeassert // the pool's own
	defer bodies.Put(buffer)
	total := int64(0)
	for {
		n, err := c.x.ReadBody(buffer[:])
		if total += int64(n); total > c.limit {
			c.fail(tooMuch{c.limit})
			return
		}
		if err != nil && err != io.EOF { //nolint:errorlint // as readers return it
			c.fail(err)
			return
		}
		if !c.carry(buffer[:n], err == io.EOF) { //nolint:errorlint // as above
			return
		}
	}
}

// carry gives some bytes to the call; false: nothing more is to be carried.
// Where the call takes none, another may follow that gets all.
func (c *courier) carry(p []byte, end bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	c.outing.move()
	if int64(len(c.kept)+len(p)) > c.keeps {
		c.overrun, c.kept = true, nil
	}
	if !c.overrun {
		c.kept = append(c.kept, p...)
	}
	c.ended = end
	c.taken.Store(end)
	if c.call == nil {
		return !end && !c.overrun
	}
	var err error
	if len(p) > 0 {
		_, err = c.call.Write(p)
	}
	if end && err == nil {
		err = c.call.CloseWrite(c.x.Client.RequestTrailers())
	}
	return !end && (err == nil || !c.overrun)
}

// fail tells whoever waits for the answer that the client has failed.
func (c *courier) fail(err error) {
	c.fault.Store(&err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.outing.cancel(err)
	}
}

// clientFault is why the client's side has failed. c may be nil.
func (c *courier) clientFault() error {
	if c == nil {
		return nil
	}
	if fault := c.fault.Load(); fault != nil {
		return *fault
	}
	return nil
}

// repeatable tells whether another call could get the whole body.
func (c *courier) repeatable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.overrun
}

// turnTo gives another call what the ones before it got; nil: there is none
// for now. The one before must have been closed or have failed.
func (c *courier) turnTo(call Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.call = call; call == nil {
		return
	}
	var err error
	if len(c.kept) > 0 {
		_, err = call.Write(c.kept)
	}
	if c.ended && err == nil {
		_ = call.CloseWrite(c.x.Client.RequestTrailers())
	}
}

// stop keeps it from touching the outing again.
func (c *courier) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped, c.call, c.kept = true, nil, nil
}
