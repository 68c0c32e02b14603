package xds

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/anypb"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// edgeName is that of our listener and of our route configuration.
const edgeName = "edge"

// errIncomplete means that a set is not the one that its manifest describes.
var errIncomplete = errors.New("set of resources is not complete")

// set holds the newest resources by type and name, and the version of each
// type.
type set struct {
	resources map[string]map[string]*resource
	versions  map[string]string
}

func newSet() *set {
	s := &set{resources: make(map[string]map[string]*resource, len(types)), versions: make(map[string]string, len(types))}
	for _, kind := range types {
		s.resources[kind] = map[string]*resource{}
	}
	return s
}

// clone returns a set that changes apart from this one.
func (s *set) clone() *set {
	c := &set{resources: make(map[string]map[string]*resource, len(types)), versions: maps.Clone(s.versions)}
	for kind, all := range s.resources {
		c.resources[kind] = maps.Clone(all)
	}
	return c
}

// update is what a response changes of one type.
type update struct {
	kind, version string
	whole         bool // what is not in put is gone
	put           map[string]*resource
	removed       []string
}

// add decodes a resource into an update. name is what the response calls it;
// empty: it does not.
func (u *update) add(name, version string, body *anypb.Any) error {
	own, r, err := decode(u.kind, version, body)
	if err == nil && name != "" && own != name {
		err = fmt.Errorf("it is called %q", own)
	}
	if err != nil {
		return fmt.Errorf("resource %q: %w", name, err)
	}
	u.put[own] = r
	return nil
}

// apply changes the set.
func (s *set) apply(u *update) error {
	all := s.resources[u.kind]
	if u.whole {
		all = make(map[string]*resource, len(u.put))
	}
	if len(all)+len(u.put) > maxResources {
		return fmt.Errorf("more than %d resources", maxResources)
	}
	for name, r := range u.put {
		all[name] = r
	}
	for _, name := range u.removed {
		delete(all, name)
	}
	s.resources[u.kind], s.versions[u.kind] = all, u.version
	return nil
}

// complete tells whether the set is what its manifest says, and of which
// release it then is.
func (s *set) complete() (release string, whole bool) {
	manifest := s.resources[manifestType][manifestName]
	if manifest == nil {
		return "", false
	}
	m := manifest.message.(*gatewayv1.Manifest)
	for _, kind := range types {
		if want, listed := m.GetVersions()[kind]; listed && s.versions[kind] != want {
			return "", false
		}
	}
	return m.GetReleaseId(), true
}

// builder makes configurations of sets that follow each other. What was made
// of the same resources is made once.
type builder struct {
	files    files
	clusters map[string]builtCluster
	routes   *resource
	hosts    []edge.Host
}

type builtCluster struct {
	cluster, endpoints *resource
	made               edge.Cluster
}

// config makes the edge's configuration of a whole set and checks it.
func (b *builder) config(s *set) (*edge.Config, error) {
	release, whole := s.complete()
	if !whole {
		return nil, errIncomplete
	}
	config := &edge.Config{Release: release}
	var err error
	defer b.files.turn()
	if config.Secrets, err = b.everySecret(s); err != nil {
		return nil, err
	}
	if config.Clusters, err = b.everyCluster(s); err != nil {
		return nil, err
	}
	name, err := s.listeners(config)
	if err != nil {
		return nil, err
	}
	if config.Hosts, err = b.everyHost(s, name); err != nil {
		return nil, err
	}
	if err := config.Check(); err != nil {
		return nil, err
	}
	config.Compile()
	return config, nil
}

func (b *builder) everySecret(s *set) (map[string]edge.Secret, error) {
	secrets := map[string]edge.Secret{}
	for name, raw := range s.resources[secretType] {
		secret, err := decodeSecret(raw.message.(*tlsv3.Secret), b.files.read)
		if err != nil {
			return nil, fmt.Errorf("secret %q: %w", name, err)
		}
		secrets[name] = secret
	}
	return secrets, nil
}

func (b *builder) everyCluster(s *set) (map[string]edge.Cluster, error) {
	made := make(map[string]edge.Cluster, len(s.resources[clusterType]))
	built := make(map[string]builtCluster, len(s.resources[clusterType]))
	for name, raw := range s.resources[clusterType] {
		one := builtCluster{cluster: raw}
		c := raw.message.(*clusterv3.Cluster)
		assignment := c.GetLoadAssignment()
		if c.GetType() == clusterv3.Cluster_EDS {
			if one.endpoints = s.resources[endpointType][edsName(c)]; one.endpoints == nil {
				return nil, fmt.Errorf("cluster %q: endpoints %q do not exist", name, edsName(c))
			}
			assignment = one.endpoints.message.(*endpointv3.ClusterLoadAssignment)
		}
		if before, found := b.clusters[name]; found && before.cluster == one.cluster && before.endpoints == one.endpoints {
			one.made = before.made
		} else {
			var err error
			if one.made, err = decodeCluster(c, assignment); err != nil {
				return nil, fmt.Errorf("cluster %q: %w", name, err)
			}
		}
		made[one.made.Name], built[name] = one.made, one
	}
	b.clusters = built
	return made, nil
}

func edsName(c *clusterv3.Cluster) string {
	if name := c.GetEdsClusterConfig().GetServiceName(); name != "" {
		return name
	}
	return c.GetName()
}

// listeners reads the keys of the edge, the listeners that are objects, and
// which routes to take. Listeners without address are gRPC clients' own.
func (s *set) listeners(config *edge.Config) (routes string, err error) {
	fronts := map[string]front{}
	for name, raw := range s.resources[listenerType] {
		l := raw.message.(*listenerv3.Listener)
		if l.GetApiListener() != nil {
			continue
		}
		listener, f, err := decodeListener(l)
		if err != nil {
			return "", fmt.Errorf("listener %q: %w", name, err)
		}
		fronts[name] = f
		if name != edgeName {
			config.Listeners = append(config.Listeners, listener)
		}
	}
	main, found := fronts[edgeName]
	if !found {
		return "", fmt.Errorf("listener %q is missing", edgeName)
	}
	for name, f := range fronts {
		if f.routes != main.routes {
			return "", fmt.Errorf("listener %q: routes other than %q are not supported", name, main.routes)
		}
	}
	slices.SortFunc(config.Listeners, func(a, b edge.Listener) int { return cmp.Compare(a.Name, b.Name) })
	config.Keys = main.identity.GetKeys()
	return main.routes, nil
}

func (b *builder) everyHost(s *set, name string) ([]edge.Host, error) {
	found := s.resources[routeType][name]
	if found == nil {
		return nil, fmt.Errorf("routes %q do not exist", name)
	}
	if found == b.routes {
		return b.hosts, nil
	}
	hosts, err := decodeRoutes(found.message.(*routev3.RouteConfiguration))
	if err != nil {
		return nil, fmt.Errorf("routes %q: %w", name, err)
	}
	b.routes, b.hosts = found, hosts
	return hosts, nil
}
