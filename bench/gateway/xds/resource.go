package xds

import (
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backlot-video/backlot/services/configstore/ads"
)

const (
	clusters  = 100
	endpoints = 10
)

// message is a resource that can be checked.
type message interface {
	proto.Message
	ValidateAll() error
}

var kinds = []string{ads.ClusterType, ads.EndpointType, ads.ListenerType, ads.RouteType}

func newMessage(kind string) message {
	switch kind {
	case ads.ClusterType:
		return new(clusterv3.Cluster)
	case ads.EndpointType:
		return new(endpointv3.ClusterLoadAssignment)
	case ads.ListenerType:
		return new(listenerv3.Listener)
	default:
		return new(routev3.RouteConfiguration)
	}
}

func clusterName(n int) string { return fmt.Sprintf("cluster-%d", n) }

func byADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

// configuration is the resources by type and name. The first cluster's
// endpoints carry the number of the change.
func configuration(change int) (map[string]map[string]message, error) {
	all := map[string]map[string]message{ads.ClusterType: {}, ads.EndpointType: {}}
	table := &routev3.RouteConfiguration{Name: "edge", VirtualHosts: []*routev3.VirtualHost{{Name: "all", Domains: []string{"*"}}}}
	for n := range clusters {
		name := clusterName(n)
		all[ads.ClusterType][name] = &clusterv3.Cluster{
			Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
			EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: byADS(), ServiceName: name},
			ConnectTimeout:   durationpb.New(1e9),
			CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
				MaxConnections: wrapperspb.UInt32(1024), MaxRequests: wrapperspb.UInt32(4096),
			}}},
		}
		all[ads.EndpointType][name] = assignment(n, 0)
		table.VirtualHosts[0].Routes = append(table.VirtualHosts[0].Routes, &routev3.Route{
			Name: name, Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/" + name + "/"}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: name}}},
		})
	}
	all[ads.EndpointType][clusterName(0)] = assignment(0, change)
	manager, err := anypb.New(&hcmv3.HttpConnectionManager{
		StatPrefix: "edge", RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: byADS(), RouteConfigName: "edge"}},
	})
	if err != nil {
		return nil, err
	}
	all[ads.ListenerType] = map[string]message{"edge": &listenerv3.Listener{
		Name: "edge", Address: address(0), FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: "envoy.filters.network.http_connection_manager", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager},
		}}}},
	}}
	all[ads.RouteType] = map[string]message{"edge": table}
	return all, nil
}

func address(port int) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: "10.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}

// assignment has the number of the change as the first endpoint's port.
func assignment(cluster, change int) *endpointv3.ClusterLoadAssignment {
	made := &endpointv3.LocalityLbEndpoints{Locality: &corev3.Locality{Zone: "a"}, LoadBalancingWeight: wrapperspb.UInt32(1)}
	for n := range endpoints {
		port := 1000 + n
		if n == 0 {
			port = change
		}
		made.LbEndpoints = append(made.LbEndpoints, &endpointv3.LbEndpoint{
			HealthStatus:   corev3.HealthStatus_HEALTHY,
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address(port)}},
		})
	}
	return &endpointv3.ClusterLoadAssignment{ClusterName: clusterName(cluster), Endpoints: []*endpointv3.LocalityLbEndpoints{made}}
}

// changeOf reads the number that assignment wrote; -1: of another cluster.
func changeOf(m message) int {
	a, is := m.(*endpointv3.ClusterLoadAssignment)
	if !is || a.GetClusterName() != clusterName(0) {
		return -1
	}
	return int(a.GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress().GetPortValue())
}
