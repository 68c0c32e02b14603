package xds

import (
	"cmp"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// The names of our typed extensions on routes.
const (
	// policyConfig is the per-filter configuration of a route: a
	// gateway.v1.RoutePolicy.
	policyConfig = "backlot.gateway.policy"
	// targetMetadata is the typed filter metadata of a route without cluster:
	// a gateway.v1.RouteTarget.
	targetMetadata = "backlot.gateway.target"
)

// anyHost is the domain of requests that no other domain fits.
const anyHost = "*"

type namedRoute struct {
	id    id
	route *gatewayv1.Route
}

// renderRoutes makes one virtual host of each domain that a route names, and
// one of all others. A virtual host holds every route that fits its domain,
// the most specific first, because a request is looked up in one only.
func (r *renderer) renderRoutes(name string, routes map[id]*gatewayv1.Route) (*routev3.RouteConfiguration, error) {
	defer r.routes.turn()
	all := make([]namedRoute, 0, len(routes))
	domains := []string{anyHost}
	for id, route := range routes {
		all = append(all, namedRoute{id, route})
		domains = append(domains, route.GetHosts()...)
	}
	slices.SortFunc(all, compareRoutes)
	slices.Sort(domains)

	configuration := &routev3.RouteConfiguration{Name: name}
	for _, domain := range slices.Compact(domains) {
		host := &routev3.VirtualHost{Name: domain, Domains: []string{domain}}
		for _, one := range all {
			if !fits(one.route.GetHosts(), domain) {
				continue
			}
			rendered, err := r.routes.of(one.id.resource(), [2]any{one.route}, func() ([]*routev3.Route, error) { return renderRoute(one) })
			if err != nil {
				return nil, err
			}
			host.Routes = append(host.Routes, rendered...)
		}
		configuration.VirtualHosts = append(configuration.VirtualHosts, host)
	}
	return configuration, nil
}

// fits tells whether a route of these hosts serves a domain, which may be a
// wildcard itself.
func fits(hosts []string, domain string) bool {
	return len(hosts) == 0 || slices.ContainsFunc(hosts, func(host string) bool {
		if suffix, wildcard := strings.CutPrefix(host, anyHost); wildcard {
			return strings.HasSuffix(strings.TrimPrefix(domain, anyHost), suffix)
		}
		return host == domain
	})
}

// compareRoutes puts the more specific first: exact path, longest prefix, some
// methods rather than all, some hosts rather than all; then by name.
func compareRoutes(a, b namedRoute) int {
	return cmp.Or(
		cmp.Compare(len(b.route.GetPath().GetExact()), len(a.route.GetPath().GetExact())),
		cmp.Compare(len(b.route.GetPath().GetPrefix()), len(a.route.GetPath().GetPrefix())),
		cmp.Compare(len(b.route.GetMethods()), len(a.route.GetMethods())),
		cmp.Compare(len(b.route.GetHosts()), len(a.route.GetHosts())),
		cmp.Compare(a.id.resource(), b.id.resource()),
	)
}

// renderRoute makes one xDS route, or one for each method where there are
// some, all of the same name.
func renderRoute(one namedRoute) ([]*routev3.Route, error) {
	policy := one.route.GetPolicy()
	if policy == nil {
		policy = new(gatewayv1.RoutePolicy)
	}
	packed, err := typed(policy)
	if err != nil {
		return nil, err
	}
	methods := one.route.GetMethods()
	if len(methods) == 0 {
		methods = []string{""}
	}
	rendered := make([]*routev3.Route, 0, len(methods))
	for _, method := range methods {
		route := &routev3.Route{
			Name:                 one.id.resource(),
			Match:                renderMatch(one.route.GetPath(), method),
			TypedPerFilterConfig: map[string]*anypb.Any{policyConfig: packed},
		}
		if err := setTarget(route, one); err != nil {
			return nil, err
		}
		rendered = append(rendered, route)
	}
	return rendered, nil
}

func renderMatch(path *gatewayv1.PathMatch, method string) *routev3.RouteMatch {
	match := new(routev3.RouteMatch)
	if exact := path.GetExact(); exact != "" {
		match.PathSpecifier = &routev3.RouteMatch_Path{Path: exact}
	} else {
		match.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: path.GetPrefix()}
	}
	if method != "" {
		match.Headers = []*routev3.HeaderMatcher{{
			Name: ":method",
			HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_Exact{Exact: method},
			}},
		}}
	}
	return match
}

func setTarget(route *routev3.Route, one namedRoute) error {
	target := new(gatewayv1.RouteTarget)
	switch to := one.route.GetTarget().(type) {
	case *gatewayv1.Route_Cluster:
		route.Action = &routev3.Route_Route{Route: renderAction(one)}
		return nil
	case *gatewayv1.Route_Media:
		target.Target = &gatewayv1.RouteTarget_Media{Media: to.Media}
	case *gatewayv1.Route_Console:
		target.Target = &gatewayv1.RouteTarget_Console{Console: to.Console}
	}
	packed, err := typed(target)
	if err != nil {
		return err
	}
	route.Action = &routev3.Route_NonForwardingAction{NonForwardingAction: &routev3.NonForwardingAction{}}
	route.Metadata = &corev3.Metadata{TypedFilterMetadata: map[string]*anypb.Any{targetMetadata: packed}}
	return nil
}

func renderAction(one namedRoute) *routev3.RouteAction {
	policy := one.route.GetPolicy()
	action := &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{
			Cluster: id{one.id.namespace, one.route.GetCluster()}.resource(),
		},
		PrefixRewrite: one.route.GetPrefixRewrite(),
		Timeout:       policy.GetTimeout(),
	}
	if tries := policy.GetMaxAttempts(); tries > 1 {
		action.RetryPolicy = &routev3.RetryPolicy{NumRetries: wrapperspb.UInt32(tries - 1)}
	}
	return action
}
