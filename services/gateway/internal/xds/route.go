package xds

import (
	"errors"
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/backlot-video/backlot/kit/urlpath"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

func decodeRoutes(rc *routev3.RouteConfiguration) ([]edge.Host, error) {
	if err := only(rc, "name virtual_hosts ignore_port_in_host_matching"); err != nil {
		return nil, err
	}
	hosts := make([]edge.Host, 0, len(rc.GetVirtualHosts()))
	for _, vh := range rc.GetVirtualHosts() {
		if err := only(vh, "name domains routes"); err != nil {
			return nil, fmt.Errorf("host %q: %w", vh.GetName(), err)
		}
		host := edge.Host{Routes: make([]edge.Route, 0, len(vh.GetRoutes()))}
		for _, domain := range vh.GetDomains() {
			host.Domains = append(host.Domains, strings.ToLower(domain))
		}
		for _, r := range vh.GetRoutes() {
			route, err := decodeRoute(r)
			if err != nil {
				return nil, fmt.Errorf("route %q: %w", r.GetName(), err)
			}
			host.Routes = append(host.Routes, route)
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}

func decodeRoute(r *routev3.Route) (edge.Route, error) {
	route := edge.Route{Name: r.GetName()}
	err := first(
		only(r, "name match route redirect direct_response non_forwarding_action metadata typed_per_filter_config "+
			"request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove"),
		decodeMatch(r.GetMatch(), &route),
		decodeTarget(r, &route),
	)
	if err != nil {
		return route, err
	}
	route.Policy, err = routePolicy(r)
	return route, err
}

func decodeMatch(m *routev3.RouteMatch, route *edge.Route) error {
	if err := only(m, "prefix path safe_regex headers query_parameters case_sensitive"); err != nil {
		return err
	}
	if sensitive := m.GetCaseSensitive(); sensitive != nil && !sensitive.GetValue() {
		return errors.New("match: case_sensitive: false is not supported")
	}
	switch match := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Path:
		route.Path, route.Exact = match.Path, true
	case *routev3.RouteMatch_Prefix:
		route.Path = match.Prefix
	case *routev3.RouteMatch_SafeRegex:
		template, err := urlpath.FromRegexp(match.SafeRegex.GetRegex())
		if err != nil {
			return fmt.Errorf("match: safe_regex: %q %w", match.SafeRegex.GetRegex(), err)
		}
		route.Path, route.Template = template.String(), true
	default:
		return errors.New("match: has no path")
	}
	for _, header := range m.GetHeaders() {
		if err := decodeHeader(header, route); err != nil {
			return fmt.Errorf("match: header %q: %w", header.GetName(), err)
		}
	}
	for _, parameter := range m.GetQueryParameters() {
		condition := edge.HeaderMatch{Name: parameter.GetName(), Present: parameter.GetPresentMatch()}
		err := first(only(parameter, "name string_match present_match"), decodeString(parameter.GetStringMatch(), &condition))
		if err != nil {
			return fmt.Errorf("match: query parameter %q: %w", parameter.GetName(), err)
		}
		route.Queries = append(route.Queries, condition)
	}
	return nil
}

func decodeHeader(h *routev3.HeaderMatcher, route *edge.Route) error {
	if err := only(h, "name string_match present_match invert_match"); err != nil {
		return err
	}
	if h.GetName() == ":method" && !h.GetInvertMatch() {
		methods, err := decodeMethods(h.GetStringMatch())
		if len(route.Methods) > 0 {
			return errors.New("there are two conditions on the method")
		}
		route.Methods = methods
		return err
	}
	if strings.HasPrefix(h.GetName(), ":") {
		return errors.New("is not supported")
	}
	condition := edge.HeaderMatch{Name: h.GetName(), Present: h.GetPresentMatch(), Invert: h.GetInvertMatch()}
	if err := decodeString(h.GetStringMatch(), &condition); err != nil {
		return err
	}
	route.Headers = append(route.Headers, condition)
	return nil
}

// decodeMethods reads one method, or `GET|HEAD`.
func decodeMethods(text *matcherv3.StringMatcher) ([]string, error) {
	if exact := text.GetExact(); exact != "" {
		return []string{exact}, nil
	}
	regex := strings.Trim(text.GetSafeRegex().GetRegex(), "^$()")
	if regex == "" || strings.ContainsFunc(regex, func(c rune) bool { return (c < 'A' || c > 'Z') && c != '|' }) {
		return nil, fmt.Errorf("match %v is not supported", text)
	}
	return strings.Split(regex, "|"), nil
}

func decodeString(text *matcherv3.StringMatcher, condition *edge.HeaderMatch) error {
	if text == nil {
		if !condition.Present {
			return errors.New("has no match")
		}
		return nil
	}
	condition.Exact, condition.Prefix, condition.Suffix = text.GetExact(), text.GetPrefix(), text.GetSuffix()
	condition.Regex = text.GetSafeRegex().GetRegex()
	if condition.Exact+condition.Prefix+condition.Suffix+condition.Regex == "" {
		return fmt.Errorf("match %v is not supported", text)
	}
	return only(text, "exact prefix suffix safe_regex")
}

func decodeTarget(r *routev3.Route, route *edge.Route) error {
	switch action := r.GetAction().(type) {
	case *routev3.Route_Route:
		return decodeAction(action.Route, route)
	case *routev3.Route_Redirect:
		return decodeRedirect(action.Redirect, route)
	case *routev3.Route_DirectResponse:
		return decodeAnswer(r, action.DirectResponse, route)
	}
	raw, found := r.GetMetadata().GetTypedFilterMetadata()[targetMetadata]
	if !found {
		return fmt.Errorf("action %T is not supported", r.GetAction())
	}
	target := new(gatewayv1.RouteTarget)
	if err := raw.UnmarshalTo(target); err != nil {
		return err
	}
	switch t := target.GetTarget().(type) {
	case *gatewayv1.RouteTarget_Media:
		route.Target, route.Bucket = edge.ToMedia, t.Media.GetBucket()
		if route.Bucket == "" {
			route.Bucket = "media"
		}
	case *gatewayv1.RouteTarget_Console:
		route.Target = edge.ToConsole
	default:
		return errors.New("target is not supported")
	}
	return nil
}

func decodeAction(a *routev3.RouteAction, route *edge.Route) error {
	err := only(a, "cluster weighted_clusters prefix_rewrite regex_rewrite host_rewrite_literal timeout idle_timeout retry_policy "+
		"request_mirror_policies hash_policy hedge_policy max_stream_duration")
	if err != nil {
		return err
	}
	route.Cluster, route.PrefixRewrite, route.HostRewrite = a.GetCluster(), a.GetPrefixRewrite(), a.GetHostRewriteLiteral()
	for _, part := range a.GetWeightedClusters().GetClusters() {
		one, err := decodePart(part)
		if err != nil {
			return fmt.Errorf("weighted_clusters: %q: %w", part.GetName(), err)
		}
		route.Split = append(route.Split, one)
	}
	if err := only(a.GetWeightedClusters(), "clusters use_hash_policy"); err != nil {
		return err
	}
	for _, mirror := range a.GetRequestMirrorPolicies() {
		share, err := perMillion(mirror.GetRuntimeFraction())
		if err := first(only(mirror, "cluster runtime_fraction"), err); err != nil {
			return fmt.Errorf("request_mirror_policies: %w", err)
		}
		route.Mirrors = append(route.Mirrors, edge.Mirror{Cluster: mirror.GetCluster(), PartsPerMillion: share})
	}
	return decodePathRewrite(a.GetRegexRewrite(), route)
}

func decodePart(part *routev3.WeightedCluster_ClusterWeight) (edge.WeightedCluster, error) {
	one := edge.WeightedCluster{Cluster: part.GetName(), Weight: part.GetWeight().GetValue()}
	err := only(part, "name weight request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove")
	if err != nil {
		return one, err
	}
	if one.RequestHeaders, err = decodeEdits(part.GetRequestHeadersToAdd(), part.GetRequestHeadersToRemove()); err != nil {
		return one, err
	}
	one.ResponseHeaders, err = decodeEdits(part.GetResponseHeadersToAdd(), part.GetResponseHeadersToRemove())
	return one, err
}

// perMillion reads a share; none means all.
func perMillion(f *corev3.RuntimeFractionalPercent) (uint32, error) {
	if f == nil {
		return 1_000_000, nil
	}
	if err := only(f, "default_value"); err != nil {
		return 0, err
	}
	of := map[typev3.FractionalPercent_DenominatorType]uint32{
		typev3.FractionalPercent_HUNDRED: 10_000, typev3.FractionalPercent_TEN_THOUSAND: 100, typev3.FractionalPercent_MILLION: 1,
	}[f.GetDefaultValue().GetDenominator()]
	return uint32(min(uint64(f.GetDefaultValue().GetNumerator())*uint64(of), 1_000_000)), nil
}

func decodePathRewrite(rewrite *matcherv3.RegexMatchAndSubstitute, route *edge.Route) error {
	if rewrite == nil {
		return nil
	}
	template, err := urlpath.Parse(route.Path)
	if err != nil || !route.Template || rewrite.GetPattern().GetRegex() != template.Regexp() {
		return errors.New("regex_rewrite: pattern is not the regular expression of the route's path template")
	}
	if route.PathRewrite, err = template.FromSubstitution(rewrite.GetSubstitution()); err != nil {
		return fmt.Errorf("regex_rewrite: substitution %w", err)
	}
	return nil
}

func decodeRedirect(a *routev3.RedirectAction, route *edge.Route) error {
	err := only(a, "https_redirect scheme_redirect host_redirect port_redirect path_redirect prefix_rewrite response_code strip_query")
	if err != nil {
		return err
	}
	redirect := &edge.Redirect{
		Scheme: a.GetSchemeRedirect(), Host: a.GetHostRedirect(), Port: a.GetPortRedirect(), Path: a.GetPathRedirect(),
		PrefixRewrite: a.GetPrefixRewrite(), StripQuery: a.GetStripQuery(),
		Status: map[routev3.RedirectAction_RedirectResponseCode]int{
			routev3.RedirectAction_MOVED_PERMANENTLY: 301, routev3.RedirectAction_FOUND: 302, routev3.RedirectAction_SEE_OTHER: 303,
			routev3.RedirectAction_TEMPORARY_REDIRECT: 307, routev3.RedirectAction_PERMANENT_REDIRECT: 308,
		}[a.GetResponseCode()],
	}
	if a.GetHttpsRedirect() {
		redirect.Scheme = "https"
	}
	route.Target, route.Redirect = edge.ToRedirect, redirect
	return nil
}

// decodeAnswer: the content type is the first field that the route adds.
func decodeAnswer(r *routev3.Route, a *routev3.DirectResponseAction, route *edge.Route) error {
	if err := first(only(a, "status body"), only(a.GetBody(), "inline_string inline_bytes")); err != nil {
		return err
	}
	answer := &edge.Answer{Status: int(a.GetStatus()), ContentType: "text/plain; charset=utf-8", Body: inline(a.GetBody())}
	if add := r.GetResponseHeadersToAdd(); len(add) > 0 && strings.EqualFold(add[0].GetHeader().GetKey(), "content-type") {
		answer.ContentType = add[0].GetHeader().GetValue()
	}
	route.Target, route.Answer = edge.ToAnswer, answer
	return nil
}

// inline is the bytes that stand in the message itself.
func inline(source *corev3.DataSource) []byte {
	if bytes := source.GetInlineBytes(); len(bytes) > 0 {
		return bytes
	}
	return []byte(source.GetInlineString())
}
