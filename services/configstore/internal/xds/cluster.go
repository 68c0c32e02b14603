package xds

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// instanceMetadata is the typed filter metadata of an endpoint that is an
// instance: a configstore.v1.Instance.
const instanceMetadata = "backlot.gateway.instance"

// defaultConnectTimeout is that of clusters that set none.
const defaultConnectTimeout = 2 * time.Second

func renderCluster(name string, c *gatewayv1.Cluster) *clusterv3.Cluster {
	timeout := c.GetConnectTimeout()
	if timeout.AsDuration() <= 0 {
		timeout = durationpb.New(defaultConnectTimeout)
	}
	return &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: adsSource(), ServiceName: name},
		ConnectTimeout:       timeout,
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections:     orDefault(c.GetBreaker().GetMaxConnections(), 1024),
			MaxPendingRequests: orDefault(c.GetBreaker().GetMaxPendingRequests(), 1024),
			MaxRequests:        orDefault(c.GetBreaker().GetMaxRequests(), 4096),
			MaxRetries:         orDefault(c.GetBreaker().GetMaxRetries(), 32),
		}}},
	}
}

func orDefault(value, fallback uint32) *wrapperspb.UInt32Value {
	if value == 0 {
		value = fallback
	}
	return wrapperspb.UInt32(value)
}

func adsSource() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

// renderEndpoints lists a cluster's addresses by zone: those it names, or
// those of a service's instances that are ready.
func renderEndpoints(
	name string, c *gatewayv1.Cluster, ready *roster,
) (*endpointv3.ClusterLoadAssignment, error) {
	byZone := make(map[string][]*endpointv3.LbEndpoint)
	for _, address := range c.GetStatic().GetAddresses() {
		endpoint, err := renderEndpoint(address)
		if err != nil {
			return nil, fmt.Errorf("cluster %q: %w", name, err)
		}
		byZone[""] = append(byZone[""], endpoint)
	}
	for _, instance := range ready.instances {
		endpoint, err := renderEndpoint(instance.GetAddress())
		if err != nil {
			return nil, fmt.Errorf("instance %q: %w", instance.GetId(), err)
		}
		metadata, err := typed(instance)
		if err != nil {
			return nil, err
		}
		endpoint.Metadata = &corev3.Metadata{TypedFilterMetadata: map[string]*anypb.Any{instanceMetadata: metadata}}
		byZone[instance.GetZone()] = append(byZone[instance.GetZone()], endpoint)
	}
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: name}
	for _, zone := range slices.Sorted(maps.Keys(byZone)) {
		assignment.Endpoints = append(assignment.Endpoints, &endpointv3.LocalityLbEndpoints{
			Locality:            &corev3.Locality{Zone: zone},
			LoadBalancingWeight: wrapperspb.UInt32(uint32(len(byZone[zone]))),
			LbEndpoints:         byZone[zone],
		})
	}
	return assignment, nil
}

// renderEndpoint turns `host:port` or `unix:/path` into an endpoint.
func renderEndpoint(address string) (*endpointv3.LbEndpoint, error) {
	where := new(corev3.Address)
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		where.Address = &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}
	} else {
		host, text, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", address, err)
		}
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || host == "" {
			return nil, fmt.Errorf("address %q is not host:port", address)
		}
		where.Address = &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
		}}
	}
	return &endpointv3.LbEndpoint{
		HealthStatus:   corev3.HealthStatus_HEALTHY,
		HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: where}},
	}, nil
}
