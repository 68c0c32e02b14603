package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// errPlain is what Serve and ServeKitex answer to a listener off loopback
// without TLS.
var errPlain = errors.New("off loopback RPC is TLS: give a certificate or listen on 127.0.0.1 or a unix socket")

// A stream may be silent for hours: a peer that is gone is found by asking
// it after pingAfter of silence and waiting pingAnswer.
const (
	pingAfter  = 30 * time.Second
	pingAnswer = 15 * time.Second
)

// Handler returns what Serve serves: Connect and the handlers of HandleHTTP.
func (s *Server) Handler() http.Handler { return s.mux }

// Serve serves HTTP/1.1 and HTTP/2, by TLS where it is configured, on
// listener, which it closes. It blocks until Shutdown, then returns nil.
func (s *Server) Serve(listener net.Listener) error {
	secure, err := s.security(listener.Addr())
	if err != nil {
		listener.Close()
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	}
	server := s.httpServer(secure)
	s.mu.Lock()
	if s.address == "" {
		s.address = addressOf(listener.Addr())
	}
	s.closers = append(s.closers, func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err != nil {
			server.Close()
		}
		return err
	})
	s.mu.Unlock()
	if s.closing.Load() {
		return listener.Close()
	}
	if secure != nil {
		err = server.ServeTLS(listener, "", "")
	} else {
		err = server.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
}

func (s *Server) httpServer(secure *tls.Config) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(secure != nil)
	protocols.SetUnencryptedHTTP2(secure == nil)
	return &http.Server{
		Handler:           s.mux,
		TLSConfig:         secure,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAnswer},
		ReadHeaderTimeout: s.config.HeaderTimeout,
		IdleTimeout:       s.config.IdleTimeout,
		MaxHeaderBytes:    s.config.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug),
	}
}

func addressOf(address net.Addr) string {
	if address.Network() == "unix" {
		return unixPrefix + address.String()
	}
	return address.String()
}

// HandleHTTP serves requests that match an http.ServeMux pattern. The handler
// finds a verified principal in the request's context, the anonymous one where
// the request brings none, and decides on access itself; a principal that does
// not verify is refused with 401. Bodies have no time limit here.
func (s *Server) HandleHTTP(pattern string, handler http.Handler) {
	method := &rpcdesc.Method{Service: "http", Name: pattern}
	duration := curry(s.metrics.duration, method.Service, method.Name)
	s.mux.Handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		incoming := &call{metadata: metadataOf(r.Header), transport: transportHTTP}
		ctx, span := startServerSpan(r.Context(), s.config.Tracer, incoming, method)
		recorder := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		s.serveRaw(recorder, r.WithContext(ctx), incoming, handler)
		duration.WithLabelValues(strconv.Itoa(recorder.status/100)+"xx", transportHTTP).Observe(time.Since(begin).Seconds())
		span.end(nil)
	}))
}

func (s *Server) serveRaw(w *statusWriter, r *http.Request, incoming *call, handler http.Handler) {
	leave, err := s.enter(true)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer leave()
	principal, err := s.verify(incoming.principal)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(value)
		}
		s.config.Log.LogAttrs(r.Context(), slog.LevelError, "request failed",
			slog.String("service", s.config.Service), slog.String("path", r.Pattern),
			slog.Any("err", &panicError{value: value}), slog.String("stack", string(debug.Stack())))
		if w.written {
			panic(http.ErrAbortHandler)
		}
		http.Error(w, errInternal.Error(), http.StatusInternalServerError)
	}()
	ctx := r.Context()
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		// It may be a stream without end: as one of Connect, it ends at Shutdown.
		var end func()
		ctx, end = s.openStream(ctx)
		defer end()
	}
	handler.ServeHTTP(w, r.WithContext(identity.With(ctx, principal)))
}

// statusWriter remembers the status and leaves the rest to the connection:
// flushing, deadlines and copying from a file without passing user space.
type statusWriter struct {
	http.ResponseWriter
	status  int
	written bool
}

func (w *statusWriter) WriteHeader(status int) {
	if !w.written && status >= 200 {
		w.status, w.written = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	w.written = true
	return w.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom.
func (w *statusWriter) ReadFrom(r io.Reader) (int64, error) {
	w.written = true
	return io.Copy(w.ResponseWriter, r)
}

// Flush implements http.Flusher.
func (w *statusWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap serves http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
