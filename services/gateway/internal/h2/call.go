package h2

import (
	"io"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// Call is one request to an upstream. Write and CloseWrite may run beside the
// methods that read.
type Call struct {
	stream
	owner  *upstreamConn
	block  []byte // head of the request
	toHEAD bool
	stop   func() bool // stops listening to the context
	cause  error       // of the context's end; under the connection's mu

	// Of the reading goroutine of the connection.
	headed  bool
	interim int

	heads []exchange.Response // that came and were not taken yet; under mu
}

func newCall(r *exchange.Request, secure bool) *Call {
	c := &Call{block: appendRequest(make([]byte, 0, 512), r, secure), toHEAD: string(r.Method) == "HEAD"}
	c.call = c
	return c
}

// Write sends some of the body.
func (c *Call) Write(p []byte) (int, error) {
	n, err := c.write(p)
	if err == nil {
		err = c.flush()
	}
	return n, c.fault(err)
}

// CloseWrite ends the body.
func (c *Call) CloseWrite(trailers exchange.Fields) error {
	var block []byte
	if len(trailers) > 0 {
		block = appendFields(nil, trailers)
	}
	return c.fault(c.end(block))
}

// Head waits for the head of the answer; those of interim ones come first.
// Fields are views that are good until Close.
func (c *Call) Head(r *exchange.Response) error {
	conn := &c.owner.conn
	conn.mu.Lock()
	defer conn.mu.Unlock()
	for len(c.heads) == 0 {
		if c.cause != nil {
			return c.cause
		}
		if c.err != nil {
			return c.err
		}
		if len(conn.out) > 0 && !conn.flushing && conn.err == nil {
			conn.flush()
			continue
		}
		c.changed.Wait()
	}
	fields := append(r.Fields[:0], c.heads[0].Fields...)
	*r = c.heads[0]
	r.Fields = fields
	c.heads = c.heads[1:]
	return nil
}

// Ready tells whether Read would return at once.
func (c *Call) Ready() bool {
	conn := &c.owner.conn
	conn.mu.Lock()
	defer conn.mu.Unlock()
	return c.body.size > 0 || c.remoteEnd || c.err != nil
}

// Read reads of the answer's body; io.EOF ends it.
func (c *Call) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if err == io.EOF { //nolint:errorlint // as readers return it
		return n, err
	}
	return n, c.fault(err)
}

// Trailers are complete once Read has returned io.EOF.
func (c *Call) Trailers() exchange.Fields { return c.trailers }

// Close ends the call, whatever is left of it.
func (c *Call) Close() error {
	c.stop()
	c.cancel(nil)
	conn := &c.owner.conn
	conn.mu.Lock()
	defer conn.mu.Unlock()
	conn.credit(c.body.clear())
	conn.kick()
	return nil
}

// cancel tells the upstream that nobody waits any more, because of a context's
// end or for no reason.
func (c *Call) cancel(cause error) {
	conn := &c.owner.conn
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if !c.open {
		return
	}
	c.cause = cause
	c.reset(&StreamError{Code: Cancel, Reason: "given up"})
	conn.kick()
}

// fault prefers the context's error to its consequences.
func (c *Call) fault(err error) error {
	if err == nil {
		return nil
	}
	conn := &c.owner.conn
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	return err
}
