package xds

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	optionsv1 "github.com/backlot-video/backlot/proto/gen/backlot/options/v1"
)

// maker makes random valid objects.
type maker struct{ *rand.Rand }

func (g *maker) maybe() bool { return g.IntN(3) == 0 }

func (g *maker) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g *maker) some(of ...string) []string {
	var picked []string
	for _, one := range of {
		if g.IntN(2) == 0 {
			picked = append(picked, one)
		}
	}
	return picked
}

// duration is nil at times.
func (g *maker) duration(least, most time.Duration) *durationpb.Duration {
	if !g.maybe() {
		return nil
	}
	return durationpb.New(least + time.Duration(g.Int64N(int64(most-least)+1)).Truncate(time.Millisecond))
}

func (g *maker) number(most int) uint32 {
	if !g.maybe() {
		return 0
	}
	return uint32(1 + g.IntN(most))
}

func (g *maker) statuses() []uint32 {
	var list []uint32
	for _, status := range []uint32{429, 500, 502, 503, 504} {
		if g.maybe() {
			list = append(list, status)
		}
	}
	return list
}

// objects are all of one or two namespaces, and refer to each other.
func (g *maker) objects() []*configstorev1.Object {
	var all []*configstorev1.Object
	for _, namespace := range g.some("default", "own") {
		put := func(kind, name string, spec proto.Message) {
			packed := new(anypb.Any)
			if err := anypb.MarshalFrom(packed, spec, proto.MarshalOptions{Deterministic: true}); err != nil {
				panic(err)
			}
			all = append(all, &configstorev1.Object{Key: &configstorev1.Key{Kind: kind, Namespace: namespace, Name: name}, Spec: packed})
		}
		secrets := g.secrets()
		for _, name := range []string{"ca", "jwks", "keys", "pair"} {
			put("Secret", name, secrets[name])
		}
		for _, name := range []string{"a", "b", "c"} {
			put("Cluster", name, g.cluster())
		}
		for n := range g.IntN(3) {
			put("Listener", fmt.Sprint("l", n), g.listener(len(all)))
		}
		for n := range 1 + g.IntN(6) {
			put("Route", fmt.Sprint("r", n), g.route())
		}
	}
	return all
}

// secrets are one of each sort.
func (g *maker) secrets() map[string]*gatewayv1.Secret {
	chain, key := fixedPair()
	inline := func(text string) *gatewayv1.Material {
		return &gatewayv1.Material{Source: &gatewayv1.Material_Inline{Inline: text}}
	}
	digests := map[string]string{}
	for _, holder := range append(g.some("alice", "bob"), "carol") {
		digests[holder] = fmt.Sprintf("%016x%016x%016x%016x", g.Uint64(), g.Uint64(), g.Uint64(), g.Uint64())
	}
	return map[string]*gatewayv1.Secret{
		"pair": {Material: &gatewayv1.Secret_Certificate{Certificate: &gatewayv1.Certificate{Chain: inline(chain), Key: inline(key)}}},
		"ca":   {Material: &gatewayv1.Secret_Authority{Authority: inline(chain)}},
		"jwks": {Material: &gatewayv1.Secret_Jwks{Jwks: inline(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`)}},
		"keys": {Material: &gatewayv1.Secret_ApiKeys{ApiKeys: &gatewayv1.ApiKeys{Digests: digests}}},
	}
}

// fixedPair is the same certificate and key each time.
func fixedPair() (chain, key string) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "corpus"}, DNSNames: []string{"corpus.example.com"}, IsCA: true,
		NotBefore: time.Unix(1_700_000_000, 0), NotAfter: time.Unix(4_000_000_000, 0), BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(nil, template, template, private.Public(), private)
	if err != nil {
		panic(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// listener is the nth object of a configuration: no two have one address.
func (g *maker) listener(n int) *gatewayv1.Listener {
	l := &gatewayv1.Listener{Address: fmt.Sprintf("%s%d", g.pick("0.0.0.0:84", "[::]:80", "127.0.0.1:90"), 10+n)}
	if g.maybe() {
		l.Tls = &gatewayv1.ListenerTls{Certificates: []string{"pair"}}
		if g.maybe() {
			l.Tls.ClientAuthority, l.Tls.RequireClientCertificate = "ca", g.maybe()
		}
		l.Tls.Http3 = g.maybe()
	}
	return l
}

func (g *maker) cluster() *gatewayv1.Cluster {
	c := &gatewayv1.Cluster{
		ConnectTimeout: g.duration(time.Millisecond, 30*time.Second), Balance: gatewayv1.Balance(g.IntN(5)),
		Protocol: gatewayv1.UpstreamProtocol(g.IntN(3)),
	}
	if g.maybe() {
		c.Endpoints = &gatewayv1.Cluster_Service{Service: "shop"}
	} else {
		static := &gatewayv1.StaticEndpoints{Addresses: []string{"127.0.0.1:8081", "unix:/run/a.sock"}}
		for n := range g.IntN(3) {
			static.Endpoints = append(static.Endpoints, &gatewayv1.StaticEndpoint{
				Address: fmt.Sprintf("10.0.0.%d:80", n+1), Weight: g.number(10), Zone: g.pick("", "east", "west"), Draining: g.maybe(),
			})
		}
		c.Endpoints = &gatewayv1.Cluster_Static{Static: static}
	}
	if g.maybe() {
		c.Breaker = &gatewayv1.CircuitBreaker{
			MaxConnections: g.number(100), MaxPendingRequests: g.number(100), MaxRequests: g.number(100), MaxRetries: g.number(9),
			RetryBudget: float64(g.IntN(101)) / 100,
		}
	}
	if g.maybe() {
		c.Tls = &gatewayv1.ClusterTls{ServerName: "a.example.com", Authority: g.pick("", "ca"), Certificate: g.pick("", "pair")}
	}
	if g.maybe() {
		c.ErrorBreaker = &gatewayv1.ErrorBreaker{
			Share: float64(1+g.IntN(100)) / 100, Window: g.duration(time.Second, time.Minute), Minimum: g.number(100),
			OpenFor: g.duration(time.Second, time.Minute), Probes: g.number(9), Statuses: g.statuses(),
		}
	}
	if g.maybe() {
		c.OutlierDetection = &gatewayv1.OutlierDetection{
			Consecutive: g.number(9), Interval: g.duration(time.Second, time.Minute), BaseEject: g.duration(time.Second, 30*time.Second),
			MaxEject: g.duration(time.Minute, time.Hour), MaxEjectPercent: g.number(100), SuccessRate: float64(g.IntN(30)) / 10,
		}
	} else if g.maybe() {
		c.OutlierDetection = &gatewayv1.OutlierDetection{Off: true}
	}
	if g.maybe() {
		c.HealthCheck = g.health()
	}
	if g.maybe() {
		c.Pool = &gatewayv1.ConnectionPool{
			MaxIdle: g.number(100), IdleTimeout: g.duration(time.Second, time.Hour), TlsHandshakeTimeout: g.duration(time.Second, time.Minute),
			MaxUses: g.number(1000),
		}
	}
	if g.maybe() {
		c.PanicThreshold = proto.Float64(float64(g.IntN(101)) / 100)
	}
	return c
}

func (g *maker) health() *gatewayv1.HealthCheck {
	h := &gatewayv1.HealthCheck{
		Interval: g.duration(time.Second, time.Minute), Timeout: g.duration(time.Second, time.Minute), Healthy: g.number(9), Unhealthy: g.number(9),
	}
	switch g.IntN(3) {
	case 0:
		h.How = &gatewayv1.HealthCheck_Http{Http: &gatewayv1.HttpCheck{Path: "/healthz", Host: g.pick("", "a.b"), Statuses: []uint32{200, 204}[:g.IntN(3)]}}
	case 1:
		h.How = &gatewayv1.HealthCheck_Grpc{Grpc: &gatewayv1.GrpcCheck{}}
	default:
		h.How = &gatewayv1.HealthCheck_Tcp{Tcp: &gatewayv1.TcpCheck{}}
	}
	return h
}

func (g *maker) route() *gatewayv1.Route {
	r := &gatewayv1.Route{
		Hosts: g.some("a.example.com", "*.example.com", "b.example.org"), Methods: g.some("GET", "POST", "PUT"), Policy: new(gatewayv1.RoutePolicy),
	}
	template := false
	switch g.IntN(3) {
	case 0:
		r.Path = &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Exact{Exact: g.pick("/", "/a", "/a/b.c")}}
	case 1:
		r.Path = &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Prefix{Prefix: g.pick("/", "/a/", "/shop.v1.Shop/")}}
	default:
		template = true
		r.Path = &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Template{Template: g.pick("/{id}/x", "/{id}/{rest...}", "/a+(b)/{id}")}}
	}
	for n := range g.IntN(3) {
		r.Headers = append(r.Headers, g.condition(fmt.Sprintf("x-%d", n), true))
		r.Queries = append(r.Queries, g.condition(fmt.Sprintf("q%d", n), false))
	}
	switch g.IntN(8) {
	case 0:
		r.Target = &gatewayv1.Route_Media{Media: &gatewayv1.MediaTarget{Bucket: g.pick("", "films")}}
	case 1:
		r.Target = &gatewayv1.Route_Console{Console: &gatewayv1.ConsoleTarget{}}
	case 2:
		r.Target = &gatewayv1.Route_Redirect{Redirect: g.redirect(template)}
	case 3:
		r.Target = &gatewayv1.Route_Answer{Answer: &gatewayv1.Answer{
			Status: 200 + uint32(g.IntN(4)), ContentType: g.pick("", "text/html"), Body: g.pick("", "hello"),
		}}
	default:
		g.upstream(r, template)
	}
	g.policy(r)
	return r
}

func (g *maker) condition(name string, header bool) *gatewayv1.ValueMatch {
	c := &gatewayv1.ValueMatch{Name: name, Invert: header && g.maybe()}
	switch g.IntN(5) {
	case 0:
		c.Match = &gatewayv1.ValueMatch_Exact{Exact: "1"}
	case 1:
		c.Match = &gatewayv1.ValueMatch_Prefix{Prefix: "a"}
	case 2:
		c.Match = &gatewayv1.ValueMatch_Suffix{Suffix: "z"}
	case 3:
		c.Match = &gatewayv1.ValueMatch_Regex{Regex: "[0-9]+|x"}
	default:
		c.Match = &gatewayv1.ValueMatch_Present{Present: true}
	}
	return c
}

func (g *maker) redirect(template bool) *gatewayv1.Redirect {
	to := &gatewayv1.Redirect{
		Status: []uint32{0, 301, 302, 303, 307, 308}[g.IntN(6)], Scheme: g.pick("http", "https"), Host: g.pick("", "new.example.com"),
		Port: g.number(65535), StripQuery: g.maybe(),
	}
	if g.maybe() {
		to.Path = "/elsewhere"
	} else if !template && g.maybe() {
		to.PrefixRewrite = "/new"
	}
	return to
}

func (g *maker) upstream(r *gatewayv1.Route, template bool) {
	r.Target = &gatewayv1.Route_Cluster{Cluster: g.pick("a", "b", "c")}
	if g.maybe() {
		split := &gatewayv1.Split{Clusters: []*gatewayv1.WeightedCluster{{Cluster: "a", Weight: 90}, {Cluster: "b", Weight: g.number(10)}}}
		split.Clusters[1].RequestHeaders, split.Clusters[1].ResponseHeaders = g.edits(), g.edits()
		r.Target = &gatewayv1.Route_Split{Split: split}
	}
	switch {
	case template && g.maybe():
		r.PathRewrite = g.pick("/v2/{id}", "/fixed")
	case !template && g.maybe():
		r.PrefixRewrite = "/other"
	}
	if g.maybe() {
		r.HostRewrite = "inner.example.com"
	}
	if g.maybe() {
		r.Mirrors = []*gatewayv1.Mirror{{Cluster: "c", PartsPerMillion: 1 + uint32(g.IntN(1_000_000))}}
	}
	p := r.GetPolicy()
	p.MaxAttempts = uint32(g.IntN(5))
	if p.GetMaxAttempts() != 1 && g.maybe() {
		p.Retry = &gatewayv1.Retry{
			Statuses: g.statuses(), Reset_: g.maybe(), NonIdempotent: g.maybe(), BackoffMin: g.duration(time.Millisecond, 100*time.Millisecond),
			BackoffMax: g.duration(100*time.Millisecond, time.Second), MaxBodyBytes: g.number(1 << 20),
		}
	}
	if g.maybe() {
		p.Hedge = &gatewayv1.Hedge{After: durationpb.New(time.Duration(1+g.IntN(500)) * time.Millisecond), Max: g.number(3)}
	}
}

func (g *maker) policy(r *gatewayv1.Route) {
	p := r.GetPolicy()
	p.Timeout, p.TryTimeout = g.duration(time.Minute, time.Hour), g.duration(time.Millisecond, 10*time.Second)
	p.IdleTimeout, p.MaxRequestBytes, p.NoAccessLog = g.duration(time.Second, time.Hour), uint64(g.number(1<<20)), g.maybe()
	if g.maybe() {
		p.Principals = []optionsv1.Principal{optionsv1.Principal_PRINCIPAL_OPERATOR}
	}
	p.Hash = g.keys()
	if g.maybe() {
		p.Cors = &gatewayv1.Cors{
			Origins: append(g.some("https://a.example.com", "https://*.example.com:8443"), "http://b.example.org"), Methods: g.some("GET", "PUT"),
			Headers: g.some("x-a", "x-b"), ExposeHeaders: g.some("x-c"), Credentials: g.maybe(),
		}
		if g.maybe() {
			p.Cors.MaxAge = durationpb.New(time.Duration(g.IntN(3600)) * time.Second)
		}
	}
	if g.maybe() {
		p.Jwt = &gatewayv1.Jwt{
			Secret: "jwks", Issuer: "https://issuer", Audiences: g.some("a", "b"), Optional: g.maybe(), Leeway: g.duration(time.Second, time.Minute),
			Forward: map[string]string{"sub": "X-Sub"},
		}
	}
	if g.maybe() {
		p.ApiKey = &gatewayv1.ApiKey{Secret: "keys", Header: g.pick("", "X-Key"), Query: g.pick("", "key"), Optional: g.maybe()}
	}
	if g.maybe() {
		p.ClientCertificate = &gatewayv1.ClientCertificate{Names: g.some("a.b", "*.c.d")}
	}
	if p.GetJwt() == nil && p.GetApiKey() == nil && g.maybe() {
		p.AnyOf = []*gatewayv1.Authentication{
			{How: &gatewayv1.Authentication_Jwt{Jwt: &gatewayv1.Jwt{Secret: "jwks", Issuer: "https://issuer", Forward: map[string]string{"sub": "X-Sub"}}}},
			{How: &gatewayv1.Authentication_ApiKey{ApiKey: &gatewayv1.ApiKey{Secret: "keys", Query: g.pick("", "key")}}},
			{How: &gatewayv1.Authentication_ClientCertificate{ClientCertificate: &gatewayv1.ClientCertificate{Names: g.some("a.b")}}},
		}
	}
	if g.maybe() {
		p.ExternalAuthorization = &gatewayv1.ExternalAuthorization{
			Cluster: "b", Timeout: g.duration(time.Millisecond, time.Second), AllowDown: g.maybe(), MaxBodyBytes: g.number(1000),
			Context: map[string]string{"a": "b"}, Headers: g.some("cookie", "x-a"),
		}
	}
	for n := range g.IntN(3) {
		global := g.maybe()
		p.RateLimits = append(p.RateLimits, &gatewayv1.RateLimit{
			Name: fmt.Sprint("limit-", n), Key: g.keys(), Rate: float64(1+g.IntN(1000)) / 4, Burst: float64(g.IntN(100)), MaxKeys: g.number(1000),
			Global: global, Strict: global && g.maybe(),
		})
	}
	if g.maybe() {
		p.Compression = &gatewayv1.Compression{MinLength: uint64(g.number(10_000)), ContentTypes: g.some("text/html", "application/json")}
	}
	p.RequestHeaders, p.ResponseHeaders = g.edits(), g.edits()
}

func (g *maker) keys() []*gatewayv1.HashKey {
	all := []*gatewayv1.HashKey{
		{Part: &gatewayv1.HashKey_Header{Header: "x-user"}},
		{Part: &gatewayv1.HashKey_Cookie{Cookie: "sid"}},
		{Part: &gatewayv1.HashKey_SourceIp{SourceIp: true}},
		{Part: &gatewayv1.HashKey_Subject{Subject: true}},
	}
	return all[:g.IntN(len(all)+1)]
}

func (g *maker) edits() *gatewayv1.HeaderEdits {
	if !g.maybe() {
		return nil
	}
	value := func() *gatewayv1.HeaderValue {
		return &gatewayv1.HeaderValue{Name: g.pick("X-One", "X-Two"), Value: g.pick("", "a", "%CLIENT_IP%", "%REQ(x-a)% of %SUBJECT%", "%ROUTE% %REQUEST_ID% %PROTOCOL%")}
	}
	e := &gatewayv1.HeaderEdits{Remove: g.some("X-Gone", "Server")}
	for range g.IntN(3) {
		e.Set, e.Add = append(e.Set, value()), append(e.Add, value())
	}
	return e
}
