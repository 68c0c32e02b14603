package rpc

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/cloudwego/kitex/pkg/klog"
	"github.com/cloudwego/kitex/pkg/remote"
	"github.com/cloudwego/kitex/pkg/utils"
)

// grpcServer is Kitex's transport server for gRPC over TLS. Kitex's own ones
// cannot be used: netpoll's takes no TLS connection, and gonet's reads the
// connection beside the gRPC transport and never tells it of the end.
type grpcServer struct {
	options   *remote.ServerOption
	handler   remote.ServerTransHandler
	handshake time.Duration

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]struct{}
	closing  bool
	serving  sync.WaitGroup
}

type grpcServerFactory struct{ handshake time.Duration }

// NewTransServer implements remote.TransServerFactory.
func (f grpcServerFactory) NewTransServer(options *remote.ServerOption, handler remote.ServerTransHandler) remote.TransServer {
	return &grpcServer{options: options, handler: handler, handshake: f.handshake, conns: make(map[net.Conn]struct{})}
}

// CreateListener implements remote.TransServer; ServeKitex brings its own.
func (g *grpcServer) CreateListener(address net.Addr) (net.Listener, error) {
	return nil, fmt.Errorf("listen on %s: no TLS is configured", address)
}

// BootstrapServer implements remote.TransServer.
func (g *grpcServer) BootstrapServer(listener net.Listener) error {
	g.mu.Lock()
	g.listener = listener
	closing := g.closing
	g.mu.Unlock()
	if closing {
		return listener.Close()
	}
	for {
		conn, err := listener.Accept()
		g.mu.Lock()
		closing := g.closing
		if err == nil && !closing {
			g.conns[conn] = struct{}{}
			g.serving.Go(func() { g.serve(conn) })
		}
		g.mu.Unlock()
		switch {
		case closing && err == nil:
			conn.Close()
			return nil
		case closing:
			return nil
		case err != nil:
			return err
		}
	}
}

func (g *grpcServer) serve(conn net.Conn) {
	defer func() {
		if value := recover(); value != nil {
			klog.Errorf("connection of %s: panic: %v\n%s", conn.RemoteAddr(), value, debug.Stack())
		}
		conn.Close()
		g.mu.Lock()
		delete(g.conns, conn)
		g.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(context.Background(), g.handshake)
	defer cancel()
	if secure, ok := conn.(*tls.Conn); ok {
		if err := secure.HandshakeContext(ctx); err != nil {
			klog.Warnf("connection of %s: %v", conn.RemoteAddr(), err)
			return
		}
	}
	active, err := g.handler.OnActive(context.Background(), conn)
	if err != nil {
		klog.Warnf("connection of %s: %v", conn.RemoteAddr(), err)
		return
	}
	defer g.handler.OnInactive(active, conn)
	if err := g.handler.OnRead(active, conn); err != nil {
		klog.Warnf("connection of %s: %v", conn.RemoteAddr(), err)
	}
}

// Shutdown implements remote.TransServer: it lets calls in flight end.
func (g *grpcServer) Shutdown() error {
	g.mu.Lock()
	g.closing = true
	listener := g.listener
	g.mu.Unlock()
	if listener != nil {
		listener.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.options.ExitWaitTime)
	defer cancel()
	var err error
	if graceful, ok := g.handler.(remote.GracefulShutdown); ok {
		err = graceful.GracefulShutdown(ctx)
	}
	g.mu.Lock()
	for conn := range g.conns {
		conn.Close()
	}
	g.mu.Unlock()
	g.serving.Wait()
	return err
}

// ConnCount implements remote.TransServer.
func (g *grpcServer) ConnCount() utils.AtomicInt {
	g.mu.Lock()
	defer g.mu.Unlock()
	return utils.AtomicInt(len(g.conns))
}
