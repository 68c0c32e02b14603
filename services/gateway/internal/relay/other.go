package relay

import (
	"context"
	"errors"
	"net/http"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// Transport carries exchanges to endpoints over another protocol than
// HTTP/1.1.
type Transport interface {
	// Open sends the head of the exchange's request; more says that a body
	// follows. Errors are those of upstream.Endpoint.Dial, or of a connection
	// that broke.
	Open(ctx context.Context, x *exchange.Exchange, e *upstream.Endpoint, more bool) (Call, error)
}

// Call is one request that a Transport has sent. Write and CloseWrite may run
// beside the reading methods.
type Call interface {
	// Write sends some of the body.
	Write(p []byte) (int, error)
	// CloseWrite ends the body.
	CloseWrite(trailers exchange.Fields) error
	// Head waits for the head of the answer, interim ones as well.
	Head(r *exchange.Response) error
	// Read reads of the answer's body; io.EOF ends it.
	Read(p []byte) (int, error)
	// Trailers are complete once Read has returned io.EOF.
	Trailers() exchange.Fields
	// Close ends the call, whatever is left of it.
	Close() error
}

var errNoTransport = errors.New("no transport for endpoints of this protocol")

// other carries an exchange by the Transport.
func (f *flight) other() error {
	f.x.Refuse(http.StatusBadGateway, "unavailable", "the service could not be reached", "upstream")
	f.relay.config.Log.Warn("upstream failed", "cluster", f.x.Cluster, "err", errNoTransport)
	return f.relay.answer(f.x, f.plan)
}
