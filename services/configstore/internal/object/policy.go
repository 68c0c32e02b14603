package object

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

func (f *finder) policy(p *gatewayv1.RoutePolicy) {
	if total, try := p.GetTimeout().AsDuration(), p.GetTryTimeout().AsDuration(); total > 0 && try > total {
		f.addf("policy.try_timeout", "%v is above policy.timeout, %v", try, total)
	}
	f.retry(p)
	f.keys("policy.hash", p.GetHash())
	f.cors(p.GetCors())
	f.authentication(p)
	names := map[string]bool{}
	for n, limit := range p.GetRateLimits() {
		if names[limit.GetName()] {
			f.addf(at("policy.rate_limits", n)+".name", "%q is taken by another limit of this route", limit.GetName())
		}
		names[limit.GetName()] = true
		f.keys(at("policy.rate_limits", n)+".key", limit.GetKey())
		if limit.GetStrict() && !limit.GetGlobal() {
			f.addf(at("policy.rate_limits", n)+".strict", "is of global limits; a local one depends on nobody")
		}
	}
	for n, one := range p.GetCompression().GetContentTypes() {
		if kind, subtype, found := strings.Cut(one, "/"); !found || !isToken(kind) || !isToken(subtype) {
			f.addf(at("policy.compression.content_types", n), "%q is no media type without parameters", one)
		}
	}
	f.edits("policy.request_headers", p.GetRequestHeaders())
	f.edits("policy.response_headers", p.GetResponseHeaders())
}

func (f *finder) retry(p *gatewayv1.RoutePolicy) {
	r := p.GetRetry()
	if r != nil && p.GetMaxAttempts() == 1 {
		f.addf("policy.retry", "has no effect with policy.max_attempts 1")
	}
	shortest, longest := 25*time.Millisecond, 250*time.Millisecond
	if r.GetBackoffMin() != nil {
		shortest = r.GetBackoffMin().AsDuration()
	}
	if r.GetBackoffMax() != nil {
		longest = r.GetBackoffMax().AsDuration()
	}
	if shortest > longest {
		f.addf("policy.retry.backoff_min", "%v is above backoff_max, %v", shortest, longest)
	}
}

func (f *finder) keys(path string, keys []*gatewayv1.HashKey) {
	for n, key := range keys {
		if header := key.GetHeader(); header != "" && !isToken(header) {
			f.addf(at(path, n)+".header", "%q is no name of a header field", header)
		}
		if cookie := key.GetCookie(); cookie != "" && !isToken(cookie) {
			f.addf(at(path, n)+".cookie", "%q is no name of a cookie", cookie)
		}
	}
}

func (f *finder) cors(c *gatewayv1.Cors) {
	for n, origin := range c.GetOrigins() {
		if !isOrigin(origin) {
			f.addf(at("policy.cors.origins", n), "%q is neither scheme://host[:port], nor that with `*.` before the host, nor *", origin)
		}
	}
	if c.GetCredentials() && slices.Contains(c.GetOrigins(), "*") {
		f.addf("policy.cors.credentials", "must not be set with origin *, which would let every site act as the signed-in user; name the origins")
	}
	f.tokens("policy.cors.headers", c.GetHeaders())
	f.tokens("policy.cors.expose_headers", c.GetExposeHeaders())
}

func (f *finder) tokens(path string, names []string) {
	for n, name := range names {
		if !isToken(name) {
			f.addf(at(path, n), "%q is no name of a header field", name)
		}
	}
}

func isOrigin(text string) bool {
	if text == "*" || text == "null" {
		return text == "*"
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(text, "#") || strings.HasSuffix(text, "?") {
		return false
	}
	host := u.Hostname()
	return (u.Scheme == "http" || u.Scheme == "https") && u.Scheme+"://"+u.Host == text && isHostPattern(host)
}

// authentication checks who calls and who may.
func (f *finder) authentication(p *gatewayv1.RoutePolicy) {
	f.jwt("policy.jwt", p.GetJwt())
	f.apiKey("policy.api_key", p.GetApiKey())
	f.clientCertificate("policy.client_certificate", p.GetClientCertificate())
	f.anyOf(p)
	f.tokens("policy.external_authorization.headers", p.GetExternalAuthorization().GetHeaders())
	for name, value := range p.GetExternalAuthorization().GetContext() {
		if !isText(name) || !isText(value) {
			f.addf("policy.external_authorization.context", "must not hold control characters")
		}
	}
}

func (f *finder) jwt(path string, j *gatewayv1.Jwt) {
	for claim, header := range j.GetForward() {
		if !isToken(header) || reserved(header) {
			f.addf(path+".forward["+claim+"]", "%q is no name of a header field that may be set", header)
		}
	}
}

func (f *finder) apiKey(path string, key *gatewayv1.ApiKey) {
	if header := key.GetHeader(); header != "" && !isToken(header) {
		f.addf(path+".header", "%q is no name of a header field", header)
	}
	if query := key.GetQuery(); strings.ContainsAny(query, "&=+%#") || !isText(query) {
		f.addf(path+".query", "%q is no name of a parameter", query)
	}
}

func (f *finder) clientCertificate(path string, c *gatewayv1.ClientCertificate) {
	for n, name := range c.GetNames() {
		if strings.Contains(strings.TrimPrefix(name, "*."), "*") || !isText(name) {
			f.addf(at(path+".names", n), "%q: * stands in front only, as `*.example.com`", name)
		}
	}
}

// anyOf checks ways of which one is enough.
func (f *finder) anyOf(p *gatewayv1.RoutePolicy) {
	if len(p.GetAnyOf()) > 0 && (p.GetJwt() != nil || p.GetApiKey() != nil) {
		f.addf("policy.any_of", "is set together with jwt or api_key, which would be asked for besides: leave these out")
	}
	seen := map[string]int{}
	once := func(path, place string, n int) {
		if other, taken := seen[place]; taken {
			f.addf(path, "%s looks there too: put the keys into one secret", at("any_of", other))
			return
		}
		seen[place] = n
	}
	for n, one := range p.GetAnyOf() {
		path := at("policy.any_of", n)
		f.jwt(path+".jwt", one.GetJwt())
		f.clientCertificate(path+".client_certificate", one.GetClientCertificate())
		if one.GetJwt().GetOptional() {
			f.addf(path+".jwt.optional", "would let everybody pass")
		}
		key := one.GetApiKey()
		if key == nil {
			continue
		}
		f.apiKey(path+".api_key", key)
		if key.GetOptional() {
			f.addf(path+".api_key.optional", "would let everybody pass")
		}
		once(path+".api_key.header", "header "+strings.ToLower(cmp.Or(key.GetHeader(), "X-API-Key")), n)
		if key.GetQuery() != "" {
			once(path+".api_key.query", "query "+key.GetQuery(), n)
		}
	}
}

// reserved are fields that belong to a connection or to the gateway itself.
func reserved(name string) bool {
	switch strings.ToLower(name) {
	case "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te", "trailer",
		"upgrade", "expect", "backlot-principal":
		return true
	}
	return false
}

func (f *finder) edits(path string, e *gatewayv1.HeaderEdits) {
	for n, name := range e.GetRemove() {
		f.name(at(path+".remove", n), name)
	}
	for n, value := range e.GetSet() {
		f.name(at(path+".set", n)+".name", value.GetName())
		f.value(at(path+".set", n)+".value", value.GetValue())
	}
	for n, value := range e.GetAdd() {
		f.name(at(path+".add", n)+".name", value.GetName())
		f.value(at(path+".add", n)+".value", value.GetValue())
	}
}

func (f *finder) name(path, name string) {
	switch {
	case !isToken(name):
		f.addf(path, "%q is no name of a header field", name)
	case strings.EqualFold(name, "host"):
		f.addf(path, "Host is not edited; use host_rewrite")
	case reserved(name):
		f.addf(path, "%s belongs to the connection or to the gateway and is not edited", name)
	}
}

// placeholder is what a value may hold between percent signs.
var placeholder = regexp.MustCompile("%(REQ\\([!#$&'*+.^_`|~0-9A-Za-z-]+\\)|CLIENT_IP|REQUEST_ID|SUBJECT|ROUTE|PROTOCOL)%")

func (f *finder) value(path, value string) {
	if !isText(value) {
		f.addf(path, "must not hold control characters")
	}
	if strings.Contains(placeholder.ReplaceAllString(value, ""), "%") {
		f.addf(path, "%q holds a %% outside of %%REQ(name)%%, %%CLIENT_IP%%, %%REQUEST_ID%%, %%SUBJECT%%, %%ROUTE%% and %%PROTOCOL%%", value)
	}
}
