package xds

import (
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// Types of resources, in the order in which they are asked for. The manifest
// says which versions of the others make a whole.
const (
	typePrefix   = "type.googleapis.com/"
	secretType   = typePrefix + "envoy.extensions.transport_sockets.tls.v3.Secret"
	clusterType  = typePrefix + "envoy.config.cluster.v3.Cluster"
	endpointType = typePrefix + "envoy.config.endpoint.v3.ClusterLoadAssignment"
	listenerType = typePrefix + "envoy.config.listener.v3.Listener"
	routeType    = typePrefix + "envoy.config.route.v3.RouteConfiguration"
	manifestType = typePrefix + "backlot.gateway.v1.Manifest"
)

var types = []string{secretType, clusterType, endpointType, listenerType, routeType, manifestType}

// maxResources bounds the resources of one type.
const maxResources = 200_000

// resource is one that was received and decoded. It is never changed.
type resource struct {
	version string // empty where the control plane gives none for each
	body    *anypb.Any
	message proto.Message
}

// decode unpacks a resource of a type and tells its name.
func decode(kind, version string, body *anypb.Any) (name string, r *resource, err error) {
	var message proto.Message
	switch kind {
	case secretType:
		message = new(tlsv3.Secret)
	case clusterType:
		message = new(clusterv3.Cluster)
	case endpointType:
		message = new(endpointv3.ClusterLoadAssignment)
	case listenerType:
		message = new(listenerv3.Listener)
	case routeType:
		message = new(routev3.RouteConfiguration)
	case manifestType:
		message = new(gatewayv1.Manifest)
	default:
		return "", nil, fmt.Errorf("type %q is not understood", kind)
	}
	if err := body.UnmarshalTo(message); err != nil {
		return "", nil, err
	}
	return nameOf(message), &resource{version, body, message}, nil
}

func nameOf(message proto.Message) string {
	switch m := message.(type) {
	case *endpointv3.ClusterLoadAssignment:
		return m.GetClusterName()
	case interface{ GetName() string }:
		return m.GetName()
	}
	return manifestName
}

// manifestName is that of the one resource of its type.
const manifestName = "manifest"
