package xds

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

const typePrefix = "type.googleapis.com/"

// The types of resources, in the order in which they are sent: what is
// referred to comes before what refers to it.
const (
	SecretType   = typePrefix + "envoy.extensions.transport_sockets.tls.v3.Secret"
	ClusterType  = typePrefix + "envoy.config.cluster.v3.Cluster"
	EndpointType = typePrefix + "envoy.config.endpoint.v3.ClusterLoadAssignment"
	ListenerType = typePrefix + "envoy.config.listener.v3.Listener"
	RouteType    = typePrefix + "envoy.config.route.v3.RouteConfiguration"
)

var order = []string{SecretType, ClusterType, EndpointType, ListenerType, RouteType}

// resource is marshalled once for all subscribers.
type resource struct {
	name string
	body *anypb.Any
}

// group is the resources of one type, ordered by name.
type group struct {
	version   string
	resources []resource
	digest    [sha256.Size]byte
}

// snapshot is a whole configuration. It is never changed.
type snapshot struct {
	release string
	changes int // since the release began
	groups  map[string]*group
}

// validated is what all resources of go-control-plane have.
type validated interface {
	proto.Message
	ValidateAll() error
}

// seal validates and marshals rendered resources. Resources carry the release
// as their version, and a counter behind it of the changes since, which are
// changes of endpoints. A type that did not change within the release keeps
// its version and is not sent again.
func seal(release string, rendered *rendering, previous *snapshot) (*snapshot, error) {
	if err := rendered.closed(); err != nil {
		return nil, err
	}
	next := &snapshot{release: release, groups: make(map[string]*group, len(order))}
	if previous != nil && previous.release == release {
		next.changes = previous.changes + 1
	}
	for _, kind := range order {
		fresh, err := newGroup(rendered.resources(kind))
		if err != nil {
			return nil, err
		}
		fresh.version = release + "+" + strconv.Itoa(next.changes)
		if next.changes > 0 && previous.groups[kind].digest == fresh.digest {
			fresh = previous.groups[kind]
		}
		next.groups[kind] = fresh
	}
	return next, nil
}

// same tells whether nothing is to be sent after previous.
func (s *snapshot) same(previous *snapshot) bool {
	if previous == nil || previous.release != s.release {
		return false
	}
	for _, kind := range order {
		if s.groups[kind].digest != previous.groups[kind].digest {
			return false
		}
	}
	return true
}

func newGroup(messages map[string]validated) (*group, error) {
	g := &group{resources: make([]resource, 0, len(messages))}
	for name, message := range messages {
		if err := message.ValidateAll(); err != nil {
			return nil, fmt.Errorf("resource %q: %w", name, err)
		}
		body := new(anypb.Any)
		if err := anypb.MarshalFrom(body, message, proto.MarshalOptions{Deterministic: true}); err != nil {
			return nil, fmt.Errorf("resource %q: %w", name, err)
		}
		g.resources = append(g.resources, resource{name, body})
	}
	slices.SortFunc(g.resources, func(a, b resource) int { return cmp.Compare(a.name, b.name) })
	var content bytes.Buffer
	for _, r := range g.resources {
		fmt.Fprintf(&content, "%d:%s%d:", len(r.name), r.name, len(r.body.GetValue()))
		content.Write(r.body.GetValue())
	}
	g.digest = sha256.Sum256(content.Bytes())
	return g, nil
}
