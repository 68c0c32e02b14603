// Package service wires the gateway: the public listener, the relay, media
// delivery and the client of the control plane.
package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/google/uuid"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/file"
	"github.com/backlot-video/backlot/kit/lifecycle"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/api"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
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
	// HTTP3 serves HTTP/3 on the public listener's UDP port too, and says so by
	// Alt-Svc; needs TLSCert. Default no.
	HTTP3 bool
	// MaxHeader is the most bytes of a request's header; default 64 KiB.
	MaxHeader int64
	// HeaderTimeout is the longest time for a request's header; default 10 s.
	HeaderTimeout time.Duration
	// BodyTimeout and WriteTimeout are how long a client may send or take no
	// byte in the middle of a request or answer; default 1 min each.
	BodyTimeout, WriteTimeout time.Duration
	// DrainTime is what requests in flight get at a stop; default 10 s.
	DrainTime time.Duration
	// MaxConnections of clients at once; default 65,536.
	MaxConnections int
	// Engine serves plain HTTP/1.1: epoll, event loops (Linux only), which cost
	// less for small requests and for idle connections; goroutine, one for each
	// connection; auto, the default, is epoll on Linux.
	Engine string
	// TrustedHops is how many proxies before the gateway are believed in what
	// they say of where a request came from; default 0.
	TrustedHops int
	// IdleTimeout is how long a connection is kept without requests; default
	// 2 min.
	IdleTimeout time.Duration
	// AccessLog is a file that gets a line of JSON for each exchange, `-` is
	// standard output; default none. AccessLogSize is where the next file
	// begins; default 256 MiB.
	AccessLog     string
	AccessLogSize int64
	// NodeGroup is the cluster of nodes that this gateway belongs to, for the
	// control plane, which may give some groups a release first; default
	// gateway.
	NodeGroup string
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

// Replaceable implements lifecycle.Replaceable: a new process takes over
// while this one's connections go on.
func (s *Service) Replaceable() {}

// RegisterFlags implements lifecycle.Service.
func (s *Service) RegisterFlags(set *config.Set) {
	c := &s.config
	set.String(&c.Listen, "listen", "127.0.0.1:8080", "public `address` (host:port)")
	set.String(&c.TLSCert, "tls-cert", "", "PEM `file` with the public certificate; empty: plain HTTP")
	set.String(&c.TLSKey, "tls-key", "", "PEM `file` with its key")
	set.Bool(&c.HTTP3, "http3", false, "serve HTTP/3 on the same UDP port; needs a certificate")
	set.Size(&c.MaxHeader, "max-header", 64<<10, "most `bytes` of a request's header")
	set.Duration(&c.HeaderTimeout, "header-timeout", 10*time.Second, "longest `time` for a request's header")
	set.Duration(&c.IdleTimeout, "idle-timeout", 2*time.Minute, "how `long` a connection is kept without requests")
	set.Duration(&c.BodyTimeout, "body-timeout", time.Minute, "longest `time` without a byte of a request's body")
	set.Duration(&c.WriteTimeout, "write-timeout", time.Minute, "longest `time` in which a client takes no byte of an answer")
	set.Duration(&c.DrainTime, "drain-time", 10*time.Second, "`time` that requests in flight get at a stop")
	set.Int(&c.MaxConnections, "max-connections", 65536, "most `connections` of clients at once")
	set.String(&c.Engine, "engine", "auto", "`engine` of plain HTTP/1.1: auto, epoll or goroutine")
	set.Int(&c.TrustedHops, "trusted-hops", 0, "`number` of proxies before the gateway that are believed in X-Forwarded-For")
	set.String(&c.AccessLog, "access-log", "", "`file` for a line of JSON about each request, - for standard output; empty: none")
	set.Size(&c.AccessLogSize, "access-log-size", 256<<20, "`bytes` at which the access log's next file begins; 0: never")
	set.String(&c.NodeGroup, "node-group", name, "`group` of gateways that this one is of, for the control plane")
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
	if s.config.HTTP3 && s.config.TLSCert == "" {
		faults = append(faults, errors.New("gateway.http3: needs gateway.tls-cert"))
	}
	if s.config.MaxHeader < 4<<10 || s.config.MaxHeader > 1<<20 {
		faults = append(faults, errors.New("gateway.max-header: must be between 4KiB and 1MiB"))
	}
	if s.config.HeaderTimeout <= 0 || s.config.IdleTimeout <= 0 {
		faults = append(faults, errors.New("gateway.header-timeout, gateway.idle-timeout: must be above 0"))
	}
	if s.config.BodyTimeout <= 0 || s.config.WriteTimeout <= 0 || s.config.DrainTime <= 0 {
		faults = append(faults, errors.New("gateway.body-timeout, gateway.write-timeout, gateway.drain-time: must be above 0"))
	}
	if s.config.MaxConnections < 1 {
		faults = append(faults, errors.New("gateway.max-connections: must be at least 1"))
	}
	if !slices.Contains([]string{"auto", "epoll", "goroutine"}, s.config.Engine) {
		faults = append(faults, errors.New("gateway.engine: must be auto, epoll or goroutine"))
	}
	if s.config.TrustedHops < 0 || s.config.TrustedHops > 16 {
		faults = append(faults, errors.New("gateway.trusted-hops: must be between 0 and 16"))
	}
	if s.config.AccessLogSize < 0 || s.config.AccessLogSize > 0 && s.config.AccessLogSize < 1<<20 {
		faults = append(faults, errors.New("gateway.access-log-size: must be 0 or at least 1MiB"))
	}
	return errors.Join(faults...)
}

// Run implements lifecycle.Service.
func (s *Service) Run(ctx context.Context, host *lifecycle.Host) error {
	front, err := s.open(ctx, host)
	if err != nil {
		return err
	}
	defer front.close()
	client, err := s.controlPlane(host, front)
	if err != nil {
		return err
	}
	loaded, err := client.Load()
	if err != nil {
		host.Log.Warn("last good configuration cannot be used", "err", err)
	}
	if loaded {
		host.Log.Info("serving by the last good configuration until the control plane answers")
	}
	if err := front.listen(); err != nil {
		return err
	}
	host.Handle(gatewayv1.GatewayServiceDesc, &api.Status{Current: front.relay.Current, Client: client.Status, Node: client.Node()})
	var known atomic.Bool // once: what is in force is served without the control plane, too
	host.Check("configuration", func(context.Context) error {
		current := front.relay.Current()
		switch {
		case current == nil || current.Empty():
			return errors.New("no routes from the control plane yet")
		case known.Load():
			return nil
		case host.Together("configstore") && !client.Status().Connected: // what there is may be of an earlier process
			return errors.New("no answer of the control plane yet")
		}
		if err := neighboursKnown(current, host.Together); err != nil {
			return err
		}
		known.Store(true)
		return nil
	})
	if s.config.DefaultRoutes {
		host.EnsureObjects(defaultObjects()...)
	}
	host.Go("control plane", client.Run)
	host.Go("upstreams", front.upstreams.Run)
	host.Go("certificates", front.secrets.Run)
	host.Go("quota", front.quota.Run)
	host.Ready()
	<-ctx.Done()
	front.drain(context.WithoutCancel(ctx), host.DrainTime(ctx, s.config.DrainTime))
	return nil
}

// neighboursKnown says which service of the same process the control plane has
// not told an endpoint of yet: who sees the process ready may call it.
func neighboursKnown(config *edge.Config, together func(service string) bool) error {
	for name, cluster := range config.Clusters {
		if together(name) && !slices.ContainsFunc(cluster.Endpoints, func(e edge.Endpoint) bool { return !e.Draining }) {
			return fmt.Errorf("no endpoint of %s from the control plane yet", name)
		}
	}
	return nil
}

func (s *Service) controlPlane(host *lifecycle.Host, to *front) (*xds.Client, error) {
	// No other gateway has this id, and this one keeps it.
	id, err := file.Once(filepath.Join(host.DataDir, "node-id"), func() []byte { return []byte(name + "-" + uuid.NewString()) })
	if err != nil {
		return nil, fmt.Errorf("node id: %w", err)
	}
	client, base := host.StreamClient("configstore")
	return xds.New(xds.Config{
		HTTP: client, BaseURL: base, Node: &corev3.Node{Id: string(id), Cluster: s.config.NodeGroup, UserAgentName: "backlot-gateway"},
		SnapshotFile: filepath.Join(host.DataDir, "xds.snapshot"),
		Apply:        to.swap, Log: host.Log, Registerer: host.Registerer,
	}), nil
}
