package xds

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// Types of resources, in the order in which they are asked for.
const (
	typePrefix   = "type.googleapis.com/"
	secretType   = typePrefix + "envoy.extensions.transport_sockets.tls.v3.Secret"
	clusterType  = typePrefix + "envoy.config.cluster.v3.Cluster"
	endpointType = typePrefix + "envoy.config.endpoint.v3.ClusterLoadAssignment"
	listenerType = typePrefix + "envoy.config.listener.v3.Listener"
	routeType    = typePrefix + "envoy.config.route.v3.RouteConfiguration"
)

var types = []string{secretType, clusterType, endpointType, listenerType, routeType}

// edgeName is that of our listener and of our route configuration.
const edgeName = "edge"

// errIncomplete means that more responses have to come before the set is
// closed under its references and of one release.
var errIncomplete = errors.New("set of resources is not complete yet")

// set holds the newest response of each type.
type set map[string]*discoveryv3.DiscoveryResponse

// release is the part of a version before the counter of endpoint changes.
func release(version string) string {
	name, _, _ := strings.Cut(version, "+")
	return name
}

// config makes the edge's configuration of the whole set.
func (s set) config() (*edge.Config, error) {
	for _, kind := range types {
		if s[kind] == nil && (kind == secretType || kind == endpointType && len(s.edsNames()) == 0) {
			continue // nothing refers to any, or Check says so
		}
		if s[kind] == nil || release(s[kind].GetVersionInfo()) != release(s[clusterType].GetVersionInfo()) {
			return nil, errIncomplete
		}
	}
	config := &edge.Config{Release: release(s[clusterType].GetVersionInfo())}
	var err error
	if config.Secrets, err = s.secrets(); err != nil {
		return nil, err
	}
	if config.Clusters, err = s.clusters(); err != nil {
		return nil, err
	}
	routes, err := s.listeners(config)
	if err != nil {
		return nil, err
	}
	if err := s.routes(config, routes); err != nil {
		return nil, err
	}
	if s[secretType] == nil && len(secretNames(config)) > 0 {
		return nil, errIncomplete
	}
	if err := config.Check(); err != nil {
		return nil, err
	}
	config.Compile()
	return config, nil
}

// secretNames are the secrets that a configuration refers to, in order.
func secretNames(c *edge.Config) []string {
	var names []string
	for _, l := range c.Listeners {
		if l.TLS != nil {
			names = append(append(names, l.TLS.Certificates...), l.TLS.ClientCA)
		}
	}
	for _, cluster := range c.Clusters {
		if cluster.TLS != nil {
			names = append(names, cluster.TLS.Authority, cluster.TLS.Certificate)
		}
	}
	for _, host := range c.Hosts {
		for i := range host.Routes {
			policy := &host.Routes[i].Policy
			if policy.JWT != nil {
				names = append(names, policy.JWT.Secret)
			}
			if policy.APIKey != nil {
				names = append(names, policy.APIKey.Secret)
			}
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

func (s set) secrets() (map[string]edge.Secret, error) {
	secrets := map[string]edge.Secret{}
	for _, raw := range s[secretType].GetResources() {
		one := new(tlsv3.Secret)
		if err := raw.UnmarshalTo(one); err != nil {
			return nil, fmt.Errorf("secret: %w", err)
		}
		secret, err := decodeSecret(one)
		if err != nil {
			return nil, fmt.Errorf("secret %q: %w", one.GetName(), err)
		}
		secrets[one.GetName()] = secret
	}
	return secrets, nil
}

func (s set) clusters() (map[string]edge.Cluster, error) {
	assignments := map[string]*endpointv3.ClusterLoadAssignment{}
	for _, raw := range s[endpointType].GetResources() {
		a := new(endpointv3.ClusterLoadAssignment)
		if err := raw.UnmarshalTo(a); err != nil {
			return nil, fmt.Errorf("endpoints: %w", err)
		}
		assignments[a.GetClusterName()] = a
	}
	clusters := map[string]edge.Cluster{}
	for _, raw := range s[clusterType].GetResources() {
		c := new(clusterv3.Cluster)
		if err := raw.UnmarshalTo(c); err != nil {
			return nil, fmt.Errorf("cluster: %w", err)
		}
		endpoints := c.GetLoadAssignment()
		if c.GetType() == clusterv3.Cluster_EDS {
			name := c.GetEdsClusterConfig().GetServiceName()
			if name == "" {
				name = c.GetName()
			}
			if endpoints = assignments[name]; endpoints == nil {
				return nil, errIncomplete
			}
		}
		cluster, err := decodeCluster(c, endpoints)
		if err != nil {
			return nil, fmt.Errorf("cluster %q: %w", c.GetName(), err)
		}
		clusters[cluster.Name] = cluster
	}
	return clusters, nil
}

// listeners reads the keys of the edge, the listeners that are objects, and
// which routes to take. Listeners without address are gRPC clients' own.
func (s set) listeners(config *edge.Config) (routes string, err error) {
	fronts := map[string]front{}
	for _, raw := range s[listenerType].GetResources() {
		l := new(listenerv3.Listener)
		if err := raw.UnmarshalTo(l); err != nil {
			return "", fmt.Errorf("listener: %w", err)
		}
		if l.GetApiListener() != nil {
			continue
		}
		listener, f, err := decodeListener(l)
		if err != nil {
			return "", fmt.Errorf("listener %q: %w", l.GetName(), err)
		}
		fronts[l.GetName()] = f
		if l.GetName() != edgeName {
			config.Listeners = append(config.Listeners, listener)
		}
	}
	main, found := fronts[edgeName]
	if !found {
		return "", fmt.Errorf("listener %q is missing", edgeName)
	}
	for name, f := range fronts {
		if f.routes != main.routes {
			return "", fmt.Errorf("listener %q: routes other than %q are not supported", name, main.routes)
		}
	}
	slices.SortFunc(config.Listeners, func(a, b edge.Listener) int { return cmp.Compare(a.Name, b.Name) })
	config.Keys = main.identity.GetKeys()
	return main.routes, nil
}

func (s set) routes(config *edge.Config, name string) error {
	for _, raw := range s[routeType].GetResources() {
		rc := new(routev3.RouteConfiguration)
		if err := raw.UnmarshalTo(rc); err != nil {
			return fmt.Errorf("routes: %w", err)
		}
		if rc.GetName() == name {
			hosts, err := decodeRoutes(rc)
			config.Hosts = hosts
			if err != nil {
				return fmt.Errorf("routes %q: %w", name, err)
			}
			return nil
		}
	}
	return errIncomplete
}
