package rpc

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/socket"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// unixPrefix marks an Endpoint's address as the path of a socket.
const unixPrefix = "unix:"

// frame is an encoded message. Requests are encoded by the goroutine that
// calls, so that nobody reads a message after its call has returned.
type frame struct{ raw []byte }

// frameCodec is Connect's "proto" codec over frames.
type frameCodec struct{}

// Name implements connect.Codec.
func (frameCodec) Name() string { return "proto" }

// Marshal implements connect.Codec.
func (frameCodec) Marshal(message any) ([]byte, error) {
	f, ok := message.(*frame)
	if !ok {
		return nil, fmt.Errorf("encode a %T, which is no frame", message)
	}
	return f.raw, nil
}

// Unmarshal implements connect.Codec.
func (frameCodec) Unmarshal(data []byte, message any) error {
	f, ok := message.(*frame)
	if !ok {
		return fmt.Errorf("decode a %T, which is no frame", message)
	}
	return f.Unmarshal(data)
}

// Marshal is what Kitex's codec asks for.
func (f *frame) Marshal([]byte) ([]byte, error) { return f.raw, nil }

// Unmarshal is what Kitex's codec asks for. It copies data.
func (f *frame) Unmarshal(data []byte) error {
	f.raw = append(f.raw[:0], data...)
	return nil
}

func encode(message proto.Message) (*frame, error) {
	raw, err := proto.Marshal(message)
	if err != nil {
		return nil, connect.NewWireError(connect.CodeInvalidArgument, fmt.Errorf("encode request: %w", err))
	}
	return &frame{raw}, nil
}

func (f *frame) decode(message proto.Message) error {
	if err := proto.Unmarshal(f.raw, message); err != nil {
		return connect.NewWireError(connect.CodeInternal, fmt.Errorf("decode response: %w", err))
	}
	return nil
}

type connectClient = connect.Client[frame, frame]

func (m *member) callConnect(ctx context.Context, method *rpcdesc.Method, outgoing *call, req proto.Message) error {
	message, err := encode(req)
	if err != nil {
		return err
	}
	request := connect.NewRequest(message)
	outgoing.writeTo(request.Header())
	response, err := m.connectClient(method).CallUnary(ctx, request)
	switch {
	case err == nil:
		return response.Msg.decode(outgoing.res)
	case ctx.Err() != nil:
		return contextError(ctx)
	case !connect.IsWireError(err) && (connect.CodeOf(err) == connect.CodeUnavailable || connect.CodeOf(err) == connect.CodeUnknown):
		return m.unreachable(err)
	default:
		return wireError(err)
	}
}

// writeTo writes what travels beside a message, except the deadline.
func (m *metadata) writeTo(header http.Header) {
	for name, value := range map[string]string{
		identity.Header: m.principal, headerTraceparent: m.traceparent, headerTracestate: m.tracestate,
	} {
		if value != "" {
			header.Set(name, value)
		}
	}
}

func (m *member) connectClient(method *rpcdesc.Method) *connectClient {
	transport := m.transport()
	m.mu.Lock()
	defer m.mu.Unlock()
	client, found := m.connect[method.Procedure()]
	if !found {
		client = connect.NewClient[frame, frame](
			&http.Client{Transport: transport}, m.baseURL()+method.Procedure(),
			connect.WithCodec(frameCodec{}),
			connect.WithIdempotency(method.Idempotency),
			connect.WithReadMaxBytes(m.config.MaxMessageBytes),
			connect.WithAcceptCompression("gzip", nil, nil),
		)
		if m.connect == nil {
			m.connect = make(map[string]*connectClient)
		}
		m.connect[method.Procedure()] = client
	}
	return client
}

func (m *member) baseURL() string {
	host := m.Address
	if strings.HasPrefix(host, unixPrefix) {
		host = m.service
	}
	if m.secure(m.Address) {
		return "https://" + host
	}
	return "http://" + host
}

// transport returns the endpoint's HTTP connections.
func (m *member) transport() *http.Transport {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.http != nil {
		return m.http
	}
	network, address := networkOf(m.Address)
	dialer := &net.Dialer{Timeout: m.config.ConnectTimeout}
	m.http = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return socket.Dial(ctx, dialer, network, address)
		},
		TLSClientConfig:     m.config.TLS.Clone(),
		TLSHandshakeTimeout: m.config.ConnectTimeout,
		Protocols:           m.config.Protocols,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAnswer},
		MaxIdleConnsPerHost: m.config.MaxIdleConns,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
	return m.http
}

// networkOf splits an Endpoint's address into what package net asks for.
func networkOf(address string) (network, rest string) {
	if path, isUnix := strings.CutPrefix(address, unixPrefix); isUnix {
		return "unix", path
	}
	return "tcp", address
}
