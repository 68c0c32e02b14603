package xds

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// instanceMetadata is the typed filter metadata of an endpoint that is an
// instance: a configstore.v1.Instance.
const instanceMetadata = "backlot.gateway.instance"

// renderEndpoints lists a cluster's addresses by zone: those it names, or
// those of a service's instances that are ready.
func renderEndpoints(name string, c *gatewayv1.Cluster, ready *roster) (*endpointv3.ClusterLoadAssignment, error) {
	byZone := make(map[string][]*endpointv3.LbEndpoint)
	for _, address := range c.GetStatic().GetAddresses() {
		endpoint, err := renderEndpoint(address)
		if err != nil {
			return nil, fmt.Errorf("cluster %q: %w", name, err)
		}
		byZone[""] = append(byZone[""], endpoint)
	}
	for _, static := range c.GetStatic().GetEndpoints() {
		endpoint, err := renderEndpoint(static.GetAddress())
		if err != nil {
			return nil, fmt.Errorf("cluster %q: %w", name, err)
		}
		if static.GetDraining() {
			endpoint.HealthStatus = corev3.HealthStatus_DRAINING
		}
		if weight := static.GetWeight(); weight > 0 {
			endpoint.LoadBalancingWeight = wrapperspb.UInt32(weight)
		}
		byZone[static.GetZone()] = append(byZone[static.GetZone()], endpoint)
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
		if weight := instance.GetWeight(); weight > 0 {
			endpoint.LoadBalancingWeight = wrapperspb.UInt32(weight)
		}
		byZone[instance.GetZone()] = append(byZone[instance.GetZone()], endpoint)
	}
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: name}
	for _, zone := range slices.Sorted(maps.Keys(byZone)) {
		var weight uint32
		for _, endpoint := range byZone[zone] {
			weight += max(1, endpoint.GetLoadBalancingWeight().GetValue())
		}
		assignment.Endpoints = append(assignment.Endpoints, &endpointv3.LocalityLbEndpoints{
			Locality:            &corev3.Locality{Zone: zone},
			LoadBalancingWeight: wrapperspb.UInt32(weight),
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
