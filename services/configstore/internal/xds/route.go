package xds

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/backlot-video/backlot/kit/urlpath"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
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

	configuration := &routev3.RouteConfiguration{Name: name, IgnorePortInHostMatching: true}
	for _, domain := range slices.Compact(domains) {
		host := &routev3.VirtualHost{Name: domain, Domains: []string{domain}}
		for _, one := range all {
			if !fits(one.route.GetHosts(), domain) {
				continue
			}
			rendered, err := r.routes.of(one.id.resource(), [2]any{one.route}, func() (*routev3.Route, error) { return renderRoute(one) })
			if err != nil {
				return nil, err
			}
			host.Routes = append(host.Routes, rendered)
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

// compareRoutes puts the more specific first: exact path, template with the
// most text, longest prefix; more conditions on header and query, some methods
// rather than all, some hosts rather than all; then by name.
func compareRoutes(a, b namedRoute) int {
	return cmp.Or(
		cmp.Compare(len(b.route.GetPath().GetExact()), len(a.route.GetPath().GetExact())),
		cmp.Compare(templateText(b.route), templateText(a.route)),
		cmp.Compare(len(b.route.GetPath().GetPrefix()), len(a.route.GetPath().GetPrefix())),
		cmp.Compare(conditions(b.route), conditions(a.route)),
		cmp.Compare(len(b.route.GetMethods()), len(a.route.GetMethods())),
		cmp.Compare(len(b.route.GetHosts()), len(a.route.GetHosts())),
		cmp.Compare(a.id.resource(), b.id.resource()),
	)
}

// templateText is how specific a template is, 0 for other paths: two for each
// byte of text, one more where the last segment is not `{name...}`.
func templateText(r *gatewayv1.Route) int {
	text := r.GetPath().GetTemplate()
	if text == "" {
		return 0
	}
	template, err := urlpath.Parse(text)
	if err != nil {
		return 1
	}
	score := 2
	for _, segment := range template.Segments {
		switch segment.Kind {
		case urlpath.Literal:
			score += 2 * (len(segment.Text) + 1)
		case urlpath.Capture:
			score += 2
		case urlpath.Rest:
			score--
		}
	}
	return score
}

func conditions(r *gatewayv1.Route) int { return len(r.GetHeaders()) + len(r.GetQueries()) }

// renderRoute makes one xDS route.
func renderRoute(one namedRoute) (*routev3.Route, error) {
	match, err := renderMatch(one.route)
	if err != nil {
		return nil, fmt.Errorf("route %q: %w", one.id.resource(), err)
	}
	route := &routev3.Route{Name: one.id.resource(), Match: match}
	if err := setTarget(route, one); err != nil {
		return nil, err
	}
	setPolicy(route, one.route.GetPolicy())
	route.TypedPerFilterConfig, err = filterConfigs(one.route.GetPolicy())
	return route, err
}

func renderMatch(r *gatewayv1.Route) (*routev3.RouteMatch, error) {
	match := new(routev3.RouteMatch)
	switch path := r.GetPath().GetMatch().(type) {
	case *gatewayv1.PathMatch_Exact:
		match.PathSpecifier = &routev3.RouteMatch_Path{Path: path.Exact}
	case *gatewayv1.PathMatch_Template:
		template, err := urlpath.Parse(path.Template)
		if err != nil {
			return nil, err
		}
		// A regular expression of one shape, because gRPC clients refuse
		// Envoy's own templates.
		match.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: regex(template.Regexp())}
	default:
		match.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: r.GetPath().GetPrefix()}
	}
	if methods := r.GetMethods(); len(methods) == 1 {
		match.Headers = append(match.Headers, headerMatcher(":method", exactly(methods[0])))
	} else if len(methods) > 1 {
		all := &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(strings.Join(methods, "|"))}
		match.Headers = append(match.Headers, headerMatcher(":method", &matcherv3.StringMatcher{MatchPattern: all}))
	}
	for _, condition := range r.GetHeaders() {
		matcher := headerMatcher(strings.ToLower(condition.GetName()), stringMatcher(condition))
		if condition.GetPresent() {
			matcher.HeaderMatchSpecifier = &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}
		}
		matcher.InvertMatch = condition.GetInvert()
		match.Headers = append(match.Headers, matcher)
	}
	for _, condition := range r.GetQueries() {
		matcher := &routev3.QueryParameterMatcher{
			Name:                         condition.GetName(),
			QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_StringMatch{StringMatch: stringMatcher(condition)},
		}
		if condition.GetPresent() {
			matcher.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_PresentMatch{PresentMatch: true}
		}
		match.QueryParameters = append(match.QueryParameters, matcher)
	}
	return match, nil
}

func headerMatcher(name string, text *matcherv3.StringMatcher) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{
		Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: text},
	}
}

// stringMatcher is nil for a condition of presence.
func stringMatcher(c *gatewayv1.ValueMatch) *matcherv3.StringMatcher {
	switch match := c.GetMatch().(type) {
	case *gatewayv1.ValueMatch_Exact:
		return exactly(match.Exact)
	case *gatewayv1.ValueMatch_Prefix:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: match.Prefix}}
	case *gatewayv1.ValueMatch_Suffix:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: match.Suffix}}
	case *gatewayv1.ValueMatch_Regex:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(match.Regex)}}
	default:
		return nil
	}
}

func exactly(text string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: text}}
}

func regex(expression string) *matcherv3.RegexMatcher {
	return &matcherv3.RegexMatcher{Regex: expression}
}
