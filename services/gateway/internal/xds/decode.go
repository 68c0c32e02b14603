package xds

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// Names of our typed extensions.
const (
	identityFilter   = "backlot.gateway.identity"
	policyFilter     = "backlot.gateway.policy"
	targetMetadata   = "backlot.gateway.target"
	instanceMetadata = "backlot.gateway.instance"
)

// manager finds the HTTP connection manager of a listener.
func manager(l *listenerv3.Listener) (*hcmv3.HttpConnectionManager, error) {
	for _, chain := range l.GetFilterChains() {
		for _, filter := range chain.GetFilters() {
			m := new(hcmv3.HttpConnectionManager)
			if filter.GetTypedConfig().MessageIs(m) {
				return m, filter.GetTypedConfig().UnmarshalTo(m)
			}
		}
	}
	return nil, fmt.Errorf("listener %q has no HTTP connection manager", l.GetName())
}

func decodeIdentity(m *hcmv3.HttpConnectionManager) (*gatewayv1.EdgeIdentity, error) {
	identity := new(gatewayv1.EdgeIdentity)
	for _, filter := range m.GetHttpFilters() {
		if filter.GetName() == identityFilter {
			return identity, filter.GetTypedConfig().UnmarshalTo(identity)
		}
	}
	return identity, nil
}

func decodeRoutes(rc *routev3.RouteConfiguration) ([]edge.Host, error) {
	hosts := make([]edge.Host, 0, len(rc.GetVirtualHosts()))
	for _, vh := range rc.GetVirtualHosts() {
		host := edge.Host{}
		for _, domain := range vh.GetDomains() {
			host.Domains = append(host.Domains, strings.ToLower(domain))
		}
		for _, r := range vh.GetRoutes() {
			route, err := decodeRoute(r)
			if err != nil {
				return nil, fmt.Errorf("route %q: %w", r.GetName(), err)
			}
			host.Routes = append(host.Routes, route)
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}

func decodeRoute(r *routev3.Route) (edge.Route, error) {
	route := edge.Route{Name: r.GetName()}
	switch match := r.GetMatch().GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Path:
		route.Path, route.Exact = match.Path, true
	case *routev3.RouteMatch_Prefix:
		route.Path = match.Prefix
	case *routev3.RouteMatch_PathSeparatedPrefix:
		route.Path = match.PathSeparatedPrefix
	default:
		return route, fmt.Errorf("path match %T is not supported", match)
	}
	for _, header := range r.GetMatch().GetHeaders() {
		methods, err := decodeMethods(header)
		if err != nil {
			return route, err
		}
		route.Methods = append(route.Methods, methods...)
	}
	if err := decodeTarget(r, &route); err != nil {
		return route, err
	}
	policy := new(gatewayv1.RoutePolicy)
	if raw, found := r.GetTypedPerFilterConfig()[policyFilter]; found {
		if err := raw.UnmarshalTo(policy); err != nil {
			return route, err
		}
	}
	route.Policy = decodePolicy(policy)
	return route, nil
}

// decodeMethods reads the only header condition that is understood, the
// method: one, or `^(GET|HEAD)$`.
func decodeMethods(h *routev3.HeaderMatcher) ([]string, error) {
	if h.GetName() != ":method" {
		return nil, fmt.Errorf("match on header %q is not supported", h.GetName())
	}
	text := h.GetStringMatch()
	if exact := text.GetExact(); exact != "" {
		return []string{exact}, nil
	}
	regex := strings.Trim(text.GetSafeRegex().GetRegex(), "^$()")
	if regex == "" || strings.ContainsFunc(regex, func(c rune) bool { return (c < 'A' || c > 'Z') && c != '|' }) {
		return nil, fmt.Errorf("method match %v is not supported", text)
	}
	return strings.Split(regex, "|"), nil
}

func decodeTarget(r *routev3.Route, route *edge.Route) error {
	if raw, found := r.GetMetadata().GetTypedFilterMetadata()[targetMetadata]; found {
		target := new(gatewayv1.RouteTarget)
		if err := raw.UnmarshalTo(target); err != nil {
			return err
		}
		switch t := target.GetTarget().(type) {
		case *gatewayv1.RouteTarget_Media:
			route.Target, route.Bucket = edge.ToMedia, t.Media.GetBucket()
			if route.Bucket == "" {
				route.Bucket = "media"
			}
		case *gatewayv1.RouteTarget_Console:
			route.Target = edge.ToConsole
		default:
			return fmt.Errorf("target %T is not supported", t)
		}
		return nil
	}
	action := r.GetRoute()
	if action.GetCluster() == "" {
		return fmt.Errorf("action %T is not supported", r.GetAction())
	}
	route.Cluster, route.PrefixRewrite = action.GetCluster(), action.GetPrefixRewrite()
	return nil
}

func decodePolicy(p *gatewayv1.RoutePolicy) edge.Policy {
	policy := edge.Policy{
		Principals: p.GetPrincipals(), Timeout: edge.DefaultTimeout,
		MaxRequest: edge.DefaultMaxRequest, MaxAttempts: edge.DefaultMaxAttempts,
	}
	if p.GetTimeout() != nil {
		policy.Timeout = p.GetTimeout().AsDuration()
	}
	if p.GetMaxRequestBytes() > 0 {
		policy.MaxRequest = int64(min(p.GetMaxRequestBytes(), 1<<62))
	}
	if p.GetMaxAttempts() > 0 {
		policy.MaxAttempts = int(p.GetMaxAttempts())
	}
	return policy
}

func decodeCluster(c *clusterv3.Cluster, endpoints *endpointv3.ClusterLoadAssignment) (edge.Cluster, error) {
	cluster := edge.Cluster{
		Name: c.GetName(), ConnectTimeout: edge.DefaultConnectTimeout,
		MaxRequests: edge.DefaultMaxRequests, MaxRetries: edge.DefaultMaxRetries,
	}
	if d := c.GetConnectTimeout(); d != nil && d.AsDuration() > 0 {
		cluster.ConnectTimeout = min(d.AsDuration(), time.Minute)
	}
	for _, threshold := range c.GetCircuitBreakers().GetThresholds() {
		if threshold.GetMaxRequests() != nil {
			cluster.MaxRequests = int(threshold.GetMaxRequests().GetValue())
		}
		if threshold.GetMaxRetries() != nil {
			cluster.MaxRetries = int(threshold.GetMaxRetries().GetValue())
		}
	}
	for _, locality := range endpoints.GetEndpoints() {
		for _, lb := range locality.GetLbEndpoints() {
			endpoint, err := decodeEndpoint(lb)
			if err != nil {
				return cluster, fmt.Errorf("cluster %q: %w", c.GetName(), err)
			}
			cluster.Endpoints = append(cluster.Endpoints, endpoint)
		}
	}
	return cluster, nil
}

func decodeEndpoint(lb *endpointv3.LbEndpoint) (edge.Endpoint, error) {
	endpoint := edge.Endpoint{}
	if raw, found := lb.GetMetadata().GetTypedFilterMetadata()[instanceMetadata]; found {
		instance := new(configstorev1.Instance)
		if err := raw.UnmarshalTo(instance); err != nil {
			return endpoint, err
		}
		endpoint.TLS = instance.GetTls()
	}
	switch address := lb.GetEndpoint().GetAddress().GetAddress().(type) {
	case *corev3.Address_Pipe:
		endpoint.Address = "unix:" + address.Pipe.GetPath()
	case *corev3.Address_SocketAddress:
		port := strconv.FormatUint(uint64(address.SocketAddress.GetPortValue()), 10)
		endpoint.Address = joinHostPort(address.SocketAddress.GetAddress(), port)
	default:
		return endpoint, fmt.Errorf("endpoint address %T is not supported", address)
	}
	return endpoint, nil
}

func joinHostPort(host, port string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]:" + port
	}
	return host + ":" + port
}
