// Package ads serves xDS: snapshots of resources that are marshalled once, to
// any number of subscribers, state of the world and delta, over gRPC.
//
//	ads.go           types of resources and their order
//	resource.go      Resource: marshalled once, for both variants
//	group.go         Group: the resources of one type; what differs between two
//	snapshot.go      Snapshot: a whole configuration, and its manifest
//	subscription.go  what one client wants of one type, and where it stands
//	stream.go        the protocol of one stream, without I/O
//	response.go      responses as bytes: a head of the client's own and shared parts
//	server.go        Server: views, streams, who is told what
//	grpc.go          the handler: gRPC's framing over net/http
//	metrics.go       what is counted
//
// One response of a type is in flight to a client at a time: a slow one skips
// versions and costs no memory. A response that a client refuses is parked
// until that type changes. What refers to others is sent after them, and what
// others refer to is removed after them, so that a client which applies every
// response at once never refers to nothing.
//
// It does not make resources, does not validate them, and does not decide who
// may connect.
package ads

const typePrefix = "type.googleapis.com/"

// The types of resources.
const (
	SecretType   = typePrefix + "envoy.extensions.transport_sockets.tls.v3.Secret"
	ClusterType  = typePrefix + "envoy.config.cluster.v3.Cluster"
	EndpointType = typePrefix + "envoy.config.endpoint.v3.ClusterLoadAssignment"
	ListenerType = typePrefix + "envoy.config.listener.v3.Listener"
	RouteType    = typePrefix + "envoy.config.route.v3.RouteConfiguration"
	// ManifestType is of one resource that every snapshot ends with, a
	// gateway.v1.Manifest. Who subscribes to it is sent whole snapshots only:
	// the next one begins when the one before is acknowledged.
	ManifestType = typePrefix + "backlot.gateway.v1.Manifest"
)

// kind is a type by its place in the order of sending: what is referred to
// comes before what refers to it.
type kind int

const (
	secrets kind = iota
	clusters
	endpoints
	listeners
	routes
	manifests
	kinds // how many there are
)

var typeURLs = [kinds]string{SecretType, ClusterType, EndpointType, ListenerType, RouteType, ManifestType}

// labels name kinds in metrics and logs.
var labels = [kinds]string{"secret", "cluster", "endpoint", "listener", "route", "manifest"}

// Types returns the type URLs in the order of sending, without ManifestType.
func Types() []string { return append([]string(nil), typeURLs[:manifests]...) }

func kindOf(typeURL string) (kind, bool) {
	for k, known := range typeURLs {
		if known == typeURL {
			return kind(k), true
		}
	}
	return 0, false
}

// full tells whether a response, state of the world, holds all resources of
// the type, so that what it does not hold is gone. Of other types it holds
// what has changed.
func (k kind) full() bool { return k == clusters || k == listeners }

// referred tells that listeners and routes refer to resources of this type.
func (k kind) referred() bool { return k < listeners }
