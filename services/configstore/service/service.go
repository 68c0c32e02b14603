// Package service wires configstore: the embedded etcd, the store over it, its
// APIs and the xDS control plane.
package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/lifecycle"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/ads"
	"github.com/backlot-video/backlot/services/configstore/internal/api"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
	"github.com/backlot-video/backlot/services/configstore/internal/xds"
)

const name = "configstore"

// Config has configstore's settings.
type Config struct {
	// QuotaBytes bounds the database file; when it is full, writes are refused.
	// Default 2 GiB.
	QuotaBytes int64
	// HistoryRevisions are kept; older ones are compacted. Default 10,000.
	HistoryRevisions int
	// DefragEvery is the shortest time between two defragmentations. Default 1 h.
	DefragEvery time.Duration
	// Approvals is how many people have to approve what an operator releases:
	// above 0 releases by people go through drafts. Default 0.
	Approvals int
	// KeyFile holds the keys that secrets are encrypted with, newest first.
	// Default secret.key in the data folder, which a member alone makes.
	KeyFile string
	// Cluster has the other members; see setting.go.
	Cluster membership
	// XDSOpen lets callers without a service's principal read xDS, such as
	// other proxies. Default false. A client certificate of the installation
	// opens it as well.
	XDSOpen bool
	// Kubernetes says whose EndpointSlices are endpoints too; see kubernetes.go.
	Kubernetes kubernetesConfig
	// XDSStreams bounds the xDS clients that are connected. Default 20,000.
	XDSStreams int
	// XDSCanary are ids or clusters of nodes that get a release before all
	// others, with commas between; a `*` at the end stands for anything.
	// Default none.
	XDSCanary string
	// XDSCanaryTime is the shortest time between canaries and others. Default
	// 10 s.
	XDSCanaryTime time.Duration
}

// Service is configstore.
type Service struct{ config Config }

// New returns configstore with default settings.
func New() *Service { return &Service{} }

// Name implements lifecycle.Service.
func (s *Service) Name() string { return name }

// RegisterFlags implements lifecycle.Service.
func (s *Service) RegisterFlags(set *config.Set) {
	c := &s.config
	set.Size(&c.QuotaBytes, "quota-bytes", 2<<30, "most `bytes` of the database; when it is full, writes are refused")
	set.Int(&c.HistoryRevisions, "history-revisions", 10_000, "`revisions` that are kept; older ones are compacted")
	set.Duration(&c.DefragEvery, "defrag-every", time.Hour, "shortest `time` between two rewrites of a file that is half free")
	set.Int(&c.Approvals, "approvals", 0, "how many `people` have to approve a release of an operator; above 0 they go through drafts")
	set.String(&c.KeyFile, "key-file", "", "`file` with the keys that secrets are encrypted with, the same for all members; no backup holds it. "+
		"Empty: configstore/secret.key in the data folder, which a member alone makes at its first start")
	c.Cluster.register(set)
	set.Bool(&c.XDSOpen, "xds-open", false, "serve xDS to callers that are no service of this installation too")
	c.Kubernetes.register(set)
	set.Int(&c.XDSStreams, "xds-streams", 20_000, "most xDS `clients` that are connected")
	set.String(&c.XDSCanary, "xds-canary", "", "`nodes` (ids or clusters with commas between, * at the end) that get a release before all others")
	set.Duration(&c.XDSCanaryTime, "xds-canary-time", xds.DefaultHold, "shortest `time` between canaries and others")
}

// Validate implements lifecycle.Service.
func (s *Service) Validate() error {
	c := s.config
	var faults []error
	if c.QuotaBytes < 16<<20 {
		faults = append(faults, fmt.Errorf("configstore.quota-bytes: %d, must be at least 16MiB", c.QuotaBytes))
	}
	if c.HistoryRevisions < 1000 {
		faults = append(faults, fmt.Errorf("configstore.history-revisions: %d, must be at least 1000", c.HistoryRevisions))
	}
	if c.DefragEvery < time.Minute {
		faults = append(faults, fmt.Errorf("configstore.defrag-every: %v, must be at least 1m", c.DefragEvery))
	}
	if c.Approvals < 0 || c.Approvals > 10 {
		faults = append(faults, fmt.Errorf("configstore.approvals: %d, must be from 0 to 10", c.Approvals))
	}
	faults = append(faults, c.Cluster.validate())
	if c.XDSStreams < 1 || c.XDSCanaryTime <= 0 {
		faults = append(faults, errors.New("configstore.xds-streams, configstore.xds-canary-time: must be above 0"))
	}
	return errors.Join(faults...)
}

// Run implements lifecycle.Service.
func (s *Service) Run(ctx context.Context, host *lifecycle.Host) error {
	others, err := s.config.Cluster.engine()
	if err != nil {
		return err
	}
	etcd, err := engine.Start(ctx, engine.Config{
		DataDir:          filepath.Join(host.DataDir, "etcd"),
		QuotaBytes:       s.config.QuotaBytes,
		HistoryRevisions: int64(s.config.HistoryRevisions),
		DefragEvery:      s.config.DefragEvery,
		Cluster:          others,
		Log:              host.Log,
	})
	if err != nil {
		return err
	}
	defer etcd.Close()
	keys, err := s.keys(ctx, host.DataDir, etcd)
	if err != nil {
		return err
	}
	objects, err := store.Open(ctx, etcd, store.Config{Clock: host.Clock, Log: host.Log, Registerer: host.Registerer, Keys: keys})
	if err != nil {
		return explained(err, s.keyFile(host.DataDir))
	}
	defer objects.Close()

	plane := xds.NewPlane(xds.Config{
		Store: objects, Tenant: identity.DefaultTenant, MaxStreams: s.config.XDSStreams,
		Canary: xds.Canary{Nodes: listed(s.config.XDSCanary), Hold: s.config.XDSCanaryTime},
		Log:    host.Log, Registerer: host.Registerer,
	})
	if err := s.config.Kubernetes.follow(host, plane); err != nil {
		return err
	}
	rendering, stop := context.WithCancel(ctx)
	rendered := make(chan error, 1)
	go func() { rendered <- plane.Run(rendering) }()
	defer func() { stop(); <-rendered }()

	releases := api.NewConfig(objects, s.config.Approvals > 0)
	host.Handle(configstorev1.ConfigServiceDesc, releases)
	host.Handle(configstorev1.BatchServiceDesc, api.NewBatch(releases, host.Log))
	host.Handle(configstorev1.RegistryServiceDesc, api.NewRegistry(objects))
	host.Handle(configstorev1.DraftServiceDesc, api.NewDrafts(objects, s.config.Approvals))
	host.Handle(configstorev1.ClusterServiceDesc, api.NewCluster(etcd, objects))
	landed := s.serveCanaries(rendering, host, etcd, objects, plane)
	defer func() { stop(); landed() }()
	host.Handle(configstorev1.QuotaServiceDesc, api.NewQuota(host.Clock, etcd.Members, host.Registerer))
	engine.Observe(etcd, host.Registerer)
	discovery := plane.Handler(s.allowXDS)
	for _, procedure := range ads.Procedures() {
		host.HandleHTTP(procedure, discovery)
	}
	host.Check("engine", running(etcd))
	select {
	case <-plane.Ready():
		host.Ready()
	case <-ctx.Done():
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-etcd.Stopped():
		return engine.ErrClosed
	}
}

// running tells whether the engine has stopped by itself.
func running(etcd *engine.Engine) func(context.Context) error {
	return func(context.Context) error {
		select {
		case <-etcd.Stopped():
			return engine.ErrClosed
		default:
			return nil
		}
	}
}

// listed splits a setting with commas.
func listed(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' })
}

// allowXDS admits services, which gateways are, and who has a certificate of
// the installation.
func (s *Service) allowXDS(r *http.Request) error {
	caller, found := identity.From(r.Context())
	verified := r.TLS != nil && len(r.TLS.VerifiedChains) > 0
	if s.config.XDSOpen || verified || (found && caller.Kind == identity.Service) {
		return nil
	}
	return errors.New("xDS is for services of this installation; see --configstore.xds-open")
}
