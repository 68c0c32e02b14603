package xds

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// routePolicy is our own policy where the control plane has sent it, which
// then says all; else what Envoy's fields say.
func routePolicy(r *routev3.Route) (edge.Policy, error) {
	configs := r.GetTypedPerFilterConfig()
	if packed, found := configs[policyFilter]; found {
		config, _, err := unwrap(packed)
		if err != nil {
			return edge.Policy{}, err
		}
		policy := new(gatewayv1.RoutePolicy)
		if err := config.UnmarshalTo(policy); err != nil {
			return edge.Policy{}, fmt.Errorf("filter %s: %w", policyFilter, err)
		}
		namespace := ""
		if before, _, found := strings.Cut(r.GetName(), "/"); found {
			namespace = before + "/"
		}
		return decodePolicy(policy, namespace), nil
	}
	policy, err := envoyPolicy(r)
	for name, packed := range configs {
		config, optional, fault := unwrap(packed)
		switch {
		case fault != nil:
			err = fault
		case name == corsFilter:
			policy.CORS, fault = decodeCORS(config)
			err = first(err, fault)
		case !optional:
			err = first(err, fmt.Errorf("filter %s is not supported, and not optional", name))
		}
	}
	return policy, err
}

// unwrap takes a filter's configuration out of the message that marks it as
// optional.
func unwrap(packed *anypb.Any) (config *anypb.Any, optional bool, err error) {
	wrapper := new(routev3.FilterConfig)
	if !packed.MessageIs(wrapper) {
		return packed, false, nil
	}
	if err := unpack(packed, wrapper, "config is_optional"); err != nil {
		return nil, false, err
	}
	return wrapper.GetConfig(), wrapper.GetIsOptional(), nil
}

// Defaults that package edge leaves to the configuration.
const (
	defaultAuthzTimeout = time.Second
	defaultAPIKey       = "X-API-Key"
	defaultMinLength    = 1 << 10
	defaultMaxKeys      = 100_000
)

// decodePolicy makes a policy whole: defaults are filled in. namespace is put
// before the names of clusters and secrets.
func decodePolicy(p *gatewayv1.RoutePolicy, namespace string) edge.Policy {
	policy := edge.Policy{
		Principals: p.GetPrincipals(), Timeout: orDuration(p.GetTimeout(), edge.DefaultTimeout), TryTimeout: p.GetTryTimeout().AsDuration(),
		IdleTimeout: orDuration(p.GetIdleTimeout(), edge.DefaultIdleTimeout), MaxRequest: edge.DefaultMaxRequest,
		MaxAttempts: orInt(p.GetMaxAttempts(), edge.DefaultMaxAttempts),
		Hash:        decodeKeys(p.GetHash()), NoAccessLog: p.GetNoAccessLog(),
		RequestHeaders: headerEdits(p.GetRequestHeaders()), ResponseHeaders: headerEdits(p.GetResponseHeaders()),
	}
	if p.GetMaxRequestBytes() > 0 {
		policy.MaxRequest = int64(min(p.GetMaxRequestBytes(), math.MaxInt64>>1))
	}
	if r := p.GetRetry(); r != nil {
		policy.Retry = &edge.Retry{
			Statuses: ints(r.GetStatuses()), Reset: r.GetReset_(), NonIdempotent: r.GetNonIdempotent(),
			BackoffMin: r.GetBackoffMin().AsDuration(), BackoffMax: r.GetBackoffMax().AsDuration(), MaxBody: int64(r.GetMaxBodyBytes()),
		}
	}
	if h := p.GetHedge(); h != nil {
		policy.Hedge = &edge.Hedge{After: h.GetAfter().AsDuration(), Max: orInt(h.GetMax(), 1)}
	}
	if c := p.GetCors(); c != nil {
		policy.CORS = &edge.CORS{
			Origins: c.GetOrigins(), Methods: c.GetMethods(), Headers: c.GetHeaders(), ExposeHeaders: c.GetExposeHeaders(),
			Credentials: c.GetCredentials(), MaxAge: c.GetMaxAge().AsDuration(),
		}
	}
	decodeAuthentication(p, &policy, namespace)
	for _, limit := range p.GetRateLimits() {
		one := edge.RateLimit{
			Name: limit.GetName(), Key: decodeKeys(limit.GetKey()), Rate: limit.GetRate(), Burst: limit.GetBurst(),
			Global: limit.GetGlobal(), Strict: limit.GetStrict(), MaxKeys: orInt(limit.GetMaxKeys(), defaultMaxKeys),
		}
		if one.Burst == 0 {
			one.Burst = one.Rate
		}
		one.Burst = max(one.Burst, 1)
		policy.RateLimits = append(policy.RateLimits, one)
	}
	if c := p.GetCompression(); c != nil {
		policy.Compress = &edge.Compression{MinLength: int64(c.GetMinLength()), ContentTypes: c.GetContentTypes()}
		if policy.Compress.MinLength == 0 {
			policy.Compress.MinLength = defaultMinLength
		}
	}
	return policy
}

func decodeAuthentication(p *gatewayv1.RoutePolicy, policy *edge.Policy, namespace string) {
	policy.JWT = decodeJWT(p.GetJwt(), namespace)
	policy.APIKey = decodeAPIKey(p.GetApiKey(), namespace)
	policy.ClientCert = decodeClientCert(p.GetClientCertificate())
	for _, one := range p.GetAnyOf() {
		policy.AnyOf = append(policy.AnyOf, edge.Authentication{
			JWT: decodeJWT(one.GetJwt(), namespace), APIKey: decodeAPIKey(one.GetApiKey(), namespace),
			ClientCert: decodeClientCert(one.GetClientCertificate()),
		})
	}
	if e := p.GetExternalAuthorization(); e != nil {
		policy.ExtAuthz = &edge.ExtAuthz{
			Cluster: namespace + e.GetCluster(), Timeout: orDuration(e.GetTimeout(), defaultAuthzTimeout), AllowDown: e.GetAllowDown(),
			Context: e.GetContext(), MaxBody: int(e.GetMaxBodyBytes()), Headers: e.GetHeaders(),
		}
	}
}

func decodeJWT(j *gatewayv1.Jwt, namespace string) *edge.JWT {
	if j == nil {
		return nil
	}
	return &edge.JWT{
		Secret: namespace + j.GetSecret(), Issuer: j.GetIssuer(), Audiences: j.GetAudiences(), Optional: j.GetOptional(),
		Forward: j.GetForward(), Leeway: j.GetLeeway().AsDuration(),
	}
}

func decodeAPIKey(k *gatewayv1.ApiKey, namespace string) *edge.APIKey {
	if k == nil {
		return nil
	}
	return &edge.APIKey{
		Secret: namespace + k.GetSecret(), Header: cmp.Or(k.GetHeader(), defaultAPIKey), Query: k.GetQuery(), Optional: k.GetOptional(),
	}
}

func decodeClientCert(c *gatewayv1.ClientCertificate) *edge.ClientCert {
	if c == nil {
		return nil
	}
	return &edge.ClientCert{Names: c.GetNames()}
}

func decodeKeys(keys []*gatewayv1.HashKey) []edge.HashKey {
	var list []edge.HashKey
	for _, k := range keys {
		list = append(list, edge.HashKey{Header: k.GetHeader(), Cookie: k.GetCookie(), SourceIP: k.GetSourceIp(), Subject: k.GetSubject()})
	}
	return list
}

func headerEdits(e *gatewayv1.HeaderEdits) edge.HeaderEdits {
	edits := edge.HeaderEdits{Remove: e.GetRemove()}
	for _, one := range e.GetSet() {
		edits.Set = append(edits.Set, edge.HeaderValue{Name: one.GetName(), Value: one.GetValue()})
	}
	for _, one := range e.GetAdd() {
		edits.Add = append(edits.Add, edge.HeaderValue{Name: one.GetName(), Value: one.GetValue()})
	}
	return edits
}

// envoyPolicy reads what Envoy's routes have of policies themselves.
func envoyPolicy(r *routev3.Route) (policy edge.Policy, err error) {
	policy = decodePolicy(nil, "")
	policy.MaxAttempts = 1
	if policy.RequestHeaders, err = decodeEdits(r.GetRequestHeadersToAdd(), r.GetRequestHeadersToRemove()); err != nil {
		return policy, err
	}
	add := r.GetResponseHeadersToAdd()
	if r.GetDirectResponse() != nil && len(add) > 0 && strings.EqualFold(add[0].GetHeader().GetKey(), "content-type") {
		add = add[1:]
	}
	if policy.ResponseHeaders, err = decodeEdits(add, r.GetResponseHeadersToRemove()); err != nil {
		return policy, err
	}
	a := r.GetRoute()
	if a == nil {
		return policy, nil
	}
	policy.Timeout = orDuration(a.GetTimeout(), edge.DefaultTimeout)
	policy.IdleTimeout = orDuration(a.GetIdleTimeout(), edge.DefaultIdleTimeout)
	for _, hash := range a.GetHashPolicy() {
		key := edge.HashKey{
			Header: hash.GetHeader().GetHeaderName(), Cookie: hash.GetCookie().GetName(), SourceIP: hash.GetConnectionProperties().GetSourceIp(),
		}
		if key == (edge.HashKey{}) || hash.GetCookie().GetTtl() != nil || hash.GetHeader().GetRegexRewrite() != nil {
			return policy, errors.New("hash_policy: is not supported")
		}
		policy.Hash = append(policy.Hash, key)
	}
	return policy, decodeRetry(a, &policy)
}

func decodeRetry(a *routev3.RouteAction, policy *edge.Policy) error {
	r := a.GetRetryPolicy()
	if r == nil {
		return only(a.GetHedgePolicy(), "")
	}
	err := first(
		only(r, "retry_on num_retries per_try_timeout retriable_status_codes retry_back_off retriable_request_headers"),
		only(a.GetHedgePolicy(), "hedge_on_per_try_timeout"),
	)
	if err != nil {
		return fmt.Errorf("retry_policy: %w", err)
	}
	policy.MaxAttempts = 2
	if r.GetNumRetries() != nil {
		policy.MaxAttempts = int(min(r.GetNumRetries().GetValue(), 9)) + 1
	}
	policy.TryTimeout = r.GetPerTryTimeout().AsDuration()
	if a.GetHedgePolicy().GetHedgeOnPerTryTimeout() {
		policy.Hedge, policy.TryTimeout = &edge.Hedge{After: policy.TryTimeout, Max: 1}, 0
	}
	retry := &edge.Retry{
		Statuses:   ints(r.GetRetriableStatusCodes()),
		BackoffMin: r.GetRetryBackOff().GetBaseInterval().AsDuration(), BackoffMax: r.GetRetryBackOff().GetMaxInterval().AsDuration(),
		NonIdempotent: len(r.GetRetriableRequestHeaders()) == 0,
	}
	for _, on := range strings.Split(r.GetRetryOn(), ",") {
		switch strings.TrimSpace(on) {
		case "connect-failure", "refused-stream", "retriable-status-codes", "unavailable", "":
		case "reset":
			retry.Reset = true
		default:
			return fmt.Errorf("retry_policy: retry_on: %q is not supported", on)
		}
	}
	policy.Retry = retry
	return nil
}

// plain undoes the placeholders of Envoy.
var plain = strings.NewReplacer(
	"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "%CLIENT_IP%",
	"%STREAM_ID%", "%REQUEST_ID%",
	"%DYNAMIC_METADATA(backlot.gateway:subject)%", "%SUBJECT%",
	"%ROUTE_NAME%", "%ROUTE%",
)

var placeholder = regexp.MustCompile(`%(REQ\([^)%]+\)|CLIENT_IP|REQUEST_ID|SUBJECT|ROUTE|PROTOCOL)%`)

func decodeEdits(add []*corev3.HeaderValueOption, remove []string) (edge.HeaderEdits, error) {
	edits := edge.HeaderEdits{Remove: remove}
	for _, one := range add {
		value := edge.HeaderValue{Name: one.GetHeader().GetKey(), Value: plain.Replace(one.GetHeader().GetValue())}
		if err := only(one, "header append_action keep_empty_value"); err != nil {
			return edits, err
		}
		if strings.Contains(placeholder.ReplaceAllString(value.Value, ""), "%") {
			return edits, fmt.Errorf("header %q: value %q holds what is not supported", value.Name, value.Value)
		}
		switch one.GetAppendAction() {
		case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
			edits.Set = append(edits.Set, value)
		case corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
			edits.Add = append(edits.Add, value)
		default:
			return edits, fmt.Errorf("header %q: append_action %v is not supported", value.Name, one.GetAppendAction())
		}
	}
	return edits, nil
}

func decodeCORS(packed *anypb.Any) (*edge.CORS, error) {
	c := new(corsv3.CorsPolicy)
	err := unpack(packed, c, "allow_origin_string_match allow_methods allow_headers expose_headers max_age allow_credentials")
	if err != nil {
		return nil, err
	}
	cors := &edge.CORS{
		Methods: list(c.GetAllowMethods()), Headers: list(c.GetAllowHeaders()), ExposeHeaders: list(c.GetExposeHeaders()),
		Credentials: c.GetAllowCredentials().GetValue(),
	}
	for _, origin := range c.GetAllowOriginStringMatch() {
		text := origin.GetExact()
		if scheme, host, found := strings.Cut(origin.GetSafeRegex().GetRegex(), `://[^/:]+\.`); found {
			text = scheme + "://*." + strings.ReplaceAll(host, `\`, "")
		}
		if text == "" {
			return nil, fmt.Errorf("cors: origin %v is not supported", origin)
		}
		cors.Origins = append(cors.Origins, text)
	}
	if age := c.GetMaxAge(); age != "" {
		seconds, err := strconv.ParseUint(age, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("cors: max_age %q is no number of seconds", age)
		}
		cors.MaxAge = time.Duration(seconds) * time.Second
	}
	return cors, nil
}

// list splits what commas separate.
func list(text string) []string {
	if text == "" {
		return nil
	}
	parts := strings.Split(text, ",")
	for n := range parts {
		parts[n] = strings.TrimSpace(parts[n])
	}
	return parts
}

func ints(values []uint32) []int {
	var all []int
	for _, value := range values {
		all = append(all, int(value))
	}
	return all
}

func orInt(value uint32, otherwise int) int {
	if value == 0 {
		return otherwise
	}
	return int(value)
}

func orDuration(d *durationpb.Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return d.AsDuration()
}
