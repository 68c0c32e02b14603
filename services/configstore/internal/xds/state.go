package xds

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

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
	routing   int // counts changes of routes
	clusters  map[id]*gatewayv1.Cluster
	listeners map[id]*gatewayv1.Listener
	secrets   map[id]*gatewayv1.Secret
	keys      map[id]*identityv1.VerificationKey
	keyring   int // counts changes of keys
	instances map[id]*configstorev1.Instance
	rosters   map[string]*roster // by service
}

// roster is the ready instances of a service, ordered by id. It is not
// changed but replaced, so that the same pointer means the same endpoints.
type roster struct{ instances []*configstorev1.Instance }

// initialRelease is the release where there was none yet.
const initialRelease = "initial"

func newState() *state {
	return &state{
		release:   initialRelease,
		routes:    make(map[id]*gatewayv1.Route),
		clusters:  make(map[id]*gatewayv1.Cluster),
		listeners: make(map[id]*gatewayv1.Listener),
		secrets:   make(map[id]*gatewayv1.Secret),
		keys:      make(map[id]*identityv1.VerificationKey),
		instances: make(map[id]*configstorev1.Instance),
		rosters:   make(map[string]*roster),
	}
}

// rendered tells whether objects of a kind make a release of xDS.
func rendered(kind string) bool {
	switch kind {
	case "Route", "Cluster", "Listener", object.SecretKind, "VerificationKey":
		return true
	}
	return false
}

// apply takes one change over and tells whether it matters.
func (s *state) apply(event *configstorev1.Event) (matters bool, err error) {
	o := event.GetObject()
	key := id{o.GetKey().GetNamespace(), o.GetKey().GetName()}
	gone := event.GetType() == configstorev1.Event_TYPE_DELETE
	switch kind := o.GetKey().GetKind(); kind {
	case "Route":
		s.routing++
		err = take(s.routes, key, o, gone, new(gatewayv1.Route))
	case "Cluster":
		err = take(s.clusters, key, o, gone, new(gatewayv1.Cluster))
	case "Listener":
		err = take(s.listeners, key, o, gone, new(gatewayv1.Listener))
	case object.SecretKind:
		err = take(s.secrets, key, o, gone, new(gatewayv1.Secret))
	case "VerificationKey":
		s.keyring++
		err = take(s.keys, key, o, gone, new(identityv1.VerificationKey))
	case object.InstanceKind:
		before := s.instances[key]
		err = take(s.instances, key, o, gone, new(configstorev1.Instance))
		s.enrol(before, s.instances[key])
	default:
		return false, nil
	}
	if rendered(o.GetKey().GetKind()) {
		s.released(o.GetReleaseId(), o.GetRevision())
	}
	return true, err
}

// keep takes over what another state has of an object that cannot be read now:
// a secret.
func (s *state) keep(before *state, key *configstorev1.Key) {
	if before == nil || key.GetKind() != object.SecretKind {
		return
	}
	name := id{key.GetNamespace(), key.GetName()}
	if secret, found := before.secrets[name]; found {
		s.secrets[name] = secret
	}
}

// place puts an instance that is no object of the store, nil takes it away.
func (s *state) place(name string, instance *configstorev1.Instance) {
	key := id{outside, name}
	s.enrol(s.instances[key], instance)
	if instance == nil {
		delete(s.instances, key)
	} else {
		s.instances[key] = instance
	}
}

// outside is no namespace that an object can have.
const outside = "/"

// clone returns a state that changes apart from this one.
func (s *state) clone() *state {
	c := *s
	c.routes, c.clusters, c.keys = maps.Clone(s.routes), maps.Clone(s.clusters), maps.Clone(s.keys)
	c.listeners, c.secrets = maps.Clone(s.listeners), maps.Clone(s.secrets)
	c.instances, c.rosters = maps.Clone(s.instances), maps.Clone(s.rosters)
	return &c
}

// meet takes the instances of another state over.
func (s *state) meet(other *state) {
	s.instances, s.rosters = maps.Clone(other.instances), maps.Clone(other.rosters)
}

// enrol replaces the rosters that an instance leaves and joins.
func (s *state) enrol(before, after *configstorev1.Instance) {
	if before == after {
		return
	}
	if before.GetReady() {
		without := slices.DeleteFunc(slices.Clone(s.roster(before.GetService()).instances),
			func(i *configstorev1.Instance) bool { return i == before })
		s.rosters[before.GetService()] = &roster{without}
		if len(without) == 0 {
			delete(s.rosters, before.GetService())
		}
	}
	if after.GetReady() {
		all := slices.Clone(s.roster(after.GetService()).instances)
		at, _ := slices.BinarySearchFunc(all, after, compareInstances)
		s.rosters[after.GetService()] = &roster{slices.Insert(all, at, after)}
	}
}

// roster of a service; without instances it is always the same one.
func (s *state) roster(service string) *roster {
	if r, found := s.rosters[service]; found && service != "" {
		return r
	}
	return nobody
}

var nobody = new(roster)

func compareInstances(a, b *configstorev1.Instance) int {
	return cmp.Or(cmp.Compare(a.GetId(), b.GetId()), cmp.Compare(a.GetAddress(), b.GetAddress()))
}

// released notes the newest release; ids order those of one revision.
func (s *state) released(release string, revision int64) {
	if release != "" && (revision > s.revision || revision == s.revision && release > s.release) {
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
