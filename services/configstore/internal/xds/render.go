package xds

import (
	"cmp"
	"maps"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
)

const (
	// edge names the one listener and its route configuration.
	edge = "edge"
	// identityFilter is an HTTP filter of the listener: a
	// gateway.v1.EdgeIdentity.
	identityFilter = "backlot.gateway.identity"

	connectionManager = "envoy.filters.network.http_connection_manager"
	routerFilter      = "envoy.filters.http.router"
)

// renderer makes resources of states that follow each other. What depends on
// unchanged objects alone is the same message as before, and is not validated
// and marshalled again.
type renderer struct {
	clusters  memo[*clusterv3.Cluster]
	endpoints memo[*endpointv3.ClusterLoadAssignment]
	listeners memo[*listenerv3.Listener]
	routes    memo[[]*routev3.Route]
}

// render makes the resources of a state.
func (r *renderer) render(s *state) (*rendering, error) {
	defer func() { r.clusters.turn(); r.endpoints.turn(); r.listeners.turn() }()
	made := &rendering{
		clusters:  make(map[string]*clusterv3.Cluster, len(s.clusters)),
		endpoints: make(map[string]*endpointv3.ClusterLoadAssignment, len(s.clusters)),
	}
	var err error
	for id, c := range s.clusters {
		name, ready := id.resource(), s.roster(c.GetService())
		made.clusters[name], err = r.clusters.of(name, [2]any{c}, func() (*clusterv3.Cluster, error) { return renderCluster(name, c), nil })
		if err != nil {
			return nil, err
		}
		made.endpoints[name], err = r.endpoints.of(name, [2]any{c, ready}, func() (*endpointv3.ClusterLoadAssignment, error) {
			return renderEndpoints(name, c, ready)
		})
		if err != nil {
			return nil, err
		}
	}
	if made.routes, err = r.renderRoutes(edge, s.routes); err != nil {
		return nil, err
	}
	made.listener, err = r.listeners.of(edge, [2]any{s.keyring}, func() (*listenerv3.Listener, error) { return renderListener(s.keys) })
	return made, err
}

// renderListener describes the edge without an address: where a gateway
// listens is its own setting.
func renderListener(keys map[id]*identityv1.VerificationKey) (*listenerv3.Listener, error) {
	byName := slices.SortedFunc(maps.Keys(keys), func(a, b id) int { return cmp.Compare(a.resource(), b.resource()) })
	identity := new(gatewayv1.EdgeIdentity)
	for _, id := range byName {
		identity.Keys = append(identity.Keys, keys[id])
	}
	verify, err := typed(identity)
	if err != nil {
		return nil, err
	}
	router, err := typed(&routerv3.Router{})
	if err != nil {
		return nil, err
	}
	manager, err := typed(&hcmv3.HttpConnectionManager{
		StatPrefix: edge,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource: adsSource(), RouteConfigName: edge,
		}},
		HttpFilters: []*hcmv3.HttpFilter{
			{Name: identityFilter, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: verify}},
			{Name: routerFilter, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router}},
		},
	})
	if err != nil {
		return nil, err
	}
	return &listenerv3.Listener{
		Name: edge,
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "0.0.0.0", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 0},
		}}},
		FilterChains: []*listenerv3.FilterChain{{
			Filters: []*listenerv3.Filter{{
				Name: connectionManager, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager},
			}},
		}},
	}, nil
}

// typed packs a message so that equal ones have equal bytes.
func typed(message proto.Message) (*anypb.Any, error) {
	packed := new(anypb.Any)
	err := anypb.MarshalFrom(packed, message, proto.MarshalOptions{Deterministic: true})
	return packed, err
}
