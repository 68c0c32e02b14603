package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// proxy relays to the route's cluster.
func (h *Handler) proxy(w *record, r *http.Request, s *state, route *edge.Route, p identity.Principal) {
	c := s.clusters[route.Cluster]
	ctx, span := h.startSpan(r, route)
	defer func() { endSpan(span, w.status) }()
	var stampFault error
	reverse := &httputil.ReverseProxy{
		Rewrite: func(out *httputil.ProxyRequest) {
			out.Out.URL.Path, out.Out.URL.RawPath = string(route.AppendPath(nil, []byte(out.In.URL.Path))), ""
			out.Out.Host = out.In.Host
			out.SetXForwarded()
			stampFault = stamp(h.config.Keys, out.Out.Header, p)
			propagate(ctx, out.Out.Header)
		},
		Transport:     checkedTripper{roundTripper{h, c, route.Policy}, &stampFault},
		FlushInterval: -1,
		BufferPool:    buffers,
		ErrorHandler:  func(_ http.ResponseWriter, _ *http.Request, err error) { h.relayFailed(w, r, route, err) },
		ErrorLog:      nil,
		ModifyResponse: func(response *http.Response) error {
			response.Header.Del(identity.Header)
			response.Header.Del(headerRequestID)
			return nil
		},
	}
	reverse.ServeHTTP(w, r.WithContext(ctx))
}

// checkedTripper stops a request that could not be signed.
type checkedTripper struct {
	roundTripper
	fault *error
}

// RoundTrip implements http.RoundTripper.
func (t checkedTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if *t.fault != nil {
		return nil, *t.fault
	}
	return t.roundTripper.RoundTrip(r)
}

// relayFailed answers for an upstream that did not.
func (h *Handler) relayFailed(w *record, r *http.Request, route *edge.Route, err error) {
	var tooBig *http.MaxBytesError
	var timeout net.Error
	switch {
	case w.status != 0: // the answer had begun; the connection is cut
		panic(http.ErrAbortHandler)
	case errors.As(err, &tooBig):
		refuse(w, http.StatusRequestEntityTooLarge, "resource_exhausted", tooLarge(tooBig.Limit))
	case errors.Is(err, errFull):
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "unavailable", errFull.Error())
	case errors.Is(err, errNoEndpoint):
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "unavailable", errNoEndpoint.Error())
	case errors.Is(err, identity.ErrExpired):
		refuse(w, http.StatusUnauthorized, "unauthenticated", "authorization: token has expired; sign in again")
	case errors.Is(r.Context().Err(), context.Canceled):
		w.status = 499 // the client went away; nobody reads an answer
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		refuse(w, http.StatusGatewayTimeout, "deadline_exceeded", "the service did not answer in time")
	default:
		h.config.Log.Warn("upstream failed", "cluster", route.Cluster, "err", err)
		refuse(w, http.StatusBadGateway, "unavailable", "the service could not be reached")
	}
}

// countedBody tells once when a response has been read or given up. It
// keeps the writing half of an upgraded connection.
type countedBody struct {
	io.ReadCloser
	once sync.Once
	done func()
}

// Close implements io.Closer.
func (b *countedBody) Close() error {
	b.once.Do(b.done)
	return b.ReadCloser.Close()
}

// Write implements io.Writer for upgraded connections.
func (b *countedBody) Write(p []byte) (int, error) {
	if w, writable := b.ReadCloser.(io.Writer); writable {
		return w.Write(p)
	}
	return 0, errors.ErrUnsupported
}

const bufferBytes = 32 << 10

// buffers are shared by all relays.
var buffers = &bufferPool{sync.Pool{New: func() any { b := make([]byte, bufferBytes); return &b }}}

type bufferPool struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (p *bufferPool) Get() []byte { return *p.pool.Get().(*[]byte) }

// Put implements httputil.BufferPool.
func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }
