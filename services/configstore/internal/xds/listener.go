package xds

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
)

const (
	// edge names the listener that every gateway has by its own settings, and
	// the route configuration of all listeners.
	edge = "edge"
	// publicPrefix begins the names of listeners that are objects.
	publicPrefix = "listener/"
	// hostPrefix begins the names of route configurations of one host, which
	// gRPC clients of `xds:///host` get.
	hostPrefix = "host/"
	// identityFilter is an HTTP filter of the listener: a
	// gateway.v1.EdgeIdentity.
	identityFilter = "backlot.gateway.identity"
	// listenerMetadata is the typed filter metadata of a listener: a
	// gateway.v1.ListenerExtension.
	listenerMetadata = "backlot.gateway.listener"

	connectionManager = "envoy.filters.network.http_connection_manager"
	routerFilter      = "envoy.filters.http.router"
)

// renderEdge describes the edge without an address: where a gateway listens is
// its own setting.
func renderEdge(keys map[id]*identityv1.VerificationKey) (*listenerv3.Listener, error) {
	chain, err := filterChain(keys)
	if err != nil {
		return nil, err
	}
	return &listenerv3.Listener{Name: edge, Address: socketAddress("0.0.0.0", 0), FilterChains: []*listenerv3.FilterChain{chain}}, nil
}

// renderPublic describes a listener that is an object.
func renderPublic(of id, l *gatewayv1.Listener, keys map[id]*identityv1.VerificationKey) (*listenerv3.Listener, error) {
	host, text, err := net.SplitHostPort(l.GetAddress())
	if err != nil {
		return nil, fmt.Errorf("listener %q: %w", of.resource(), err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("listener %q: %w", of.resource(), err)
	}
	chain, err := filterChain(keys)
	if err != nil {
		return nil, err
	}
	if chain.TransportSocket, err = downstreamTLS(of, l.GetTls()); err != nil {
		return nil, err
	}
	rendered := &listenerv3.Listener{
		Name: publicPrefix + of.resource(), Address: socketAddress(host, uint32(port)), FilterChains: []*listenerv3.FilterChain{chain},
	}
	rendered.Metadata, err = listenerExtension(l)
	return rendered, err
}

// listenerExtension says what our gateways do at the same address, and Envoy
// by a listener of its own; nil for nothing.
func listenerExtension(l *gatewayv1.Listener) (*corev3.Metadata, error) {
	if !l.GetTls().GetHttp3() {
		return nil, nil
	}
	packed, err := typed(&gatewayv1.ListenerExtension{Http3: true})
	return &corev3.Metadata{TypedFilterMetadata: map[string]*anypb.Any{listenerMetadata: packed}}, err
}

func socketAddress(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// filterChain serves HTTP by the edge's routes.
func filterChain(keys map[id]*identityv1.VerificationKey) (*listenerv3.FilterChain, error) {
	identity := new(gatewayv1.EdgeIdentity)
	for _, id := range slices.SortedFunc(maps.Keys(keys), func(a, b id) int { return cmp.Compare(a.resource(), b.resource()) }) {
		identity.Keys = append(identity.Keys, keys[id])
	}
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix:     edge,
		RouteSpecifier: routesFrom(edge),
		UpgradeConfigs: []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
		NormalizePath:  wrapperspb.Bool(true),
		MergeSlashes:   true,
	}
	for _, filter := range []struct {
		name     string
		config   proto.Message
		optional bool
	}{
		{identityFilter, identity, true},
		{rbacFilter, &rbacv3.RBAC{}, false},
		{rateLimitFilter, &ratelimitv3.LocalRateLimit{StatPrefix: edge}, true},
		{corsFilter, &corsv3.Cors{}, true},
		{routerFilter, &routerv3.Router{}, false},
	} {
		config, err := typed(filter.config)
		if err != nil {
			return nil, err
		}
		manager.HttpFilters = append(manager.HttpFilters, &hcmv3.HttpFilter{
			Name: filter.name, IsOptional: filter.optional, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config},
		})
	}
	packed, err := typed(manager)
	return &listenerv3.FilterChain{Filters: []*listenerv3.Filter{{
		Name: connectionManager, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed},
	}}}, err
}

func routesFrom(name string) *hcmv3.HttpConnectionManager_Rds {
	return &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: adsSource(), RouteConfigName: name}}
}

func downstreamTLS(of id, t *gatewayv1.ListenerTls) (*corev3.TransportSocket, error) {
	if t == nil {
		return nil, nil //nolint:nilnil // a filter chain without a transport socket is plain
	}
	common := &tlsv3.CommonTlsContext{AlpnProtocols: []string{"h2", "http/1.1"}}
	for _, name := range t.GetCertificates() {
		common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, secretOf(of, name))
	}
	if authority := t.GetClientAuthority(); authority != "" {
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
			ValidationContextSdsSecretConfig: secretOf(of, authority),
		}
	}
	packed, err := typed(&tlsv3.DownstreamTlsContext{
		CommonTlsContext: common, RequireClientCertificate: wrapperspb.Bool(t.GetRequireClientCertificate()),
	})
	return &corev3.TransportSocket{Name: tlsSocket, ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed}}, err
}

// renderHost is the listener of gRPC clients that dial `xds:///host`.
func renderHost(domain string) (*listenerv3.Listener, error) {
	router, err := typed(&routerv3.Router{})
	if err != nil {
		return nil, err
	}
	manager, err := typed(&hcmv3.HttpConnectionManager{
		StatPrefix: domain, RouteSpecifier: routesFrom(hostPrefix + domain),
		HttpFilters: []*hcmv3.HttpFilter{{Name: routerFilter, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router}}},
	})
	return &listenerv3.Listener{Name: domain, ApiListener: &listenerv3.ApiListener{ApiListener: manager}}, err
}

// typed packs a message so that equal ones have equal bytes.
func typed(message proto.Message) (*anypb.Any, error) {
	packed := new(anypb.Any)
	err := anypb.MarshalFrom(packed, message, proto.MarshalOptions{Deterministic: true})
	return packed, err
}
