package ads

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

const (
	// maxRequest bounds one request of a client.
	maxRequest = 4 << 20
	// maxKept is the buffer that a client keeps between messages.
	maxKept = 64 << 10
	// frameHead is gRPC's: a flag and the length.
	frameHead = 5
	// contentType of gRPC with protobuf.
	contentType = "application/grpc"
	// firstRequest is the time that a client has for it.
	firstRequest = 10 * time.Second
)

// method is one RPC: the variant, and the type that requests without one mean.
type method struct {
	delta   bool
	typeURL string
}

var methods = func() map[string]method {
	const prefix = "/envoy.service."
	all := map[string]method{
		prefix + "discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources": {},
		prefix + "discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources":  {delta: true},
	}
	for typeURL, names := range map[string][2]string{
		SecretType:   {"secret.v3.SecretDiscoveryService", "Secrets"},
		ClusterType:  {"cluster.v3.ClusterDiscoveryService", "Clusters"},
		EndpointType: {"endpoint.v3.EndpointDiscoveryService", "Endpoints"},
		ListenerType: {"listener.v3.ListenerDiscoveryService", "Listeners"},
		RouteType:    {"route.v3.RouteDiscoveryService", "Routes"},
	} {
		all[prefix+names[0]+"/Stream"+names[1]] = method{false, typeURL}
		all[prefix+names[0]+"/Delta"+names[1]] = method{true, typeURL}
	}
	return all
}()

// Procedures are the paths that Handler serves: ADS and a service for each
// type, state of the world and delta.
func Procedures() []string {
	var all []string
	for path := range methods {
		all = append(all, path)
	}
	return all
}

// failure ends a stream.
type failure struct {
	code codes.Code
	text string
}

func (s *failure) Error() string { return s.text }

// Handler serves the procedures. allow says who may connect, nil: everybody;
// its error is the caller's.
func (s *Server) Handler(allow func(*http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m, found := methods[r.URL.Path]
		kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
		switch {
		case !found || r.Method != http.MethodPost || r.ProtoMajor < 2:
			http.Error(w, "xDS is gRPC over HTTP/2", http.StatusNotFound)
			return
		case kind != contentType && kind != contentType+"+proto":
			http.Error(w, "xDS is gRPC with protobuf", http.StatusUnsupportedMediaType)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(http.StatusOK)
		finish(w, s.admit(w, r, m, allow))
	})
}

// finish writes the status of a stream.
func finish(w http.ResponseWriter, err error) {
	end := new(failure)
	if err != nil && !errors.As(err, &end) {
		end = &failure{codes.Unavailable, "the stream is broken"}
	}
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(int(end.code)))
	if end.text != "" {
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", percent(end.text))
	}
}

// percent encodes a status message.
func percent(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (s *Server) admit(w http.ResponseWriter, r *http.Request, m method, allow func(*http.Request) error) error {
	if allow != nil {
		if err := allow(r); err != nil {
			s.metrics.refused.WithLabelValues("access").Inc()
			return &failure{codes.PermissionDenied, err.Error()}
		}
	}
	if !s.enter() {
		s.metrics.refused.WithLabelValues("full").Inc()
		return &failure{codes.ResourceExhausted, "too many xDS clients are connected"}
	}
	defer s.leave()
	return s.serve(w, r, m)
}

// serve answers one client. Requests are read on a goroutine of their own.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, m method) error {
	ctx, cancel := context.WithCancel(r.Context())
	controller := http.NewResponseController(w)
	requests := make(chan proto.Message)
	ended := make(chan error, 1)
	var reader sync.WaitGroup
	reader.Go(func() { ended <- read(ctx, r.Body, m, requests) })
	defer func() {
		cancel()
		_ = controller.SetReadDeadline(time.Now()) // wakes the reader
		reader.Wait()
	}()
	if err := controller.Flush(); err != nil {
		return err
	}
	out := newWriter(w, controller, s.config.WriteTimeout)
	defer out.slow.Stop()
	return s.converse(ctx, newStream(s.config.Log, s.metrics, m.delta), out, requests, ended)
}

// converse takes requests and sends responses until the stream ends.
func (s *Server) converse(ctx context.Context, stream *stream, out *writer, requests <-chan proto.Message, ended <-chan error) error {
	defer stream.close()
	late := time.NewTimer(firstRequest)
	defer late.Stop()
	var (
		v       *view
		at      *standing
		changed <-chan struct{}
	)
	defer func() {
		if v != nil {
			s.quit(v, at)
		}
	}()
	for {
		select {
		case request := <-requests:
			stream.take(request)
			if v == nil {
				late.Stop()
				v, at = s.join(stream.node)
			}
		case <-changed:
		case err := <-ended:
			return err
		case <-late.C:
			return &failure{codes.DeadlineExceeded, "no request came"}
		case <-ctx.Done():
			return &failure{codes.Unavailable, "the server goes away"}
		}
		v = s.review(v, at)
		var current *Snapshot
		if current, changed = s.newest(v); current == nil {
			continue
		}
		if err := out.send(stream.responses(current)); err != nil {
			return err
		}
		s.stand(v, at, current, stream.accepted(current), stream.refusals(current))
	}
}

// take takes a request of either variant over.
func (s *stream) take(request proto.Message) {
	switch request := request.(type) {
	case *discoveryv3.DiscoveryRequest:
		s.state(request)
	case *discoveryv3.DeltaDiscoveryRequest:
		s.change(request)
	}
	if s.node == nil {
		s.node = new(corev3.Node)
	}
}

// read hands requests on until the body ends; nil is its proper end.
func read(ctx context.Context, body io.Reader, m method, requests chan<- proto.Message) error {
	var buffer []byte
	for {
		var err error
		if buffer, err = readFrame(body, buffer); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		request, err := m.decode(buffer)
		if err != nil {
			return &failure{codes.InvalidArgument, "the request cannot be decoded"}
		}
		if cap(buffer) > maxKept {
			buffer = nil
		}
		select {
		case requests <- request:
		case <-ctx.Done():
			return nil
		}
	}
}

// decode reads a request. Its bytes are not kept.
func (m method) decode(raw []byte) (proto.Message, error) {
	if m.delta {
		request := new(discoveryv3.DeltaDiscoveryRequest)
		err := proto.Unmarshal(raw, request)
		if request.TypeUrl == "" {
			request.TypeUrl = m.typeURL
		}
		return request, err
	}
	request := new(discoveryv3.DiscoveryRequest)
	err := proto.Unmarshal(raw, request)
	if request.TypeUrl == "" {
		request.TypeUrl = m.typeURL
	}
	return request, err
}

// readFrame reads one message into buffer, which grows.
func readFrame(body io.Reader, buffer []byte) ([]byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(body, head[:]); err != nil {
		return buffer, err
	}
	if head[0] != 0 {
		return buffer, &failure{codes.Unimplemented, "compressed requests are not understood"}
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > maxRequest {
		return buffer, &failure{codes.ResourceExhausted, fmt.Sprintf("a request of %d bytes, the most is %d", size, maxRequest)}
	}
	if int(size) > cap(buffer) {
		buffer = make([]byte, size)
	}
	buffer = buffer[:size]
	_, err := io.ReadFull(body, buffer)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return buffer, err
}

// writer sends responses to one client.
type writer struct {
	w          io.Writer
	controller *http.ResponseController
	slow       *time.Timer // breaks a write that takes too long
	timeout    time.Duration
	head       []byte
}

func newWriter(w http.ResponseWriter, controller *http.ResponseController, timeout time.Duration) *writer {
	slow := time.AfterFunc(timeout, func() { _ = controller.SetWriteDeadline(time.Now()) })
	slow.Stop()
	return &writer{w: w, controller: controller, slow: slow, timeout: timeout}
}

func (o *writer) send(responses []response) error {
	if len(responses) == 0 {
		return nil
	}
	o.slow.Reset(o.timeout)
	defer o.slow.Stop()
	for _, r := range responses {
		o.head = r.head(append(o.head[:0], make([]byte, frameHead)...))
		binary.BigEndian.PutUint32(o.head[1:], uint32(len(o.head)-frameHead+len(r.shared)))
		if _, err := o.w.Write(o.head); err != nil {
			return err
		}
		if _, err := o.w.Write(r.shared); err != nil {
			return err
		}
	}
	if cap(o.head) > maxKept {
		o.head = nil
	}
	return o.controller.Flush()
}
