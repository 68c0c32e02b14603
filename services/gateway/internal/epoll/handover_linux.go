package epoll

import (
	"context"
	"net"
	"os"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// take makes the runtime's connection of the client's descriptor, which the
// loop then does not have any more. nil: it cannot be, and is closed.
func (c *client) take() net.Conn {
	fd := c.loop.table.release(&c.socket)
	file := os.NewFile(uintptr(fd), "client")
	nc, err := net.FileConn(file) // a copy
	_ = file.Close()
	if err != nil {
		return nil
	}
	return nc
}

// leave hands the connection to the engine with what was read of its next
// request.
func (c *client) leave() {
	w := c.work
	read := append([]byte(nil), w.in[:w.w]...)
	set := c.loop.set
	nc := c.take()
	c.forget()
	if nc == nil {
		set.config.Engine.Left()
		return
	}
	go set.config.Engine.Continue(nc, read) // the engine waits for its connections
}

// resume hands the connection to the engine with the exchange that has begun.
// Nothing of it has reached an endpoint.
func (c *client) resume() {
	w := c.work
	set := c.loop.set
	if w.admitted {
		w.admitted = false
		w.plan.Cluster().Release()
	}
	x, plan, in, head := w.x, w.plan, w.in[:w.w], w.r
	w.x = exchange.Exchange{}
	w.in = make([]byte, headBytes)
	w.begun = false
	for ; w.try.retries > 0; w.try.retries-- {
		plan.Cluster().EndRetry()
	}
	nc := c.take()
	c.forget()
	if nc == nil {
		set.config.Relay.Finish(&x, &plan)
		set.config.Engine.Left()
		return
	}
	go func() { // the engine waits for its connections
		set.config.Engine.Resume(nc, &x, in, head, func(ctx context.Context, x *exchange.Exchange) error {
			return set.config.Relay.Go(ctx, x, plan)
		})
	}()
}
