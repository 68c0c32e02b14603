package xds

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	peer "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/services/configstore/ads"
)

// plane is a control plane that serves the configuration.
type plane interface {
	address() string
	publish(change int) error
	close() error
}

// ours is package ads over net/http. Of a change it makes anew what changed,
// as the configstore does.
type ours struct {
	listener net.Listener
	http     *http.Server
	ads      *ads.Server
	all      map[string][]*ads.Resource
	last     *ads.Snapshot
}

func newOurs() (plane, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &ours{listener: listener, ads: ads.NewServer(ads.Config{}), all: map[string][]*ads.Resource{}}
	all, err := configuration(0)
	if err != nil {
		return nil, err
	}
	for kind, messages := range all {
		for name, m := range messages {
			r, err := resource(kind, name, m)
			if err != nil {
				return nil, err
			}
			o.all[kind] = append(o.all[kind], r)
		}
	}
	o.http = &http.Server{Handler: o.ads.Handler(nil), Protocols: new(http.Protocols)}
	o.http.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = o.http.Serve(listener) }() // ends with close
	return o, o.publish(0)
}

func resource(kind, name string, m message) (*ads.Resource, error) {
	if err := m.ValidateAll(); err != nil {
		return nil, err
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	return ads.NewResource(kind, name, body), err
}

func (o *ours) address() string { return o.listener.Addr().String() }

func (o *ours) publish(change int) error {
	name := clusterName(0)
	changed, err := resource(ads.EndpointType, name, assignment(0, change))
	if err != nil {
		return err
	}
	for n, r := range o.all[ads.EndpointType] {
		if r.Name == name {
			o.all[ads.EndpointType][n] = changed
		}
	}
	o.last, _ = ads.Next(o.last, "release", 1, o.all)
	o.ads.Publish("", o.last)
	return nil
}

func (o *ours) close() error { return o.http.Close() }

// goControlPlane is its snapshot cache behind its server.
type goControlPlane struct {
	listener net.Listener
	server   *grpc.Server
	cache    cache.SnapshotCache
	all      map[string]map[string]message
	cancel   context.CancelFunc
}

// everybody makes one group of all nodes.
type everybody struct{}

func (everybody) ID(*corev3.Node) string { return "all" }

func newPeer() (plane, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &goControlPlane{listener: listener, cache: cache.NewSnapshotCache(true, everybody{}, nil), cancel: cancel}
	if g.all, err = configuration(0); err != nil {
		cancel()
		return nil, err
	}
	g.server = grpc.NewServer(grpc.MaxConcurrentStreams(1 << 20))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g.server, peer.NewServer(ctx, g.cache, nil))
	go func() { _ = g.server.Serve(listener) }() // ends with close
	return g, g.publish(0)
}

func (g *goControlPlane) address() string { return g.listener.Addr().String() }

func (g *goControlPlane) publish(change int) error {
	changed := assignment(0, change)
	if err := changed.ValidateAll(); err != nil {
		return err
	}
	g.all[ads.EndpointType][clusterName(0)] = changed
	resources := make(map[string][]types.Resource)
	for kind, messages := range g.all {
		for _, m := range messages {
			resources[kind] = append(resources[kind], m)
		}
	}
	snapshot, err := cache.NewSnapshot(fmt.Sprint(change), resources)
	if err != nil {
		return err
	}
	// A version for each type, so that only what changed is sent.
	for kind := range snapshot.Resources {
		if types.ResponseType(kind) != types.Endpoint {
			snapshot.Resources[kind].Version = "1"
		}
	}
	return errors.Join(snapshot.Consistent(), g.cache.SetSnapshot(context.Background(), "all", snapshot))
}

func (g *goControlPlane) close() error {
	g.cancel()
	g.server.Stop()
	return nil
}
