package xds

import (
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backlot-video/backlot/kit/urlpath"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// targetMetadata is the typed filter metadata of a route without cluster: a
// gateway.v1.RouteTarget.
const targetMetadata = "backlot.gateway.target"

// What routes get that set nothing: the control plane puts it in, so that
// every client acts alike.
const (
	defaultTimeout     = 15 * time.Second
	defaultIdleTimeout = 5 * time.Minute
	defaultTries       = 2
	shortestBackoff    = 25 * time.Millisecond
	longestBackoff     = 250 * time.Millisecond
	defaultContentType = "text/plain; charset=utf-8"
)

func setTarget(route *routev3.Route, one namedRoute) error {
	target := new(gatewayv1.RouteTarget)
	switch to := one.route.GetTarget().(type) {
	case *gatewayv1.Route_Cluster, *gatewayv1.Route_Split:
		route.Action = &routev3.Route_Route{Route: renderAction(one)}
		return nil
	case *gatewayv1.Route_Redirect:
		route.Action = &routev3.Route_Redirect{Redirect: renderRedirect(to.Redirect)}
		return nil
	case *gatewayv1.Route_Answer:
		route.Action = &routev3.Route_DirectResponse{DirectResponse: renderAnswer(to.Answer)}
		route.ResponseHeadersToAdd = []*corev3.HeaderValueOption{contentType(to.Answer)}
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

func renderRedirect(to *gatewayv1.Redirect) *routev3.RedirectAction {
	redirect := &routev3.RedirectAction{
		HostRedirect: to.GetHost(), PortRedirect: to.GetPort(), StripQuery: to.GetStripQuery(),
		ResponseCode: map[uint32]routev3.RedirectAction_RedirectResponseCode{
			302: routev3.RedirectAction_FOUND, 303: routev3.RedirectAction_SEE_OTHER,
			307: routev3.RedirectAction_TEMPORARY_REDIRECT, 308: routev3.RedirectAction_PERMANENT_REDIRECT,
		}[to.GetStatus()],
	}
	if scheme := to.GetScheme(); scheme != "" {
		redirect.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: scheme}
	}
	switch {
	case to.GetPath() != "":
		redirect.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: to.GetPath()}
	case to.GetPrefixRewrite() != "":
		redirect.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: to.GetPrefixRewrite()}
	}
	return redirect
}

func renderAnswer(a *gatewayv1.Answer) *routev3.DirectResponseAction {
	answer := &routev3.DirectResponseAction{Status: a.GetStatus()}
	if a.GetBody() != "" {
		answer.Body = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: a.GetBody()}}
	}
	return answer
}

func contentType(a *gatewayv1.Answer) *corev3.HeaderValueOption {
	value := a.GetContentType()
	if value == "" {
		value = defaultContentType
	}
	return headerOption("content-type", value, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD)
}

func renderAction(one namedRoute) *routev3.RouteAction {
	r, policy := one.route, one.route.GetPolicy()
	name := func(cluster string) string { return id{one.id.namespace, cluster}.resource() }
	action := &routev3.RouteAction{
		PrefixRewrite: r.GetPrefixRewrite(),
		Timeout:       orDuration(policy.GetTimeout(), defaultTimeout),
		IdleTimeout:   orDuration(policy.GetIdleTimeout(), defaultIdleTimeout),
		RetryPolicy:   renderRetry(policy),
		HashPolicy:    renderHash(policy.GetHash()),
	}
	if action.GetTimeout().AsDuration() > 0 {
		action.MaxStreamDuration = &routev3.RouteAction_MaxStreamDuration{GrpcTimeoutHeaderMax: action.GetTimeout()}
	}
	if split := r.GetSplit(); split != nil {
		action.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: renderSplit(split, policy, name)}
	} else {
		action.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: name(r.GetCluster())}
	}
	if rewrite := r.GetPathRewrite(); rewrite != "" {
		if template, err := urlpath.Parse(r.GetPath().GetTemplate()); err == nil {
			action.RegexRewrite = &matcherv3.RegexMatchAndSubstitute{
				Pattern: regex(template.Regexp()), Substitution: template.Substitution(rewrite),
			}
		}
	}
	if host := r.GetHostRewrite(); host != "" {
		action.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: host}
	}
	for _, mirror := range r.GetMirrors() {
		action.RequestMirrorPolicies = append(action.RequestMirrorPolicies, &routev3.RouteAction_RequestMirrorPolicy{
			Cluster: name(mirror.GetCluster()), RuntimeFraction: &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{
				Numerator: mirror.GetPartsPerMillion(), Denominator: typev3.FractionalPercent_MILLION,
			}},
		})
	}
	if hedges(policy) {
		action.HedgePolicy = &routev3.HedgePolicy{HedgeOnPerTryTimeout: true}
	}
	return action
}

func renderSplit(split *gatewayv1.Split, policy *gatewayv1.RoutePolicy, name func(string) string) *routev3.WeightedCluster {
	weighted := new(routev3.WeightedCluster)
	for _, part := range split.GetClusters() {
		one := &routev3.WeightedCluster_ClusterWeight{Name: name(part.GetCluster()), Weight: wrapperspb.UInt32(part.GetWeight())}
		one.RequestHeadersToAdd, one.RequestHeadersToRemove = headerOptions(part.GetRequestHeaders())
		one.ResponseHeadersToAdd, one.ResponseHeadersToRemove = headerOptions(part.GetResponseHeaders())
		weighted.Clusters = append(weighted.Clusters, one)
	}
	if len(policy.GetHash()) > 0 {
		weighted.RandomValueSpecifier = &routev3.WeightedCluster_UseHashPolicy{UseHashPolicy: wrapperspb.Bool(true)}
	}
	return weighted
}

func orDuration(set *durationpb.Duration, otherwise time.Duration) *durationpb.Duration {
	if set == nil {
		return durationpb.New(otherwise)
	}
	return set
}

// hedges: Envoy sends a copy at the time limit of a try, so that it can have
// either.
func hedges(p *gatewayv1.RoutePolicy) bool {
	return p.GetHedge() != nil && p.GetTryTimeout() == nil && p.GetMaxAttempts() != 1
}

// safeMethods are those of requests that may be repeated.
const safeMethods = "GET|HEAD|OPTIONS|PUT|DELETE|TRACE"

// renderRetry is nil for a single try.
func renderRetry(p *gatewayv1.RoutePolicy) *routev3.RetryPolicy {
	tries := p.GetMaxAttempts()
	if tries == 0 {
		tries = defaultTries
	}
	if tries == 1 {
		return nil
	}
	on, retry := []string{"connect-failure", "refused-stream"}, p.GetRetry()
	if retry.GetReset_() {
		on = append(on, "reset")
	}
	if len(retry.GetStatuses()) > 0 {
		on = append(on, "retriable-status-codes")
	}
	if slices.Contains(retry.GetStatuses(), 503) {
		on = append(on, "unavailable") // what gRPC calls it
	}
	policy := &routev3.RetryPolicy{
		RetryOn: strings.Join(on, ","), NumRetries: wrapperspb.UInt32(tries - 1), RetriableStatusCodes: retry.GetStatuses(),
		PerTryTimeout: p.GetTryTimeout(),
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: orDuration(retry.GetBackoffMin(), shortestBackoff),
			MaxInterval:  orDuration(retry.GetBackoffMax(), longestBackoff),
		},
	}
	if hedges(p) {
		policy.PerTryTimeout = p.GetHedge().GetAfter()
	}
	if (retry.GetReset_() || len(retry.GetStatuses()) > 0) && !retry.GetNonIdempotent() {
		safe := &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(safeMethods)}
		policy.RetriableRequestHeaders = []*routev3.HeaderMatcher{headerMatcher(":method", &matcherv3.StringMatcher{MatchPattern: safe})}
	}
	return policy
}

// renderHash leaves out who calls, which Envoy does not know.
func renderHash(keys []*gatewayv1.HashKey) []*routev3.RouteAction_HashPolicy {
	var policies []*routev3.RouteAction_HashPolicy
	for _, key := range keys {
		policy := &routev3.RouteAction_HashPolicy{Terminal: true}
		switch part := key.GetPart().(type) {
		case *gatewayv1.HashKey_Header:
			policy.PolicySpecifier = &routev3.RouteAction_HashPolicy_Header_{Header: &routev3.RouteAction_HashPolicy_Header{HeaderName: part.Header}}
		case *gatewayv1.HashKey_Cookie:
			policy.PolicySpecifier = &routev3.RouteAction_HashPolicy_Cookie_{Cookie: &routev3.RouteAction_HashPolicy_Cookie{Name: part.Cookie}}
		case *gatewayv1.HashKey_SourceIp:
			policy.PolicySpecifier = &routev3.RouteAction_HashPolicy_ConnectionProperties_{
				ConnectionProperties: &routev3.RouteAction_HashPolicy_ConnectionProperties{SourceIp: true},
			}
		default:
			continue
		}
		policies = append(policies, policy)
	}
	return policies
}
