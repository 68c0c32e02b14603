package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/bytedance/gopkg/cloud/metainfo"
	"github.com/cloudwego/kitex/pkg/remote/codec"
	"github.com/cloudwego/kitex/pkg/remote/trans/gonet"
	"github.com/cloudwego/kitex/pkg/remote/trans/nphttp2"
	"github.com/cloudwego/kitex/pkg/remote/trans/nphttp2/codes"
	"github.com/cloudwego/kitex/pkg/remote/trans/nphttp2/grpc"
	"github.com/cloudwego/kitex/pkg/remote/trans/nphttp2/status"
	"github.com/cloudwego/kitex/pkg/rpcinfo"
	"github.com/cloudwego/kitex/pkg/serviceinfo"
	"github.com/cloudwego/kitex/pkg/streaming"
	"github.com/cloudwego/kitex/pkg/transmeta"
	kitexserver "github.com/cloudwego/kitex/server"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// Names of the metadata in Kitex's metainfo. Its gRPC transport needs them in
// this case.
const (
	metaPrincipal   = "BACKLOT_PRINCIPAL"
	metaTimeout     = "BACKLOT_TIMEOUT_US" // microseconds left
	metaTraceparent = "BACKLOT_TRACEPARENT"
	metaTracestate  = "BACKLOT_TRACESTATE"
)

// kitexDrain is how long a Kitex server waits for its connections to become
// idle; Shutdown waits for the calls themselves.
const kitexDrain = 5 * time.Second

// kitexSlack times MaxMessageBytes is where Kitex drops the connection, for a
// response too. Between the two the caller learns what is wrong.
const kitexSlack = 4

// ServeKitex serves the unary methods handled so far on listener, which it
// closes: TTHeader in plain text, gRPC where TLS is configured. It blocks
// until Shutdown, then returns nil.
func (s *Server) ServeKitex(listener net.Listener) error {
	secure, err := s.security(listener.Addr())
	if err != nil {
		listener.Close()
		return fmt.Errorf("serve Kitex on %s: %w", listener.Addr(), err)
	}
	kitexLog.to(s.config.Log)
	exit := make(chan error, 1)
	stopped := make(chan struct{})
	defer close(stopped)
	server, err := s.kitexServer(listener, secure, exit)
	if err != nil {
		listener.Close()
		return fmt.Errorf("serve Kitex on %s: %w", listener.Addr(), err)
	}
	s.mu.Lock()
	s.closers = append(s.closers, func(ctx context.Context) error {
		exit <- nil
		select {
		case <-stopped:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	s.mu.Unlock()
	if s.closing.Load() {
		return listener.Close()
	}
	err = server.Run()
	if err != nil && !(s.closing.Load() && errors.Is(err, context.DeadlineExceeded)) {
		return fmt.Errorf("serve Kitex on %s: %w", listener.Addr(), err)
	}
	return nil
}

func (s *Server) kitexServer(listener net.Listener, secure *tls.Config, exit <-chan error) (kitexserver.Server, error) {
	options := []kitexserver.Option{
		kitexserver.WithExitSignal(func() <-chan error { return exit }),
		kitexserver.WithExitWaitTime(kitexDrain),
		kitexserver.WithServerBasicInfo(&rpcinfo.EndpointBasicInfo{ServiceName: s.config.Service}),
		kitexserver.WithMetaHandler(transmeta.ServerTTHeaderHandler),
		kitexserver.WithMetaHandler(transmeta.ServerHTTP2Handler),
		kitexserver.WithCodec(codec.NewDefaultCodecWithSizeLimit(kitexSlack * s.config.MaxMessageBytes)),
		kitexserver.WithCompatibleMiddlewareForUnary(),
		kitexserver.WithRefuseTrafficWithoutServiceName(),
	}
	options = append(options, kitexserver.WithTransServerFactory(kitexTransportFactory{s.config, secure != nil}))
	if secure != nil {
		secure.NextProtos = []string{"h2"}
		listener = tls.NewListener(listener, secure)
		options = append(options,
			kitexserver.WithTransHandlerFactory(nphttp2.NewSvrTransHandlerFactory()),
			kitexserver.WithGRPCUnknownServiceHandler(func(_ context.Context, method string, _ streaming.Stream) error {
				return status.Errorf(codes.Unimplemented, "%s is not served here", method)
			}),
			kitexserver.WithGRPCKeepaliveParams(grpc.ServerKeepalive{MaxConnectionIdle: s.config.IdleTimeout}),
		)
	} else {
		options = append(options, kitexserver.WithTransHandlerFactory(gonet.NewSvrTransHandlerFactory()))
	}
	server := kitexserver.NewServer(append(options, kitexserver.WithListener(listener))...)
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := make(map[string]string)
	for _, service := range s.services {
		info := s.kitexInfo(service)
		if other, taken := names[info.ServiceName]; taken {
			return nil, fmt.Errorf("%s and %s differ in their package only, which Kitex cannot tell apart", other, service.Name)
		}
		names[info.ServiceName] = service.Name
		if err := server.RegisterService(info, s); err != nil {
			return nil, fmt.Errorf("register %s: %w", service.Name, err)
		}
	}
	return server, nil
}

// kitexInfo is a service's table for Kitex.
func (s *Server) kitexInfo(service rpcdesc.Service) *serviceinfo.ServiceInfo {
	info := newKitexInfo(service.Name)
	info.Methods = make(map[string]serviceinfo.MethodInfo, len(service.Methods))
	for i := range service.Methods {
		bound := s.methods[service.Methods[i].Procedure()]
		if bound.Stream {
			continue
		}
		info.Methods[bound.Name] = serviceinfo.NewMethodInfo(
			func(ctx context.Context, _, args, result any) error {
				return serveKitex(ctx, bound, args.(*box), result.(*box))
			},
			func() any {
				return &box{message: bound.NewRequest(), max: s.config.MaxMessageBytes, later: bound.gated}
			},
			func() any { return new(box) },
			false,
			serviceinfo.WithStreamingMode(serviceinfo.StreamingUnary),
		)
	}
	return info
}

// newKitexInfo splits the full name of a proto service as Kitex wants it.
func newKitexInfo(service string) *serviceinfo.ServiceInfo {
	dot := strings.LastIndexByte(service, '.')
	return &serviceinfo.ServiceInfo{
		ServiceName:  service[dot+1:],
		PayloadCodec: serviceinfo.Protobuf,
		Extra:        map[string]any{serviceinfo.PackageName: service[:max(dot, 0)]},
	}
}

func serveKitex(ctx context.Context, bound *boundMethod, args, result *box) error {
	if args.tooLarge {
		return toKitex(tooLarge(args.max))
	}
	incoming := &call{transport: transportKitex, raw: args.raw}
	if info := rpcinfo.GetRPCInfo(ctx); info != nil && info.Config().TransportProtocol()&grpcProtocol == grpcProtocol {
		incoming.transport = transportGRPC
	}
	incoming.principal, _ = metainfo.GetValue(ctx, metaPrincipal)
	incoming.traceparent, _ = metainfo.GetValue(ctx, metaTraceparent)
	incoming.tracestate, _ = metainfo.GetValue(ctx, metaTracestate)
	if text, found := metainfo.GetValue(ctx, metaTimeout); found {
		left, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return toKitex(connect.NewError(connect.CodeInvalidArgument, errors.New("malformed timeout")))
		}
		incoming.deadline = time.Now().Add(time.Duration(left) * time.Microsecond)
	}
	res, err := bound.handle(withCall(bare{ctx}, incoming), bound.Method, args.message)
	if err != nil {
		return toKitex(err)
	}
	result.message = res
	return nil
}

// box is a message for Kitex's codec.
type box struct {
	message  proto.Message
	max      int  // bytes that Unmarshal decodes
	tooLarge bool // there were more
	later    bool // Unmarshal does not decode, but keeps a copy
	raw      []byte
}

// Marshal is what Kitex's codec asks for.
func (b *box) Marshal(out []byte) ([]byte, error) {
	if b.message == nil {
		return out, nil
	}
	return proto.MarshalOptions{}.MarshalAppend(out, b.message)
}

// Unmarshal is what Kitex's codec asks for.
func (b *box) Unmarshal(data []byte) error {
	if len(data) > b.max {
		b.tooLarge = true
		return nil
	}
	if b.later {
		b.raw = append(make([]byte, 0, len(data)), data...) // not nil
		return nil
	}
	return proto.Unmarshal(data, b.message)
}
