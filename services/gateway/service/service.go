// Package service wires the gateway: the public listener, the relay, media
// delivery and the client of the control plane.
package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/lifecycle"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/api"
	"github.com/backlot-video/backlot/services/gateway/internal/media"
	"github.com/backlot-video/backlot/services/gateway/internal/relay"
	"github.com/backlot-video/backlot/services/gateway/internal/xds"
)

const name = "gateway"

// Config has the gateway's settings.
type Config struct {
	// Listen is the public address; default 127.0.0.1:8080.
	Listen string
	// TLSCert and TLSKey are PEM files of the public listener; empty: plain
	// HTTP.
	TLSCert, TLSKey string
	// MaxHeader is the most bytes of a request's header; default 64 KiB.
	MaxHeader int64
	// HeaderTimeout is the longest time for a request's header; default 10 s.
	HeaderTimeout time.Duration
	// IdleTimeout is how long a connection is kept without requests; default
	// 2 min.
	IdleTimeout time.Duration
	// DefaultRoutes makes the house's routes at the first start; default yes.
	DefaultRoutes bool
}

// Service is the gateway.
type Service struct {
	config  Config
	console fs.FS
}

// New returns a gateway with default settings. console holds the files of
// the web console; nil: none.
func New(console fs.FS) *Service { return &Service{console: console} }

// Name implements lifecycle.Service.
func (s *Service) Name() string { return name }

// RegisterFlags implements lifecycle.Service.
func (s *Service) RegisterFlags(set *config.Set) {
	c := &s.config
	set.String(&c.Listen, "listen", "127.0.0.1:8080", "public `address` (host:port)")
	set.String(&c.TLSCert, "tls-cert", "", "PEM `file` with the public certificate; empty: plain HTTP")
	set.String(&c.TLSKey, "tls-key", "", "PEM `file` with its key")
	set.Size(&c.MaxHeader, "max-header", 64<<10, "most `bytes` of a request's header")
	set.Duration(&c.HeaderTimeout, "header-timeout", 10*time.Second, "longest `time` for a request's header")
	set.Duration(&c.IdleTimeout, "idle-timeout", 2*time.Minute, "how `long` a connection is kept without requests")
	set.Bool(&c.DefaultRoutes, "default-routes", true, "make the house's routes at the first start")
}

// Validate implements lifecycle.Service.
func (s *Service) Validate() error {
	var faults []error
	if _, _, err := net.SplitHostPort(s.config.Listen); err != nil {
		faults = append(faults, fmt.Errorf("gateway.listen: %w", err))
	}
	if (s.config.TLSCert == "") != (s.config.TLSKey == "") {
		faults = append(faults, errors.New("gateway.tls-cert, gateway.tls-key: give both or none"))
	}
	if s.config.MaxHeader < 4<<10 || s.config.MaxHeader > 1<<20 {
		faults = append(faults, errors.New("gateway.max-header: must be between 4KiB and 1MiB"))
	}
	if s.config.HeaderTimeout <= 0 || s.config.IdleTimeout <= 0 {
		faults = append(faults, errors.New("gateway.header-timeout, gateway.idle-timeout: must be above 0"))
	}
	return errors.Join(faults...)
}

// Run implements lifecycle.Service.
func (s *Service) Run(ctx context.Context, host *lifecycle.Host) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.config.Listen)
	if err != nil {
		return lifecycle.ListenError(s.config.Listen, name+".listen", err)
	}
	handler := s.handler(host)
	client := s.controlPlane(host, handler)
	if loaded, err := client.Load(); err != nil {
		host.Log.Warn("last good configuration cannot be used", "err", err)
	} else if loaded {
		host.Log.Info("serving by the last good configuration until the control plane answers")
	}
	host.Handle(gatewayv1.GatewayServiceDesc, &api.Status{Current: handler.Current, Rejected: client.Rejected})
	host.Check("configuration", func(context.Context) error {
		if current := handler.Current(); current == nil || current.Empty() {
			return errors.New("no routes from the control plane yet")
		}
		return nil
	})
	if s.config.DefaultRoutes {
		host.EnsureObjects(defaultObjects()...)
	}
	host.Go("control plane", client.Run)
	host.Ready()
	return s.serve(ctx, host, listener, handler)
}

func (s *Service) handler(host *lifecycle.Host) *relay.Handler {
	_, clientTLS := host.TLS()
	var console http.Handler
	if s.console != nil {
		console = http.FileServerFS(s.console)
	}
	return relay.NewHandler(relay.Config{
		Keys: host.Keys, Media: media.New(host, host.Log), Console: console, TLS: clientTLS,
		Tracer: host.Tracer, Clock: host.Clock, Log: host.Log, Registerer: host.Registerer,
	})
}

func (s *Service) controlPlane(host *lifecycle.Host, handler *relay.Handler) *xds.Client {
	client, base := host.StreamClient("configstore")
	return xds.New(xds.Config{
		HTTP: client, BaseURL: base, Node: "gateway/" + s.config.Listen,
		SnapshotFile: filepath.Join(host.DataDir, "xds.snapshot"),
		Apply:        handler.Swap, Log: host.Log, Registerer: host.Registerer,
	})
}

// serve answers on the public listener until ctx ends, and then lets the
// requests in flight end.
func (s *Service) serve(ctx context.Context, host *lifecycle.Host, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: s.config.HeaderTimeout, IdleTimeout: s.config.IdleTimeout,
		MaxHeaderBytes: int(s.config.MaxHeader), ErrorLog: quiet(host.Log),
	}
	failed := make(chan error, 1)
	go func() {
		if s.config.TLSCert != "" {
			failed <- server.ServeTLS(listener, s.config.TLSCert, s.config.TLSKey)
			return
		}
		failed <- server.Serve(listener)
	}()
	host.Log.Info("listening", "address", listener.Addr().String(), "tls", s.config.TLSCert != "")
	select {
	case err := <-failed:
		return fmt.Errorf("public listener: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		host.Log.Warn("connections were cut at the end of the drain", "err", err)
		return server.Close()
	}
	return nil
}

// drainTime is what requests in flight get at a stop.
const drainTime = 10 * time.Second
