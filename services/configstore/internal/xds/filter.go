package xds

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacpolicyv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

const (
	// policyConfig is the per-filter configuration of a route: a
	// gateway.v1.RoutePolicy, which says all; what Envoy has fields for is
	// said in those too.
	policyConfig = "backlot.gateway.policy"

	corsFilter      = "envoy.filters.http.cors"
	rbacFilter      = "envoy.filters.http.rbac"
	rateLimitFilter = "envoy.filters.http.local_ratelimit"
)

// setPolicy puts the policies in that routes of Envoy have themselves.
func setPolicy(route *routev3.Route, p *gatewayv1.RoutePolicy) {
	route.RequestHeadersToAdd, route.RequestHeadersToRemove = headerOptions(p.GetRequestHeaders())
	add, remove := headerOptions(p.GetResponseHeaders())
	route.ResponseHeadersToAdd, route.ResponseHeadersToRemove = append(route.ResponseHeadersToAdd, add...), remove
}

// filterConfigs are a route's configurations of HTTP filters. They are marked
// optional, so that clients without a filter pass over it; but a route that
// only some may call is closed to clients that cannot tell who calls: they
// know Envoy's RBAC, which our gateway takes for nothing where it has the
// policy itself.
func filterConfigs(p *gatewayv1.RoutePolicy) (map[string]*anypb.Any, error) {
	if p == nil {
		p = new(gatewayv1.RoutePolicy)
	}
	messages := map[string]proto.Message{policyConfig: p}
	if cors := p.GetCors(); cors != nil {
		messages[corsFilter] = renderCORS(cors)
	}
	if limit := renderRateLimit(p.GetRateLimits()); limit != nil {
		messages[rateLimitFilter] = limit
	}
	if guarded(p) {
		messages[rbacFilter] = &rbacv3.RBACPerRoute{Rbac: &rbacv3.RBAC{Rules: &rbacpolicyv3.RBAC{Action: rbacpolicyv3.RBAC_ALLOW}}}
	}
	configs := make(map[string]*anypb.Any, len(messages))
	for name, message := range messages {
		inner, err := typed(message)
		if err != nil {
			return nil, err
		}
		if configs[name], err = typed(&routev3.FilterConfig{Config: inner, IsOptional: name != rbacFilter}); err != nil {
			return nil, err
		}
	}
	return configs, nil
}

// guarded tells that not everybody may call.
func guarded(p *gatewayv1.RoutePolicy) bool {
	return len(p.GetPrincipals()) > 0 || len(p.GetAnyOf()) > 0 || p.GetJwt() != nil || p.GetApiKey() != nil || p.GetClientCertificate() != nil ||
		p.GetExternalAuthorization() != nil
}

func renderCORS(c *gatewayv1.Cors) *corsv3.CorsPolicy {
	policy := &corsv3.CorsPolicy{
		AllowMethods: strings.Join(c.GetMethods(), ","), AllowHeaders: strings.Join(c.GetHeaders(), ","),
		ExposeHeaders: strings.Join(c.GetExposeHeaders(), ","), AllowCredentials: wrapperspb.Bool(c.GetCredentials()),
	}
	if c.GetMaxAge() != nil {
		policy.MaxAge = strconv.FormatInt(int64(c.GetMaxAge().AsDuration()/time.Second), 10)
	}
	for _, origin := range c.GetOrigins() {
		matcher := exactly(origin)
		if scheme, host, wildcard := strings.Cut(origin, "://*."); wildcard {
			expression := scheme + `://[^/:]+\.` + regexp.QuoteMeta(host)
			matcher.MatchPattern = &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(expression)}
		}
		policy.AllowOriginStringMatch = append(policy.AllowOriginStringMatch, matcher)
	}
	return policy
}

// shortestFill is the shortest interval at which Envoy fills a bucket.
const shortestFill = 50 * time.Millisecond

// renderRateLimit is the first limit that is the same for all callers: Envoy
// keeps one bucket for a route.
func renderRateLimit(limits []*gatewayv1.RateLimit) *ratelimitv3.LocalRateLimit {
	for _, limit := range limits {
		if len(limit.GetKey()) > 0 || limit.GetGlobal() {
			continue
		}
		burst := max(limit.GetBurst(), limit.GetRate(), 1)
		if limit.GetBurst() > 0 {
			burst = max(limit.GetBurst(), 1)
		}
		// As few tokens at once as the interval allows.
		tokens := math.Ceil(limit.GetRate() * shortestFill.Seconds())
		interval := time.Duration(tokens / limit.GetRate() * float64(time.Second))
		all := &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{Numerator: 100}}
		return &ratelimitv3.LocalRateLimit{
			StatPrefix: limit.GetName(), FilterEnabled: all, FilterEnforced: all,
			TokenBucket: &typev3.TokenBucket{
				MaxTokens: uint32(math.Ceil(burst)), TokensPerFill: wrapperspb.UInt32(uint32(tokens)),
				FillInterval: durationpb.New(max(interval, shortestFill)),
			},
		}
	}
	return nil
}

// headerOptions are header edits in Envoy's form.
func headerOptions(e *gatewayv1.HeaderEdits) (add []*corev3.HeaderValueOption, remove []string) {
	for _, one := range e.GetSet() {
		add = append(add, headerOption(one.GetName(), formatted.Replace(one.GetValue()), corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
	}
	for _, one := range e.GetAdd() {
		add = append(add, headerOption(one.GetName(), formatted.Replace(one.GetValue()), corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD))
	}
	return add, e.GetRemove()
}

func headerOption(name, value string, how corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header: &corev3.HeaderValue{Key: name, Value: value}, AppendAction: how, KeepEmptyValue: true,
	}
}

// formatted puts Envoy's placeholders for ours; %REQ(name)% and %PROTOCOL% are
// the same. Who calls is known to our gateway only.
var formatted = strings.NewReplacer(
	"%CLIENT_IP%", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
	"%REQUEST_ID%", "%STREAM_ID%",
	"%SUBJECT%", "%DYNAMIC_METADATA(backlot.gateway:subject)%",
	"%ROUTE%", "%ROUTE_NAME%",
)
