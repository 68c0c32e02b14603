package xds

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

func packed(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// good is a set that is put in force.
func good(t *testing.T) (c *clusterv3.Cluster, l *listenerv3.Listener, m *hcmv3.HttpConnectionManager, r *routev3.Route) {
	t.Helper()
	return &clusterv3.Cluster{Name: "shop", LoadAssignment: &endpointv3.ClusterLoadAssignment{}},
		&listenerv3.Listener{Name: "edge"},
		&hcmv3.HttpConnectionManager{RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "edge"}}},
		&routev3.Route{
			Name: "all", Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "shop"}}},
		}
}

func assemble(t *testing.T, c *clusterv3.Cluster, l *listenerv3.Listener, m *hcmv3.HttpConnectionManager, r *routev3.Route, more ...*tlsv3.Secret) *set {
	t.Helper()
	l.FilterChains = []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(t, m)}}}}}
	s := newSet()
	put := func(message proto.Message) {
		t.Helper()
		body := packed(t, message)
		name, one, err := decode(body.GetTypeUrl(), "1", body)
		if err != nil {
			t.Fatal(err)
		}
		s.resources[body.GetTypeUrl()][name] = one
	}
	put(c)
	put(l)
	put(&routev3.RouteConfiguration{Name: "edge", VirtualHosts: []*routev3.VirtualHost{{Domains: []string{"*"}, Routes: []*routev3.Route{r}}}})
	put(&gatewayv1.Manifest{ReleaseId: "r1"})
	for _, secret := range more {
		put(secret)
	}
	return s
}

// config is what a builder makes that has made nothing before.
func (s *set) config() (*edge.Config, error) { return new(builder).config(s) }

// TestWhatIsNotUnderstoodIsRefusedByName merges a piece of JSON into one of the
// resources of a good set.
func TestWhatIsNotUnderstoodIsRefusedByName(t *testing.T) {
	for _, test := range []struct{ into, piece, want string }{
		{"route", `{}`, ""},
		{"cluster", `{"dnsRefreshRate": "5s"}`, `cluster "shop": Cluster: dns_refresh_rate is not supported`},
		{"cluster", `{"lbPolicy": "MAGLEV"}`, `cluster "shop": lb_policy MAGLEV`},
		{"cluster", `{"circuitBreakers": {"thresholds": [{"priority": "HIGH"}]}}`, `cluster "shop": circuit_breakers: Thresholds: priority`},
		{"cluster", `{"outlierDetection": {"failurePercentageThreshold": 5}}`, `cluster "shop": OutlierDetection: failure_percentage_threshold`},
		{
			"cluster", `{"healthChecks": [{"interval": "1s", "timeout": "1s", "healthyThreshold": 1, "unhealthyThreshold": 1, "httpHealthCheck": {"path": "/", "method": "HEAD"}}]}`,
			`cluster "shop": health_checks: HttpHealthCheck: method`,
		},
		{"cluster", `{"healthChecks": [{"tcpHealthCheck": {}}]}`, `cluster "shop": health_checks: interval, timeout and thresholds`},
		{"route", `{"match": {"pathSeparatedPrefix": "/a"}}`, `route "all": RouteMatch: path_separated_prefix`},
		{"route", `{"match": {"safeRegex": {"regex": "^/a.*$"}}}`, `route "all": match: safe_regex: "^/a.*$" is not`},
		{"route", `{"match": {"prefix": "/", "caseSensitive": false}}`, `route "all": match: case_sensitive`},
		{"route", `{"match": {"prefix": "/", "headers": [{"name": "a", "stringMatch": {"exact": "b", "ignoreCase": true}}]}}`, `route "all": match: header "a": StringMatcher: ignore_case`},
		{"route", `{"match": {"prefix": "/", "headers": [{"name": "a", "stringMatch": {"safeRegex": {}}}]}}`, `route "all": match: header "a": match`},
		{"route", `{"match": {"prefix": "/", "headers": [{"name": "a", "stringMatch": {"safeRegex": {"regex": "("}}}]}}`, `route "all": headers[0]: "a": regex`},
		{"route", `{"match": {"prefix": "/", "headers": [{"name": ":scheme", "stringMatch": {"exact": "https"}}]}}`, `route "all": match: header ":scheme"`},
		{"route", `{"match": {"prefix": "/", "dynamicMetadata": [{"filter": "a"}]}}`, `route "all": RouteMatch: dynamic_metadata`},
		{"route", `{"tracing": {}}`, `route "all": Route: tracing`},
		{"route", `{"route": {"clusterHeader": "x"}}`, `route "all": RouteAction: cluster_header`},
		{"route", `{"route": {"cluster": "gone"}}`, `route "all": cluster: cluster "gone" does not exist`},
		{"route", `{"route": {"cluster": "shop", "rateLimits": [{"actions": [{"remoteAddress": {}}]}]}}`, `route "all": RouteAction: rate_limits`},
		{"route", `{"route": {"cluster": "shop", "retryPolicy": {"retryOn": "5xx"}}}`, `route "all": retry_policy: retry_on: "5xx"`},
		{"route", `{"route": {"cluster": "shop", "regexRewrite": {"pattern": {"regex": "^/a"}, "substitution": "/b"}}}`, `route "all": regex_rewrite`},
		{"route", `{"requestHeadersToAdd": [{"header": {"key": "a", "value": "%HOSTNAME%"}}]}`, `route "all": header "a": value "%HOSTNAME%"`},
		{
			"route", `{"typedPerFilterConfig": {"envoy.filters.http.rbac": {"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute"}}}`,
			`route "all": filter envoy.filters.http.rbac is not supported`,
		},
		{"manager", `{"httpFilters": [{"name": "envoy.filters.http.jwt_authn"}]}`, `listener "edge": filter envoy.filters.http.jwt_authn: is not supported`},
		{"manager", `{"httpFilters": [{"name": "some", "isOptional": true}]}`, ""},
		{"manager", `{"useRemoteAddress": true}`, `listener "edge": HTTP connection manager: HttpConnectionManager: use_remote_address`},
		{"listener", `{"listenerFilters": [{"name": "a"}]}`, `listener "edge": Listener: listener_filters`},
	} {
		c, l, m, r := good(t)
		target := map[string]proto.Message{"cluster": c, "route": r, "manager": m, "listener": l}[test.into]
		piece := target.ProtoReflect().New().Interface()
		if err := protojson.Unmarshal([]byte(test.piece), piece); err != nil {
			t.Fatalf("%s: %v", test.piece, err)
		}
		if into, is := target.(*routev3.Route); is && strings.Contains(test.piece, `"match"`) {
			into.Match = nil
		}
		proto.Merge(target, piece)
		_, err := assemble(t, c, l, m, r).config()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: %v, want %q", test.into, test.piece, err, test.want)
		}
	}
}

func TestUnknownFieldsAreRefused(t *testing.T) {
	r := &routev3.RouteMatch{}
	r.ProtoReflect().SetUnknown([]byte{0x98, 0x7f, 0x01})
	if err := only(r, ""); err == nil || !strings.Contains(err.Error(), "does not know") {
		t.Errorf("got %v", err)
	}
	if err := only((*routev3.RouteMatch)(nil), ""); err != nil {
		t.Errorf("of nothing: %v", err)
	}
}

func TestFiltersThatSayNothingPass(t *testing.T) {
	c, l, m, r := good(t)
	m.HttpFilters = []*hcmv3.HttpFilter{
		{Name: rbacFilter, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(t, &rbacv3.RBAC{})}},
		{Name: routerFilter, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(t, &routerv3.Router{})}},
	}
	if _, err := assemble(t, c, l, m, r).config(); err != nil {
		t.Error(err)
	}
	m.HttpFilters[0].ConfigType = &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(t, &rbacv3.RBAC{RulesStatPrefix: "a"})}
	if _, err := assemble(t, c, l, m, r).config(); err == nil {
		t.Error("rules of RBAC are passed over")
	}
}

func TestSecretsMayBeFilesOfTheMachine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	secret := &tlsv3.Secret{Name: "ca", Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
		TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}},
	}}}
	c, l, m, r := good(t)
	if _, err := assemble(t, c, l, m, r, secret).config(); err == nil || !strings.Contains(err.Error(), `secret "ca": `) {
		t.Errorf("of a missing file: %v", err)
	}
	for content, want := range map[string]string{"": "is empty", strings.Repeat("x", maxMaterial+1): "is larger than", "text": ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := assemble(t, c, l, m, r, secret).config()
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
			continue
		}
		if err != nil || string(config.Secrets["ca"].AuthorityPEM) != content {
			t.Errorf("got %v", err)
		}
	}
}

func TestASetHasTheSecretsThatItRefersTo(t *testing.T) {
	c, l, m, r := good(t)
	c.TransportSocket = &corev3.TransportSocket{ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed(t, &tlsv3.UpstreamTlsContext{
		Sni: "a", CommonTlsContext: &tlsv3.CommonTlsContext{
			ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: "ca"},
				DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{Matcher: exactMatcher("a")}}},
			}},
		},
	})}}
	c.ConnectTimeout, c.CommonLbConfig = nil, nil
	if _, err := assemble(t, c, l, m, r).config(); err == nil || !strings.Contains(err.Error(), `secret "ca" does not exist`) {
		t.Errorf("without secrets: %v", err)
	}
	other := &tlsv3.Secret{Name: "other", Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{Secret: inlineSource("x")}}}
	if _, err := assemble(t, c, l, m, r, other).config(); err == nil || !strings.Contains(err.Error(), `cluster "shop": tls.authority: secret "ca" does not exist`) {
		t.Errorf("with another secret: %v", err)
	}
	ca := &tlsv3.Secret{Name: "ca", Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inlineSource("x")}}}
	config, err := assemble(t, c, l, m, r, ca).config()
	if err != nil || config.Clusters["shop"].TLS.Authority != "ca" || config.Clusters["shop"].ConnectTimeout != time.Second {
		t.Errorf("with the secret: %v", err)
	}
}

func TestEndpointsThatTheControlPlaneKnowsToBeIllAreLeftOut(t *testing.T) {
	endpoint := func(port uint32, status corev3.HealthStatus) *endpointv3.LbEndpoint {
		return &endpointv3.LbEndpoint{
			HealthStatus: status, LoadBalancingWeight: wrapperspb.UInt32(3),
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: &corev3.Address{
				Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: "::1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}},
			}}},
		}
	}
	got, err := decodeEndpoints(&endpointv3.ClusterLoadAssignment{Endpoints: []*endpointv3.LocalityLbEndpoints{{
		Locality: &corev3.Locality{Zone: "east"},
		LbEndpoints: []*endpointv3.LbEndpoint{
			endpoint(1, corev3.HealthStatus_UNKNOWN), endpoint(2, corev3.HealthStatus_UNHEALTHY), endpoint(3, corev3.HealthStatus_DRAINING),
		},
	}}})
	if err != nil || len(got) != 2 || got[0].Address != "[::1]:1" || got[0].Zone != "east" || got[0].Weight != 3 || !got[1].Draining {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = decodeEndpoints(&endpointv3.ClusterLoadAssignment{Endpoints: []*endpointv3.LocalityLbEndpoints{{Priority: 1}}})
	if err == nil || !strings.Contains(err.Error(), "priority is not supported") {
		t.Errorf("of another priority: %v", err)
	}
}

func exactMatcher(text string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: text}}
}

func inlineSource(text string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}}
}

func TestChangedFilesOfSecretsArePutInForce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secret := &tlsv3.Secret{Name: "ca", Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
		TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}},
	}}}
	c, l, m, r := good(t)
	var inForce []string
	client := New(Config{
		Apply: func(c *edge.Config) error {
			inForce = append(inForce, string(c.Secrets["ca"].AuthorityPEM))
			return nil
		},
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	write("one")
	f := client.follow
	f.received, f.stale = assemble(t, c, l, m, r, secret), true
	if err := f.adopt(); err != nil {
		t.Fatal(err)
	}
	f.reread()
	write("second")
	f.reread()
	f.reread()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f.reread() // keeps what it was
	f.reread()
	write("the third")
	f.reread()
	if want := []string{"one", "second", "second", "the third"}; !slices.Equal(inForce, want) {
		t.Errorf("in force were %q, want %q", inForce, want)
	}
}
