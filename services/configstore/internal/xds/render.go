package xds

import (
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// renderer makes resources of states that follow each other. What depends on
// unchanged objects alone is the same message as before, and is not validated
// and marshalled again.
type renderer struct {
	clusters  memo[*clusterv3.Cluster]
	endpoints memo[*endpointv3.ClusterLoadAssignment]
	listeners memo[*listenerv3.Listener]
	secrets   memo[*tlsv3.Secret]
	tables    memo[*routev3.RouteConfiguration]
	routes    memo[*routev3.Route]
}

// render makes the resources of a state.
func (r *renderer) render(s *state) (*rendering, error) {
	defer func() { r.clusters.turn(); r.endpoints.turn(); r.listeners.turn(); r.secrets.turn(); r.tables.turn() }()
	made := &rendering{
		clusters:  make(map[string]*clusterv3.Cluster, len(s.clusters)),
		endpoints: make(map[string]*endpointv3.ClusterLoadAssignment, len(s.clusters)),
		secrets:   make(map[string]*tlsv3.Secret, len(s.secrets)),
		listeners: make(map[string]*listenerv3.Listener, 1+len(s.listeners)),
		routes:    make(map[string]*routev3.RouteConfiguration),
	}
	for _, part := range []func(*state, *rendering) error{r.renderClusters, r.renderSecrets, r.renderListeners} {
		if err := part(s, made); err != nil {
			return nil, err
		}
	}
	routes, err := r.tables.of(edge, [2]any{s.routing}, func() (*routev3.RouteConfiguration, error) { return r.renderRoutes(edge, s.routes) })
	if err != nil {
		return nil, err
	}
	made.routes[edge] = routes
	return made, r.renderHosts(made, routes)
}

func (r *renderer) renderClusters(s *state, made *rendering) (err error) {
	for id, c := range s.clusters {
		name, ready := id.resource(), s.roster(c.GetService())
		made.clusters[name], err = r.clusters.of(name, [2]any{c}, func() (*clusterv3.Cluster, error) { return renderCluster(id, c) })
		if err != nil {
			return err
		}
		made.endpoints[name], err = r.endpoints.of(name, [2]any{c, ready}, func() (*endpointv3.ClusterLoadAssignment, error) {
			return renderEndpoints(name, c, ready)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *renderer) renderSecrets(s *state, made *rendering) (err error) {
	for id, secret := range s.secrets {
		name := id.resource()
		made.secrets[name], err = r.secrets.of(name, [2]any{secret}, func() (*tlsv3.Secret, error) { return renderSecret(name, secret), nil })
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *renderer) renderListeners(s *state, made *rendering) (err error) {
	made.listeners[edge], err = r.listeners.of(edge, [2]any{s.keyring}, func() (*listenerv3.Listener, error) { return renderEdge(s.keys) })
	if err != nil {
		return err
	}
	for id, l := range s.listeners {
		name := publicPrefix + id.resource()
		made.listeners[name], err = r.listeners.of(name, [2]any{s.keyring, l}, func() (*listenerv3.Listener, error) {
			return renderPublic(id, l, s.keys)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// renderHosts makes what gRPC clients ask for by the names of hosts: a
// listener, and the routes of that host alone.
func (r *renderer) renderHosts(made *rendering, routes *routev3.RouteConfiguration) (err error) {
	for _, host := range routes.GetVirtualHosts() {
		domain := host.GetDomains()[0]
		if strings.HasPrefix(domain, anyHost) || domain == edge {
			continue
		}
		made.listeners[domain], err = r.listeners.of(domain, [2]any{}, func() (*listenerv3.Listener, error) { return renderHost(domain) })
		if err != nil {
			return err
		}
		name := hostPrefix + domain
		made.routes[name], err = r.tables.of(name, [2]any{host}, func() (*routev3.RouteConfiguration, error) {
			return &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{host}}, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
