package xds

import (
	"errors"
	"fmt"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// Types of resources, in the order in which they are asked for.
const (
	typePrefix   = "type.googleapis.com/"
	clusterType  = typePrefix + "envoy.config.cluster.v3.Cluster"
	endpointType = typePrefix + "envoy.config.endpoint.v3.ClusterLoadAssignment"
	listenerType = typePrefix + "envoy.config.listener.v3.Listener"
	routeType    = typePrefix + "envoy.config.route.v3.RouteConfiguration"
)

var types = []string{clusterType, endpointType, listenerType, routeType}

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
		if s[kind] == nil && kind == endpointType && len(s.edsNames()) == 0 {
			continue // no cluster refers to endpoints
		}
		if s[kind] == nil || release(s[kind].GetVersionInfo()) != release(s[clusterType].GetVersionInfo()) {
			return nil, errIncomplete
		}
	}
	config := &edge.Config{Release: release(s[clusterType].GetVersionInfo())}
	var err error
	if config.Clusters, err = s.clusters(); err != nil {
		return nil, err
	}
	routes, err := s.listener(config)
	if err != nil {
		return nil, err
	}
	if err := s.routes(config, routes); err != nil {
		return nil, err
	}
	return config, config.Check()
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
			return nil, err
		}
		clusters[cluster.Name] = cluster
	}
	return clusters, nil
}

// listener reads the keys of the edge, and which routes to take.
func (s set) listener(config *edge.Config) (routes string, err error) {
	for _, raw := range s[listenerType].GetResources() {
		l := new(listenerv3.Listener)
		if err := raw.UnmarshalTo(l); err != nil {
			return "", fmt.Errorf("listener: %w", err)
		}
		if l.GetName() != edgeName {
			continue
		}
		m, err := manager(l)
		if err != nil {
			return "", err
		}
		identity, err := decodeIdentity(m)
		if err != nil {
			return "", fmt.Errorf("filter %s: %w", identityFilter, err)
		}
		config.Keys = identity.GetKeys()
		return m.GetRds().GetRouteConfigName(), nil
	}
	return "", fmt.Errorf("listener %q is missing", edgeName)
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
			return err
		}
	}
	return errIncomplete
}
