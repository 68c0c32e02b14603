package adapt

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
)

// FileSender is a Client that sends files without copying them.
type FileSender interface {
	// SendFile sends n bytes of the answer's body from where the file stands.
	SendFile(file *os.File, n int64) (int64, error)
}

// Serve has a handler of net/http answer an exchange. before is called once,
// when the answer's head is in x.Response and before it is sent; it gives what
// codes the body, nil for nothing.
func Serve(ctx context.Context, x *exchange.Exchange, handler http.Handler, before func() filter.Encoder) (err error) {
	w := &writer{x: x, header: http.Header{}, before: before}
	defer func() {
		if w.coder != nil {
			w.coder.Discard()
		}
		if caught := recover(); caught != nil {
			x.Client.Abort()
			if caught != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
				err = errPanic
				return
			}
			err = http.ErrAbortHandler
		}
	}()
	handler.ServeHTTP(w, Request(ctx, x))
	return w.end()
}

var errPanic = errors.New("a handler panicked")

// Request is an exchange's request in net/http's form.
func Request(ctx context.Context, x *exchange.Exchange) *http.Request {
	q := &x.Request
	header := make(http.Header, len(q.Fields))
	for i := range q.Fields {
		if q.Fields[i].ID != exchange.Removed {
			header.Add(string(q.Fields[i].Name), string(q.Fields[i].Value))
		}
	}
	address := &url.URL{Path: string(q.Path), RawQuery: string(q.Query), ForceQuery: q.HasQuery && len(q.Query) == 0}
	if path, err := url.PathUnescape(address.Path); err == nil && path != address.Path {
		address.Path, address.RawPath = path, address.Path
	}
	r := &http.Request{
		Method: string(q.Method), URL: address, Header: header, Host: string(q.Authority), ContentLength: q.Length,
		Proto: q.Protocol.String(), ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: q.Remote.String(), TLS: q.TLS,
		RequestURI: string(q.Path), Body: body{x},
	}
	if q.Length == 0 {
		r.Body = http.NoBody
	}
	return r.WithContext(ctx)
}

// body is an exchange's as a reader.
type body struct{ x *exchange.Exchange }

// Read implements io.Reader.
func (b body) Read(p []byte) (int, error) { return b.x.ReadBody(p) }

// Close implements io.Closer.
func (body) Close() error { return nil }

// writer is the client's side as a handler sees it.
type writer struct {
	x      *exchange.Exchange
	header http.Header
	before func() filter.Encoder
	coder  filter.Encoder // nil: none
	headed bool
	err    error
}

// Header implements http.ResponseWriter.
func (w *writer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *writer) WriteHeader(status int) {
	if w.headed || w.err != nil {
		return
	}
	r := &w.x.Response
	*r = exchange.Response{Status: status, Length: exchange.Unknown, Fields: r.Fields[:0]}
	for name, values := range w.header {
		for _, value := range values {
			w.add(name, value)
		}
	}
	r.NoBody = string(w.x.Request.Method) == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified
	if status >= http.StatusOK {
		w.headed = true
		w.coder = w.before()
	}
	w.err = w.x.Client.WriteHead(r)
}

// add adds a field, but those of one connection, which the engine writes.
func (w *writer) add(name, value string) {
	id := exchange.NameOf([]byte(name))
	switch id {
	case exchange.ContentLength:
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 {
			w.x.Response.Length = n
		}
	case exchange.Connection, exchange.TransferEncoding, exchange.KeepAlive, exchange.Upgrade, exchange.Trailer:
	default:
		w.x.Response.Fields.Add(id, w.x.Arena.CopyString(name), w.x.Arena.CopyString(value))
	}
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if !w.headed {
		if w.header.Get("Content-Type") == "" {
			w.header.Set("Content-Type", http.DetectContentType(p))
		}
		w.WriteHeader(http.StatusOK)
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.x.Response.NoBody {
		return len(p), nil
	}
	write := w.x.Client.WriteBody
	if w.coder != nil {
		write = w.coder.Write
	}
	n, err := write(p)
	w.err = err
	return n, err
}

// ReadFrom sends files without copying where the client can.
func (w *writer) ReadFrom(source io.Reader) (int64, error) {
	sender, able := w.x.Client.(FileSender)
	limited, is := source.(*io.LimitedReader)
	if able && is && w.coder == nil && w.headed && !w.x.Response.NoBody && w.err == nil {
		if file, is := limited.R.(*os.File); is {
			n, err := sender.SendFile(file, limited.N)
			limited.N -= n
			if !errors.Is(err, errors.ErrUnsupported) {
				w.err = err
				return n, err
			}
		}
	}
	return io.Copy(struct{ io.Writer }{w}, source)
}

// Flush implements http.Flusher.
func (w *writer) Flush() {
	if !w.headed {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.err != nil:
	case w.coder != nil:
		w.err = w.coder.Flush()
	default:
		w.err = w.x.Client.Flush()
	}
}

// end completes the answer.
func (w *writer) end() error {
	if !w.headed {
		if w.header.Get("Content-Length") == "" {
			w.header.Set("Content-Length", "0")
		}
		w.WriteHeader(http.StatusOK)
	}
	if w.err == nil && w.coder != nil {
		w.err = w.coder.Close()
		w.coder = nil
	}
	if w.err == nil {
		w.err = w.x.Client.End(nil)
	}
	if w.err != nil {
		w.x.Client.Abort()
	}
	return w.err
}
