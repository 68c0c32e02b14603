package adapt

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// client is an exchange over a handler's request and response writer. It
// implements exchange.Client.
type client struct {
	server   *Server
	w        http.ResponseWriter
	r        *http.Request
	control  *http.ResponseController
	x        exchange.Exchange
	received atomic.Int64
	aborted  atomic.Bool
	expect   bool // the client waits for 100 Continue
	eof      bool // the body has ended
	headed   bool // the head of the final answer was given
	ended    bool
}

// ReadBody implements exchange.Client.
func (c *client) ReadBody(p []byte) (int, error) {
	if c.expect {
		c.expect = false
		if !c.headed {
			c.w.WriteHeader(http.StatusContinue)
		}
	}
	if c.x.Request.Length == 0 || c.eof {
		return 0, io.EOF
	}
	if wait := c.server.BodyTimeout; wait > 0 {
		_ = c.control.SetReadDeadline(time.Now().Add(wait))
	}
	n, err := c.r.Body.Read(p)
	c.received.Add(int64(n))
	switch {
	case err != io.EOF: //nolint:errorlint // as readers return it
		err = gone(err)
	case n > 0: // the end comes alone, as from the other engines
		c.eof, err = true, nil
	}
	return n, err
}

// RequestTrailers implements exchange.Client.
func (c *client) RequestTrailers() exchange.Fields {
	var trailers exchange.Fields
	for name, values := range c.r.Trailer {
		for _, value := range values {
			trailers.Add(exchange.NameOf([]byte(name)), []byte(name), []byte(value))
		}
	}
	return trailers
}

// WriteHead implements exchange.Client.
func (c *client) WriteHead(r *exchange.Response) error {
	if c.headed || r.Status == http.StatusSwitchingProtocols {
		return errMisuse
	}
	header := c.w.Header()
	clear(header)
	for i := range r.Fields {
		switch f := &r.Fields[i]; f.ID {
		case exchange.Removed, exchange.Connection, exchange.KeepAlive, exchange.TransferEncoding, exchange.Upgrade,
			exchange.ContentLength, exchange.Trailer:
		default:
			header.Add(string(f.Name), string(f.Value))
		}
	}
	if r.Status < http.StatusOK {
		c.w.WriteHeader(r.Status)
		return nil
	}
	if header["Content-Type"] == nil {
		header["Content-Type"] = nil // nobody is to guess
	}
	if r.Length >= 0 && r.Status != http.StatusNoContent {
		header.Set("Content-Length", strconv.FormatInt(r.Length, 10))
	}
	c.headed = true
	r.NoBody = r.NoBody || c.r.Method == http.MethodHead
	c.stallBy()
	c.w.WriteHeader(r.Status)
	return nil
}

var errMisuse = errors.New("the answer does not fit the protocol or what was written before")

// WriteBody implements exchange.Client.
func (c *client) WriteBody(p []byte) (int, error) {
	if !c.headed || c.ended || c.x.Response.NoBody {
		return 0, errMisuse
	}
	c.stallBy()
	n, err := c.w.Write(p)
	c.x.Sent += int64(n)
	return n, gone(err)
}

// Flush implements exchange.Client.
func (c *client) Flush() error {
	c.stallBy()
	return gone(c.control.Flush())
}

// End implements exchange.Client.
func (c *client) End(trailers exchange.Fields) error {
	c.x.Received = c.received.Load()
	if !c.headed || c.ended {
		return errMisuse
	}
	for i := range trailers {
		if f := &trailers[i]; f.ID != exchange.Removed {
			c.w.Header().Add(http.TrailerPrefix+http.CanonicalHeaderKey(string(f.Name)), string(f.Value))
		}
	}
	// The server would say a length of what is short and was not sent yet, also
	// of answers that have none.
	err := c.Flush()
	c.ended = err == nil
	return err
}

// Abort implements exchange.Client. Whoever reads or writes is woken; the
// stream is reset when the handler ends.
func (c *client) Abort() {
	c.aborted.Store(true)
	c.x.Received = c.received.Load()
	_ = c.control.SetReadDeadline(longAgo)
	_ = c.control.SetWriteDeadline(longAgo)
}

var longAgo = time.Unix(1, 0)

// Upgrade implements exchange.Client: there is nothing to upgrade to.
func (c *client) Upgrade() (io.ReadWriteCloser, error) { return nil, errors.ErrUnsupported }

// stallBy begins the time in which the client has to take something.
func (c *client) stallBy() {
	if wait := c.server.WriteTimeout; wait > 0 && !c.aborted.Load() {
		_ = c.control.SetWriteDeadline(time.Now().Add(wait))
	}
}

// gone turns an error of the client's side into one of package exchange.
func gone(err error) error {
	if err == nil {
		return nil
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return exchange.ErrTooSlow
	}
	return exchange.ErrGone
}
