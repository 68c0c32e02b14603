package xds

import (
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/services/configstore/ads"
)

// rendering is resources by name, before they are sealed.
type rendering struct {
	secrets   map[string]*tlsv3.Secret
	clusters  map[string]*clusterv3.Cluster
	endpoints map[string]*endpointv3.ClusterLoadAssignment
	listeners map[string]*listenerv3.Listener
	routes    map[string]*routev3.RouteConfiguration
}

func (r *rendering) resources(kind string) map[string]validated {
	switch kind {
	case ads.SecretType:
		return all(r.secrets)
	case ads.ClusterType:
		return all(r.clusters)
	case ads.EndpointType:
		return all(r.endpoints)
	case ads.ListenerType:
		return all(r.listeners)
	default:
		return all(r.routes)
	}
}

func all[M interface {
	proto.Message
	ValidateAll() error
}](of map[string]M) map[string]validated {
	list := make(map[string]validated, len(of))
	for name, message := range of {
		list[name] = message
	}
	return list
}

// closed makes sure that every reference to a cluster is to one of the same
// set. References to secrets are checked when they are written, and again by
// the gateways.
func (r *rendering) closed() error {
	for name := range r.clusters {
		if r.endpoints[name] == nil {
			return fmt.Errorf("cluster %q has no endpoints resource", name)
		}
	}
	for _, host := range r.routes[edge].GetVirtualHosts() {
		for _, route := range host.GetRoutes() {
			for _, name := range clustersOf(route.GetRoute()) {
				if r.clusters[name] == nil {
					return fmt.Errorf("route %q refers to cluster %q, which does not exist", route.GetName(), name)
				}
			}
		}
	}
	return nil
}

func clustersOf(action *routev3.RouteAction) []string {
	if action == nil {
		return nil
	}
	var names []string
	if name := action.GetCluster(); name != "" {
		names = append(names, name)
	}
	for _, part := range action.GetWeightedClusters().GetClusters() {
		names = append(names, part.GetName())
	}
	for _, mirror := range action.GetRequestMirrorPolicies() {
		names = append(names, mirror.GetCluster())
	}
	return names
}
