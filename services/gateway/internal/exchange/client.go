package exchange

import (
	"context"
	"errors"
	"io"
	"net"
)

// Errors of the client's side.
var (
	// ErrMalformed is a body whose framing is wrong.
	ErrMalformed = errors.New("request body: malformed framing")
	// ErrTooSlow is a client that did not send or take bytes in time.
	ErrTooSlow = errors.New("client is too slow")
	// ErrGone is a client that has closed its side or reset its stream.
	ErrGone = errors.New("client has gone")
)

// Client is the side of an exchange that an engine implements. Its methods
// block, and are called by one goroutine, except that ReadBody may run beside
// the writing methods, for streams that go both ways at once.
type Client interface {
	// ReadBody reads of the request's body without its framing; io.EOF ends
	// it. The first call sends 100 Continue where the client waits for that.
	ReadBody(p []byte) (int, error)
	// RequestTrailers are complete once ReadBody has returned io.EOF.
	RequestTrailers() Fields
	// WriteHead sends the head of an answer, or of an interim one (1xx but
	// 101), which may be held back until the first bytes of the body.
	WriteHead(r *Response) error
	// WriteBody sends some of the body, which may be held back until Flush.
	WriteBody(p []byte) (int, error)
	// Flush sends what was held back.
	Flush() error
	// End completes the answer, with trailers if there are any.
	End(trailers Fields) error
	// Abort makes the client see a broken answer: the stream is reset or the
	// connection closed. It may be called at any time after WriteHead.
	Abort()
	// Upgrade gives up the connection once WriteHead has sent 101. Bytes that
	// had been read already come first.
	Upgrade() (io.ReadWriteCloser, error)
}

// Splicer is a Client that can have bodies moved by the kernel.
type Splicer interface {
	// SpliceFrom sends n bytes of the answer's body straight from a
	// connection; what was held back goes first. It returns the bytes sent.
	SpliceFrom(source *net.TCPConn, n int64) (int64, error)
	// SpliceTo moves n bytes of the request's body straight to a connection;
	// bytes that were read already go first.
	SpliceTo(target *net.TCPConn, n int64) (int64, error)
}

// Handler serves exchanges.
type Handler interface {
	// Serve answers x in full. ctx ends when the client goes away or the
	// server is cut off. An error means that the connection, or with HTTP/2
	// and 3 the stream, can be used no more; Serve has then called Abort if
	// the answer had begun.
	Serve(ctx context.Context, x *Exchange) error
}
