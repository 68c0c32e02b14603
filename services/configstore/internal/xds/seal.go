package xds

import (
	"fmt"
	"maps"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/services/configstore/ads"
)

// validated is what all resources of go-control-plane have.
type validated interface {
	proto.Message
	ValidateAll() error
}

// sealer validates and marshals what has been rendered. Messages that it has
// sealed before, by pointer, it does not look at again.
type sealer struct {
	resources map[string]*memo[*ads.Resource] // by type
	routes    map[*routev3.Route][]byte       // as field `routes` of a VirtualHost
}

// The numbers of fields that are written by hand.
const (
	hostsOfConfiguration = 2
	routesOfHost         = 3
)

// seal returns resources by type.
func (s *sealer) seal(r *rendering) (map[string][]*ads.Resource, error) {
	if err := r.closed(); err != nil {
		return nil, err
	}
	sealed := make(map[string][]*ads.Resource)
	for _, kind := range ads.Types() {
		for name, message := range r.resources(kind) {
			one, err := s.memo(kind).of(name, [2]any{message}, func() (*ads.Resource, error) { return s.resource(kind, name, message) })
			if err != nil {
				return nil, fmt.Errorf("resource %q: %w", name, err)
			}
			sealed[kind] = append(sealed[kind], one)
		}
		s.memo(kind).turn()
	}
	return sealed, nil
}

func (s *sealer) memo(kind string) *memo[*ads.Resource] {
	if s.resources == nil {
		s.resources = make(map[string]*memo[*ads.Resource])
	}
	if s.resources[kind] == nil {
		s.resources[kind] = new(memo[*ads.Resource])
	}
	return s.resources[kind]
}

func (s *sealer) resource(kind, name string, message validated) (*ads.Resource, error) {
	var body []byte
	var err error
	if routes, is := message.(*routev3.RouteConfiguration); is {
		body, err = s.configuration(routes)
	} else {
		body, err = marshal(message)
	}
	if err != nil {
		return nil, err
	}
	return ads.NewResource(kind, name, body), nil
}

func marshal(message validated) ([]byte, error) {
	if err := message.ValidateAll(); err != nil {
		return nil, err
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(message)
}

// configuration joins the bytes of routes, of which a host has thousands and a
// change touches one.
func (s *sealer) configuration(c *routev3.RouteConfiguration) ([]byte, error) {
	used := make(map[*routev3.Route][]byte, len(s.routes))
	defer func() { s.keep(c.GetName(), used) }()

	hosts := c.VirtualHosts
	c.VirtualHosts = nil
	body, err := marshal(c)
	c.VirtualHosts = hosts
	if err != nil {
		return nil, err
	}
	for _, host := range hosts {
		routes := host.Routes
		host.Routes = nil
		inner, err := marshal(host)
		host.Routes = routes
		if err != nil {
			return nil, fmt.Errorf("host %q: %w", host.GetName(), err)
		}
		for _, route := range routes {
			raw, err := s.route(route, used)
			if err != nil {
				return nil, fmt.Errorf("route %q: %w", route.GetName(), err)
			}
			inner = append(inner, raw...)
		}
		body = protowire.AppendTag(body, hostsOfConfiguration, protowire.BytesType)
		body = protowire.AppendBytes(body, inner)
	}
	return body, nil
}

// keep remembers bytes. The edge has every route there is: what it does not use
// is forgotten.
func (s *sealer) keep(name string, used map[*routev3.Route][]byte) {
	if name == edge || s.routes == nil {
		s.routes = used
	} else {
		maps.Copy(s.routes, used)
	}
}

func (s *sealer) route(route *routev3.Route, used map[*routev3.Route][]byte) ([]byte, error) {
	if raw, found := used[route]; found {
		return raw, nil
	}
	raw, found := s.routes[route]
	if !found {
		body, err := marshal(route)
		if err != nil {
			return nil, err
		}
		raw = protowire.AppendBytes(protowire.AppendTag(nil, routesOfHost, protowire.BytesType), body)
	}
	used[route] = raw
	return raw, nil
}
