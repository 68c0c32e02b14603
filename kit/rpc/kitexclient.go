package rpc

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bytedance/gopkg/cloud/metainfo"
	kitex "github.com/cloudwego/kitex/client"
	"github.com/cloudwego/kitex/pkg/connpool"
	"github.com/cloudwego/kitex/pkg/discovery"
	"github.com/cloudwego/kitex/pkg/klog"
	"github.com/cloudwego/kitex/pkg/remote/codec"
	"github.com/cloudwego/kitex/pkg/rpcinfo"
	"github.com/cloudwego/kitex/pkg/serviceinfo"
	"github.com/cloudwego/kitex/pkg/transmeta"
	"github.com/cloudwego/kitex/transport"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/proto/rpcdesc"
)

const grpcProtocol = transport.GRPC

// kitexClient calls one proto service at one endpoint.
type kitexClient struct{ kitex.Client }

func (c kitexClient) close() error {
	if closer, ok := c.Client.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

func (m *member) callKitex(ctx context.Context, method *rpcdesc.Method, outgoing *call, req proto.Message) error {
	client, err := m.kitexClient(method.Service)
	if err != nil {
		return m.fromKitex(ctx, err)
	}
	request, err := encode(req)
	if err != nil {
		return err
	}
	response := new(frame)
	if err := client.Call(outgoing.toMetainfo(ctx), method.Name, request, response); err != nil {
		return m.fromKitex(ctx, err)
	}
	return response.decode(outgoing.res)
}

// toMetainfo puts what travels beside a message where Kitex takes it along.
// Nothing of a Kitex call that ctx may belong to comes with it.
func (m *metadata) toMetainfo(ctx context.Context) context.Context {
	sent := context.Context(bare{ctx})
	for _, pair := range [][2]string{
		{metaPrincipal, m.principal}, {metaTraceparent, m.traceparent}, {metaTracestate, m.tracestate},
	} {
		if pair[1] != "" {
			sent = metainfo.WithValue(sent, pair[0], pair[1])
		}
	}
	if deadline, bounded := ctx.Deadline(); bounded {
		left := strconv.FormatInt(time.Until(deadline).Microseconds(), 10)
		sent = metainfo.WithValue(sent, metaTimeout, left)
	}
	return sent
}

func (m *member) kitexClient(service string) (*kitexClient, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if client, found := m.kitex[service]; found {
		return client, nil
	}
	kitexLog.to(nil)
	made, err := kitex.NewClient(frameInfo(service), m.kitexOptions()...)
	if err != nil {
		return nil, fmt.Errorf("call %s by Kitex: %w", service, err)
	}
	if m.kitex == nil {
		m.kitex = make(map[string]*kitexClient)
	}
	client := &kitexClient{made}
	m.kitex[service] = client
	return client, nil
}

func (m *member) kitexOptions() []kitex.Option {
	network, address := networkOf(m.KitexAddress)
	instance := discovery.NewInstance(network, address, discovery.DefaultWeight, nil)
	options := []kitex.Option{
		kitex.WithDestService(m.service),
		kitex.WithClientBasicInfo(&rpcinfo.EndpointBasicInfo{ServiceName: m.config.Service}),
		kitex.WithResolver(&discovery.SynthesizedResolver{
			NameFunc:   func() string { return m.KitexAddress },
			TargetFunc: func(context.Context, rpcinfo.EndpointInfo) string { return m.KitexAddress },
			ResolveFunc: func(context.Context, string) (discovery.Result, error) {
				return discovery.Result{Instances: []discovery.Instance{instance}}, nil
			},
		}),
		kitex.WithConnectTimeout(m.config.ConnectTimeout),
		kitex.WithCodec(codec.NewDefaultCodecWithSizeLimit(m.config.MaxMessageBytes)),
	}
	if m.secure(m.KitexAddress) {
		secure := m.config.TLS.Clone()
		if secure == nil {
			secure = new(tls.Config)
		}
		if secure.ServerName == "" {
			secure.ServerName, _, _ = net.SplitHostPort(address)
		}
		return append(options,
			kitex.WithTransportProtocol(transport.GRPC),
			kitex.WithMetaHandler(transmeta.ClientHTTP2Handler),
			kitex.WithGRPCTLSConfig(secure),
		)
	}
	return append(options,
		kitex.WithTransportProtocol(transport.TTHeader),
		kitex.WithMetaHandler(transmeta.ClientTTHeaderHandler),
		kitex.WithLongConnection(connpool.IdleConfig{
			MaxIdlePerAddress: m.config.MaxIdleConns,
			MaxIdleGlobal:     m.config.MaxIdleConns,
			MaxIdleTimeout:    90 * time.Second,
		}),
	)
}

// frameInfo is a table in which every method takes and gives frames.
func frameInfo(service string) *serviceinfo.ServiceInfo {
	newFrame := func() any { return new(frame) }
	method := serviceinfo.NewMethodInfo(nil, newFrame, newFrame, false,
		serviceinfo.WithStreamingMode(serviceinfo.StreamingUnary))
	info := newKitexInfo(service)
	info.GenericMethod = func(context.Context, string) serviceinfo.MethodInfo { return method }
	return info
}

// kitexLog leads what Kitex and netpoll log, which they do for the whole
// process, to the first server's log at debug level: what matters of it
// reaches callers as an error. Before there is such a log it is dropped.
var kitexLog logWriter

type logWriter struct {
	once sync.Once
	log  atomic.Pointer[slog.Logger]
}

func (w *logWriter) to(log *slog.Logger) {
	w.once.Do(func() {
		klog.SetOutput(w)
		klog.SetLevel(klog.LevelWarn)
		logNetpollTo(w)
	})
	if log != nil {
		w.log.CompareAndSwap(nil, log)
	}
}

// Write implements io.Writer, a line at a time.
func (w *logWriter) Write(line []byte) (int, error) {
	if log := w.log.Load(); log != nil {
		log.Debug("kitex reported", "text", strings.TrimSpace(string(line)))
	}
	return len(line), nil
}
