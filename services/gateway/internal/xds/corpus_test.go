package xds

import (
	"compress/gzip"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// The corpus is random objects with the resources that the configstore renders
// them to; its tests write it.
var corpusIn = flag.String("corpus.in", "testdata/corpus.gz", "corpus `file`")

// readCorpus gives each case: objects by kind and resource name, and the
// resources.
func readCorpus(t *testing.T, each func(n int, objects map[string]proto.Message, s *set)) {
	t.Helper()
	file, err := os.Open(*corpusIn)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	next := func(into proto.Message) {
		part, n := protowire.ConsumeBytes(raw)
		if n < 0 || proto.Unmarshal(part, into) != nil {
			t.Fatal("the corpus is damaged")
		}
		raw = raw[n:]
	}
	for n := 0; len(raw) > 0; n++ {
		listed := new(configstorev1.ListResponse)
		next(listed)
		objects := map[string]proto.Message{}
		for _, o := range listed.GetObjects() {
			spec, err := o.GetSpec().UnmarshalNew()
			if err != nil {
				t.Fatal(err)
			}
			objects[o.GetKey().GetKind()+" "+space(o.GetKey().GetNamespace())+o.GetKey().GetName()] = spec
		}
		each(n, objects, readSet(t, next))
	}
}

// readSet reads the responses of one set. The corpus has no manifest.
func readSet(t testing.TB, next func(proto.Message)) *set {
	t.Helper()
	s := newSet()
	for range types[:len(types)-1] {
		response := new(discoveryv3.DiscoveryResponse)
		next(response)
		u := &update{kind: response.GetTypeUrl(), version: response.GetVersionInfo(), put: map[string]*resource{}}
		for _, body := range response.GetResources() {
			if err := u.add("", "", body); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.apply(u); err != nil {
			t.Fatal(err)
		}
	}
	s.resources[manifestType][manifestName] = &resource{message: &gatewayv1.Manifest{ReleaseId: "corpus", Versions: maps.Clone(s.versions)}}
	return s
}

// space is what the names of a namespace's resources begin with.
func space(namespace string) string {
	if namespace == "default" {
		return ""
	}
	return namespace + "/"
}

func TestWhatIsRenderedIsWhatIsInForce(t *testing.T) {
	cases := 0
	readCorpus(t, func(n int, objects map[string]proto.Message, s *set) {
		cases++
		config, err := s.config()
		if err != nil {
			t.Fatalf("case %d: %v", n, err)
		}
		compare(t, n, objects, config)
	})
	if cases < 50 {
		t.Errorf("%d cases", cases)
	}
}

func compare(t *testing.T, n int, objects map[string]proto.Message, config *edge.Config) {
	t.Helper()
	counts := map[string]int{}
	for name, spec := range objects {
		kind, name, _ := strings.Cut(name, " ")
		prefix, _, found := strings.Cut(name, "/")
		if found {
			prefix += "/"
		} else {
			prefix = ""
		}
		counts[kind]++
		var got, want any
		switch spec := spec.(type) {
		case *gatewayv1.Route:
			compareRoute(t, n, config, wantRoute(name, prefix, spec), spec.GetHosts())
			continue
		case *gatewayv1.Cluster:
			got, want = config.Clusters[name], wantCluster(name, prefix, spec)
		case *gatewayv1.Listener:
			at := slices.IndexFunc(config.Listeners, func(l edge.Listener) bool { return l.Name == name })
			if at < 0 {
				t.Fatalf("case %d: listener %q is missing", n, name)
			}
			got, want = config.Listeners[at], wantListener(name, prefix, spec)
		case *gatewayv1.Secret:
			got, want = config.Secrets[name], wantSecret(t, spec)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("case %d: %s %s:\n got %+v\nwant %+v", n, kind, name, got, want)
		}
	}
	if len(config.Clusters) != counts["Cluster"] || len(config.Listeners) != counts["Listener"] || len(config.Secrets) != counts["Secret"] {
		t.Errorf("case %d: other clusters, listeners or secrets than objects", n)
	}
}

// compareRoute looks at every host that the route is of.
func compareRoute(t *testing.T, n int, config *edge.Config, want edge.Route, domains []string) {
	t.Helper()
	found := 0
	for _, host := range config.Hosts {
		at := slices.IndexFunc(host.Routes, func(r edge.Route) bool { return r.Name == want.Name })
		fits := len(domains) == 0 || slices.Contains(domains, host.Domains[0])
		if fits && at < 0 {
			t.Errorf("case %d: host %q lacks route %q", n, host.Domains[0], want.Name)
		}
		if at < 0 {
			continue
		}
		found++
		if got := host.Routes[at]; !reflect.DeepEqual(got, want) {
			t.Errorf("case %d: route %q:\n got %+v\nwant %+v", n, want.Name, got, want)
		}
		for before := range at {
			if !host.Routes[before].Exact && (want.Exact || want.Template && !host.Routes[before].Template) {
				t.Errorf("case %d: route %q stands before the more specific %q", n, host.Routes[before].Path, want.Path)
			}
		}
	}
	if found == 0 {
		t.Errorf("case %d: route %q is of no host", n, want.Name)
	}
}

func wantRoute(name, space string, r *gatewayv1.Route) edge.Route {
	route := edge.Route{
		Name: name, Methods: r.GetMethods(), PrefixRewrite: r.GetPrefixRewrite(), PathRewrite: r.GetPathRewrite(), HostRewrite: r.GetHostRewrite(),
		Path:  r.GetPath().GetExact() + r.GetPath().GetPrefix() + r.GetPath().GetTemplate(),
		Exact: r.GetPath().GetExact() != "", Template: r.GetPath().GetTemplate() != "",
		Headers: wantConditions(r.GetHeaders()), Queries: wantConditions(r.GetQueries()), Policy: decodePolicy(r.GetPolicy(), space),
	}
	switch to := r.GetTarget().(type) {
	case *gatewayv1.Route_Cluster:
		route.Cluster = space + to.Cluster
	case *gatewayv1.Route_Split:
		for _, part := range to.Split.GetClusters() {
			route.Split = append(route.Split, edge.WeightedCluster{
				Cluster: space + part.GetCluster(), Weight: part.GetWeight(),
				RequestHeaders: headerEdits(part.GetRequestHeaders()), ResponseHeaders: headerEdits(part.GetResponseHeaders()),
			})
		}
	case *gatewayv1.Route_Media:
		route.Target, route.Bucket = edge.ToMedia, or(to.Media.GetBucket(), "media")
	case *gatewayv1.Route_Console:
		route.Target = edge.ToConsole
	case *gatewayv1.Route_Redirect:
		route.Target, route.Redirect = edge.ToRedirect, &edge.Redirect{
			Status: int(or(to.Redirect.GetStatus(), 301)), Scheme: to.Redirect.GetScheme(), Host: to.Redirect.GetHost(), Port: to.Redirect.GetPort(),
			Path: to.Redirect.GetPath(), PrefixRewrite: to.Redirect.GetPrefixRewrite(), StripQuery: to.Redirect.GetStripQuery(),
		}
	case *gatewayv1.Route_Answer:
		route.Target, route.Answer = edge.ToAnswer, &edge.Answer{
			Status: int(to.Answer.GetStatus()), ContentType: or(to.Answer.GetContentType(), "text/plain; charset=utf-8"), Body: []byte(to.Answer.GetBody()),
		}
	}
	for _, mirror := range r.GetMirrors() {
		route.Mirrors = append(route.Mirrors, edge.Mirror{Cluster: space + mirror.GetCluster(), PartsPerMillion: mirror.GetPartsPerMillion()})
	}
	return route
}

func wantConditions(of []*gatewayv1.ValueMatch) []edge.HeaderMatch {
	var all []edge.HeaderMatch
	for _, c := range of {
		all = append(all, edge.HeaderMatch{
			Name: c.GetName(), Exact: c.GetExact(), Prefix: c.GetPrefix(), Suffix: c.GetSuffix(), Regex: c.GetRegex(),
			Present: c.GetPresent(), Invert: c.GetInvert(),
		})
	}
	return all
}

func wantCluster(name, space string, c *gatewayv1.Cluster) edge.Cluster {
	b := c.GetBreaker()
	cluster := edge.Cluster{
		Name: name, ConnectTimeout: span(c.GetConnectTimeout(), 2*time.Second), PanicThreshold: 0.5,
		MaxConnections: int(or(b.GetMaxConnections(), 1024)), MaxPending: int(or(b.GetMaxPendingRequests(), 1024)),
		MaxRequests: int(or(b.GetMaxRequests(), 4096)), MaxRetries: int(or(b.GetMaxRetries(), 32)), RetryBudget: or(b.GetRetryBudget(), 0.2),
		Balance: map[gatewayv1.Balance]edge.Balance{
			gatewayv1.Balance_BALANCE_ROUND_ROBIN: edge.RoundRobin, gatewayv1.Balance_BALANCE_RING_HASH: edge.RingHash, gatewayv1.Balance_BALANCE_RANDOM: edge.Random,
		}[c.GetBalance()],
		Protocol: edge.Upstream(c.GetProtocol()),
		Pool: edge.Pool{
			MaxIdle: int(or(c.GetPool().GetMaxIdle(), 1000)), IdleTimeout: span(c.GetPool().GetIdleTimeout(), 30*time.Second),
			TLSHandshake: span(c.GetPool().GetTlsHandshakeTimeout(), 10*time.Second), MaxUses: int(c.GetPool().GetMaxUses()),
		},
	}
	if c.PanicThreshold != nil {
		cluster.PanicThreshold = max(c.GetPanicThreshold(), neverPanic)
	}
	// By zone: those without one come first.
	for _, zone := range []string{"", "east", "west"} {
		for _, address := range c.GetStatic().GetAddresses() {
			if zone == "" {
				cluster.Endpoints = append(cluster.Endpoints, edge.Endpoint{Address: address})
			}
		}
		for _, e := range c.GetStatic().GetEndpoints() {
			if e.GetZone() == zone {
				cluster.Endpoints = append(cluster.Endpoints, edge.Endpoint{Address: e.GetAddress(), Weight: e.GetWeight(), Zone: zone, Draining: e.GetDraining()})
			}
		}
	}
	if tls := c.GetTls(); tls != nil {
		cluster.TLS = &edge.ClusterTLS{ServerName: tls.GetServerName(), Authority: named(space, tls.GetAuthority()), Certificate: named(space, tls.GetCertificate())}
	}
	if e := c.GetErrorBreaker(); e != nil {
		cluster.Errors = &edge.ErrorBreaker{
			Share: e.GetShare(), Window: span(e.GetWindow(), 10*time.Second), Minimum: int(or(e.GetMinimum(), 20)),
			OpenFor: span(e.GetOpenFor(), 5*time.Second), Probes: int(or(e.GetProbes(), 3)), Statuses: ints(e.GetStatuses()),
		}
	}
	if o := c.GetOutlierDetection(); !o.GetOff() {
		cluster.Outlier = &edge.Outlier{
			Consecutive: int(or(o.GetConsecutive(), 5)), Interval: span(o.GetInterval(), 10*time.Second), BaseEject: span(o.GetBaseEject(), 30*time.Second),
			MaxEject: span(o.GetMaxEject(), 5*time.Minute), MaxEjectPercent: int(or(o.GetMaxEjectPercent(), 10)), SuccessRate: o.GetSuccessRate(),
		}
	}
	if h := c.GetHealthCheck(); h != nil {
		cluster.Health = &edge.HealthCheck{
			Path: h.GetHttp().GetPath(), Host: h.GetHttp().GetHost(), Statuses: ints(h.GetHttp().GetStatuses()), GRPC: h.GetGrpc() != nil,
			Interval: span(h.GetInterval(), 5*time.Second), Timeout: span(h.GetTimeout(), 2*time.Second),
			Healthy: int(or(h.GetHealthy(), 2)), Unhealthy: int(or(h.GetUnhealthy(), 3)),
		}
	}
	return cluster
}

func wantListener(name, space string, l *gatewayv1.Listener) edge.Listener {
	listener := edge.Listener{Name: name, Address: l.GetAddress()}
	if tls := l.GetTls(); tls != nil {
		listener.TLS = &edge.ListenerTLS{ClientCA: named(space, tls.GetClientAuthority()), RequireClient: tls.GetRequireClientCertificate(), HTTP3: tls.GetHttp3()}
		for _, one := range tls.GetCertificates() {
			listener.TLS.Certificates = append(listener.TLS.Certificates, space+one)
		}
	}
	return listener
}

func wantSecret(t *testing.T, s *gatewayv1.Secret) edge.Secret {
	t.Helper()
	var secret edge.Secret
	if c := s.GetCertificate(); c != nil {
		secret.CertificatePEM, secret.KeyPEM = []byte(c.GetChain().GetInline()), []byte(c.GetKey().GetInline())
	}
	if a := s.GetAuthority(); a != nil {
		secret.AuthorityPEM = []byte(a.GetInline())
	}
	if j := s.GetJwks(); j != nil {
		secret.JWKS = []byte(j.GetInline())
	}
	for holder, digest := range s.GetApiKeys().GetDigests() {
		if secret.APIKeys == nil {
			secret.APIKeys = map[string][32]byte{}
		}
		raw, err := hex.DecodeString(digest)
		if err != nil {
			t.Fatal(err)
		}
		secret.APIKeys[holder] = [32]byte(raw)
	}
	return secret
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

func span(d *durationpb.Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return d.AsDuration()
}

func named(space, name string) string {
	if name == "" {
		return ""
	}
	return space + name
}

// TestEnvoysFieldsSayTheSame takes our extension away and compares what is
// left, which is what every Envoy goes by.
func TestEnvoysFieldsSayTheSame(t *testing.T) {
	compared := 0
	readCorpus(t, func(n int, objects map[string]proto.Message, s *set) {
		for _, raw := range s.resources[routeType] {
			rc := raw.message.(*routev3.RouteConfiguration)
			for _, host := range rc.GetVirtualHosts() {
				for _, r := range host.GetRoutes() {
					spec, _ := objects["Route "+r.GetName()].(*gatewayv1.Route)
					_, guarded := r.GetTypedPerFilterConfig()[rbacFilter]
					p := spec.GetPolicy()
					private := len(p.GetPrincipals()) > 0 || len(p.GetAnyOf()) > 0 || p.GetJwt() != nil || p.GetApiKey() != nil || p.GetClientCertificate() != nil || p.GetExternalAuthorization() != nil
					if guarded != private {
						t.Errorf("case %d: route %q: closed to strangers: %v, want %v", n, r.GetName(), guarded, private)
					}
					if guarded {
						stripped := without(r, policyFilter)
						if _, err := decodeRoute(stripped); err == nil {
							t.Errorf("case %d: route %q: what guards it is passed over", n, r.GetName())
						}
					}
					got, err := decodeRoute(without(r, policyFilter, rbacFilter))
					if err != nil {
						t.Fatalf("case %d: route %q: %v", n, r.GetName(), err)
					}
					want := envoys(decodePolicy(p, ""), spec)
					if !reflect.DeepEqual(got.Policy, want) {
						t.Errorf("case %d: route %q:\n got %s\nwant %s", n, r.GetName(), dump(got.Policy), dump(want))
					}
					compared++
				}
			}
		}
	})
	if compared < 100 {
		t.Errorf("%d routes", compared)
	}
}

func dump(p edge.Policy) string {
	return fmt.Sprintf("%+v retry %+v hedge %+v cors %+v", p, p.Retry, p.Hedge, p.CORS)
}

func without(r *routev3.Route, filters ...string) *routev3.Route {
	copied, _ := proto.Clone(r).(*routev3.Route)
	kept := map[string]*anypb.Any{}
	for name, config := range r.GetTypedPerFilterConfig() {
		if !slices.Contains(filters, name) {
			kept[name] = config
		}
	}
	copied.TypedPerFilterConfig = kept
	return copied
}

// envoys is what of a policy Envoy's fields can say.
func envoys(p edge.Policy, r *gatewayv1.Route) edge.Policy {
	want := edge.Policy{
		Timeout: edge.DefaultTimeout, IdleTimeout: edge.DefaultIdleTimeout, MaxRequest: edge.DefaultMaxRequest, MaxAttempts: 1,
		CORS: p.CORS, RequestHeaders: p.RequestHeaders, ResponseHeaders: p.ResponseHeaders,
	}
	if r.GetCluster() == "" && r.GetSplit() == nil {
		return want
	}
	want.Timeout, want.IdleTimeout, want.MaxAttempts = p.Timeout, p.IdleTimeout, p.MaxAttempts
	for _, key := range p.Hash {
		if !key.Subject {
			want.Hash = append(want.Hash, key)
		}
	}
	if p.MaxAttempts == 1 {
		return want
	}
	want.TryTimeout = p.TryTimeout
	if p.Hedge != nil && p.TryTimeout == 0 {
		want.Hedge = &edge.Hedge{After: p.Hedge.After, Max: 1}
	}
	retry := edge.Retry{}
	if p.Retry != nil {
		retry = *p.Retry
	}
	want.Retry = &edge.Retry{
		Statuses: retry.Statuses, Reset: retry.Reset, NonIdempotent: retry.NonIdempotent || !retry.Reset && len(retry.Statuses) == 0,
		BackoffMin: or(retry.BackoffMin, 25*time.Millisecond), BackoffMax: or(retry.BackoffMax, 250*time.Millisecond),
	}
	return want
}

// FuzzRoute: whatever a control plane sends, it is refused or makes a route,
// never a panic; what is made survives the check.
func FuzzRoute(f *testing.F) {
	for _, seed := range []string{"", "\n\x01a\x12\x03\n\x01/"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := new(routev3.Route)
		if proto.Unmarshal(raw, r) != nil {
			return
		}
		route, err := decodeRoute(r)
		if err != nil {
			return
		}
		c := &edge.Config{Hosts: []edge.Host{{Domains: []string{"*"}, Routes: []edge.Route{route}}}}
		_ = c.Check()
		c.Match([]byte("a"), []byte("GET"), []byte("/a/b"), []byte("a=b"), nil)
	})
}

func TestSharesLoseNothing(t *testing.T) {
	for n := range 1001 {
		if want := float64(n) / 1000; math.Abs(share(100*want)-want) > 0 {
			t.Errorf("%v became %v", want, share(100*want))
		}
	}
}
