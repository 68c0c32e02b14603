package rpc

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudwego/gopkg/bufiox"
	"github.com/cloudwego/kitex/pkg/klog"
	"github.com/cloudwego/kitex/pkg/remote"
	"github.com/cloudwego/kitex/pkg/utils"
)

// kitexTransport accepts Kitex's connections, a goroutine each. Kitex's own
// two transport servers cannot be used. netpoll's takes no TLS connection and
// closes the descriptor of its listener twice, the second time perhaps that of
// another socket. gonet's reads a TLS connection beside the gRPC transport, and
// when it stops waits for its clients to hang up.
type kitexTransport struct {
	config  ServerConfig
	grpc    bool
	options *remote.ServerOption
	handler remote.ServerTransHandler

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]*atomic.Bool // whether a request is being worked on
	closing  atomic.Bool               // mu is held where it is set
	serving  sync.WaitGroup
}

type kitexTransportFactory struct {
	config ServerConfig
	grpc   bool
}

// NewTransServer implements remote.TransServerFactory.
func (f kitexTransportFactory) NewTransServer(options *remote.ServerOption, handler remote.ServerTransHandler) remote.TransServer {
	return &kitexTransport{
		config: f.config, grpc: f.grpc, options: options, handler: handler,
		conns: make(map[net.Conn]*atomic.Bool),
	}
}

// CreateListener implements remote.TransServer; ServeKitex brings its own.
func (k *kitexTransport) CreateListener(address net.Addr) (net.Listener, error) {
	return nil, fmt.Errorf("listen on %s: ServeKitex takes a listener", address)
}

// BootstrapServer implements remote.TransServer.
func (k *kitexTransport) BootstrapServer(listener net.Listener) error {
	k.mu.Lock()
	k.listener = listener
	closing := k.closing.Load()
	k.mu.Unlock()
	if closing {
		return listener.Close()
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.closing.Load() {
				return nil
			}
			return err
		}
		if !k.start(conn) {
			conn.Close()
		}
	}
}

func (k *kitexTransport) start(conn net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closing.Load() {
		return false
	}
	busy := new(atomic.Bool)
	k.conns[conn] = busy
	k.serving.Go(func() {
		defer k.end(conn)
		if err := k.serve(conn, busy); err != nil {
			klog.Warnf("connection of %s: %v", conn.RemoteAddr(), err)
		}
	})
	return true
}

func (k *kitexTransport) end(conn net.Conn) {
	if value := recover(); value != nil {
		klog.Errorf("connection of %s: panic: %v\n%s", conn.RemoteAddr(), value, debug.Stack())
	}
	conn.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.conns, conn)
}

func (k *kitexTransport) serve(conn net.Conn, busy *atomic.Bool) error {
	if secure, ok := conn.(*tls.Conn); ok {
		ctx, cancel := context.WithTimeout(context.Background(), k.config.HeaderTimeout)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			return err
		}
	}
	if k.grpc {
		ctx, err := k.handler.OnActive(context.Background(), conn)
		if err != nil {
			return err
		}
		defer k.handler.OnInactive(ctx, conn)
		return k.handler.OnRead(ctx, conn) // until the connection ends
	}
	buffered := &kitexConn{conn, bufiox.NewDefaultReader(conn), bufiox.NewDefaultWriter(conn)}
	ctx, err := k.handler.OnActive(context.Background(), buffered)
	if err != nil {
		return err
	}
	defer k.handler.OnInactive(ctx, buffered)
	for k.await(buffered, busy) {
		if err := k.handler.OnRead(ctx, buffered); err != nil {
			k.handler.OnError(ctx, err, buffered)
			return nil
		}
	}
	return nil
}

// await waits for a request and reports whether there is one to work on.
func (k *kitexTransport) await(conn *kitexConn, busy *atomic.Bool) bool {
	busy.Store(false)
	if k.closing.Load() || conn.SetReadDeadline(time.Now().Add(k.config.IdleTimeout)) != nil {
		return false
	}
	if _, err := conn.reader.Peek(1); err != nil {
		return false
	}
	busy.Store(true)
	return conn.SetReadDeadline(time.Now().Add(k.config.BodyTimeout)) == nil
}

// Shutdown implements remote.TransServer: it hangs up where no request is
// being worked on, and waits for the others as long as Kitex was told to.
func (k *kitexTransport) Shutdown() error {
	k.mu.Lock()
	k.closing.Store(true)
	if k.listener != nil {
		k.listener.Close()
	}
	for conn, busy := range k.conns {
		if !busy.Load() && !k.grpc {
			conn.Close()
		}
	}
	k.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), k.options.ExitWaitTime)
	defer cancel()
	if graceful, ok := k.handler.(remote.GracefulShutdown); ok {
		if err := graceful.GracefulShutdown(ctx); err != nil {
			klog.Warnf("drain connections: %v", err)
		}
	}
	if k.grpc {
		k.hangUp()
	}
	ended := make(chan struct{})
	go func() { k.serving.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
		k.hangUp()
		<-ended
	}
	return nil
}

func (k *kitexTransport) hangUp() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for conn := range k.conns {
		conn.Close()
	}
}

// ConnCount implements remote.TransServer.
func (k *kitexTransport) ConnCount() utils.AtomicInt {
	k.mu.Lock()
	defer k.mu.Unlock()
	return utils.AtomicInt(len(k.conns))
}

// kitexConn is what Kitex's codec over package net reads and writes.
type kitexConn struct {
	net.Conn
	reader *bufiox.DefaultReader
	writer *bufiox.DefaultWriter
}

// Reader is what Kitex asks a connection for.
func (c *kitexConn) Reader() *bufiox.DefaultReader { return c.reader }

// Writer is what Kitex asks a connection for.
func (c *kitexConn) Writer() *bufiox.DefaultWriter { return c.writer }

// Read implements io.Reader.
func (c *kitexConn) Read(p []byte) (int, error) { return c.reader.Read(p) }
