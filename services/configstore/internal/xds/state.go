package xds

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// id names an object within its kind.
type id struct{ namespace, name string }

// resource names an xDS resource: the default namespace goes without saying.
func (i id) resource() string {
	if i.namespace == object.DefaultNamespace {
		return i.name
	}
	return i.namespace + "/" + i.name
}

// state is the objects of one tenant that xDS is rendered from.
type state struct {
	release   string // the newest that touched a route, cluster or key
	revision  int64  // of that release
	routes    map[id]*gatewayv1.Route
	clusters  map[id]*gatewayv1.Cluster
	keys      map[id]*identityv1.VerificationKey
	instances map[id]*configstorev1.Instance
}

// initialRelease is the release where there was none yet.
const initialRelease = "initial"

func newState() *state {
	return &state{
		release:   initialRelease,
		routes:    make(map[id]*gatewayv1.Route),
		clusters:  make(map[id]*gatewayv1.Cluster),
		keys:      make(map[id]*identityv1.VerificationKey),
		instances: make(map[id]*configstorev1.Instance),
	}
}

// rendered tells whether objects of a kind make a release of xDS.
func rendered(kind string) bool {
	return kind == "Route" || kind == "Cluster" || kind == "VerificationKey"
}

// apply takes one change over and tells whether it matters.
func (s *state) apply(event *configstorev1.Event) (matters bool, err error) {
	o := event.GetObject()
	key := id{o.GetKey().GetNamespace(), o.GetKey().GetName()}
	gone := event.GetType() == configstorev1.Event_TYPE_DELETE
	switch kind := o.GetKey().GetKind(); kind {
	case "Route":
		err = take(s.routes, key, o, gone, new(gatewayv1.Route))
	case "Cluster":
		err = take(s.clusters, key, o, gone, new(gatewayv1.Cluster))
	case "VerificationKey":
		err = take(s.keys, key, o, gone, new(identityv1.VerificationKey))
	case object.InstanceKind:
		err = take(s.instances, key, o, gone, new(configstorev1.Instance))
	default:
		return false, nil
	}
	if rendered(o.GetKey().GetKind()) {
		s.released(o.GetReleaseId(), o.GetRevision())
	}
	return true, err
}

func (s *state) released(release string, revision int64) {
	if revision > s.revision && release != "" {
		s.release, s.revision = release, revision
	}
}

func take[T proto.Message](all map[id]T, key id, o *configstorev1.Object, gone bool, spec T) error {
	if gone {
		delete(all, key)
		return nil
	}
	if err := o.GetSpec().UnmarshalTo(spec); err != nil {
		return fmt.Errorf("%s %s: %w", o.GetKey().GetKind(), key.resource(), err)
	}
	all[key] = spec
	return nil
}
