package filter_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/token"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
)

// house is what filters are compiled for, with a clock that stands.
type house struct {
	now      time.Time
	keys     *identity.Keys
	signer   *token.Signer
	issuer   ed25519.PrivateKey // of another issuer
	registry *prometheus.Registry
	env      *filter.Env
	config   *edge.Config
}

func newHouse(t testing.TB, change func(*filter.Config)) *house {
	t.Helper()
	h := &house{now: time.Unix(1_800_000_000, 0), registry: prometheus.NewRegistry()}
	clock := func() time.Time { return h.now }
	var err error
	if h.signer, err = token.OpenSigner(filepath.Join(t.TempDir(), "k"), "test", clock); err != nil {
		t.Fatal(err)
	}
	if h.keys, err = identity.ParseKeys([]byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), clock); err != nil {
		t.Fatal(err)
	}
	h.issuer = ed25519.NewKeyFromSeed(make([]byte, 32))
	config := filter.Config{Keys: h.keys, Clock: clock, Log: slog.New(slog.DiscardHandler), Registerer: h.registry}
	if change != nil {
		change(&config)
	}
	h.env = filter.NewEnv(config)
	h.config = &edge.Config{
		Keys: []*identityv1.VerificationKey{h.signer.VerificationKey()},
		Secrets: map[string]edge.Secret{
			"issuer": {JWKS: fmt.Appendf(nil, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"e","x":%q}]}`,
				base64.RawURLEncoding.EncodeToString(h.issuer.Public().(ed25519.PublicKey)))},
			"keys": {APIKeys: map[string][32]byte{"partner": sha256.Sum256([]byte("s3cret key"))}},
		},
	}
	return h
}

// swap makes a new configuration that says the same.
func (h *house) swap() { h.config = &edge.Config{Keys: h.config.Keys, Secrets: h.config.Secrets} }

func (h *house) compile(t testing.TB, policy edge.Policy) *filter.Chain {
	t.Helper()
	c, err := filter.Compile(&edge.Route{Name: "r", Path: "/", Policy: policy}, h.config, h.env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// request is an exchange as engines make it, with header lines name, value.
func request(target string, lines ...string) *exchange.Exchange {
	x := &exchange.Exchange{Route: &edge.Route{Name: "r"}}
	method, target, _ := strings.Cut(target, " ")
	path, query, has := strings.Cut(target, "?")
	x.Request.Method, x.Request.Path, x.Request.Query, x.Request.HasQuery = []byte(method), []byte(path), []byte(query), has
	x.Request.Authority = []byte("shop.example:8080")
	x.Request.Remote = netip.MustParseAddrPort("192.0.2.7:4711")
	x.Request.Protocol = exchange.HTTP11
	for i := 0; i < len(lines); i += 2 {
		x.Request.Fields.Add(exchange.NameOf([]byte(lines[i])), []byte(lines[i]), []byte(lines[i+1]))
	}
	return x
}

func (h *house) run(c *filter.Chain, x *exchange.Exchange) (filter.Verdict, *exchange.Exchange) {
	h.env.Watcher().Begin(x)
	return c.Request(x), x
}

func get(f exchange.Fields, name string) string {
	value, _ := f.Find(name)
	return string(value)
}

func (h *house) bearer(t testing.TB, kind identity.Kind, life time.Duration) string {
	t.Helper()
	text, err := h.signer.Token(identity.Principal{Kind: kind, ID: "someone", TenantID: "main", Expires: h.now.Add(life)})
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + text
}

// foreign is a token of the other issuer.
func (h *house) foreign(claims string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"EdDSA","kid":"e"}`)) + "." + b64([]byte(claims))
	return signed + "." + b64(ed25519.Sign(h.issuer, []byte(signed)))
}

// value of a counter, by its labels in order of their names.
func (h *house) value(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	families, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			got := []string{}
			for _, label := range metric.GetLabel() {
				got = append(got, label.GetValue())
			}
			if family.GetName() == name && strings.Join(got, ",") == strings.Join(labels, ",") {
				return metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

func TestThePrincipalIsTheGatewaysWordOnly(t *testing.T) {
	h := newHouse(t, nil)
	c := h.compile(t, edge.Policy{})
	for want, lines := range map[string][]string{
		"PRINCIPAL_ANONYMOUS ":     {"Backlot-Principal", "forged"},
		"PRINCIPAL_VIEWER someone": {"Backlot-Principal", "forged", "authorization", h.bearer(t, identity.Viewer, time.Hour)},
	} {
		verdict, x := h.run(c, request("GET /x", lines...))
		if verdict != filter.Next {
			t.Fatalf("verdict %d: %s", verdict, x.Answer)
		}
		p, err := h.keys.Verify(get(x.Request.Fields, identity.Header))
		if err != nil || p.Kind.String()+" "+p.ID != want || x.Principal.Kind != p.Kind {
			t.Errorf("got %v, %v; want %s", p, err, want)
		}
		if x.Request.Fields.Has(exchange.Authorization) {
			t.Error("the token goes further")
		}
		x.Response.Fields.Add(exchange.BacklotPrincipal, []byte("backlot-principal"), []byte("leak"))
		x.Response.Fields.Add(exchange.XRequestID, []byte("x-request-id"), []byte("the upstream's"))
		if c.Response(x); x.Response.Fields.Has(exchange.BacklotPrincipal) || get(x.Response.Fields, "X-Request-Id") != string(x.ID) {
			t.Errorf("answer's header: %v", x.Response.Fields)
		}
	}
}

func TestASignedPrincipalIsUsedForHalfOfItsLife(t *testing.T) {
	h := newHouse(t, nil)
	c := h.compile(t, edge.Policy{})
	stamp := func(after time.Duration, lines ...string) string {
		h.now = h.now.Add(after)
		_, x := h.run(c, request("GET /x", lines...))
		text := get(x.Request.Fields, identity.Header)
		if p, err := h.keys.Verify(text); err != nil || p.Expires.Sub(h.now) < identity.MaxLife/2 && p.Kind == identity.Anonymous {
			t.Errorf("%v, %v", p, err)
		}
		return text
	}
	first := stamp(0)
	if stamp(identity.MaxLife/2-1) != first {
		t.Error("signed again before half of its life")
	}
	if stamp(1) == first {
		t.Error("used beyond half of its life")
	}
	short := h.bearer(t, identity.Viewer, 10*time.Second)
	before := stamp(0, "Authorization", short)
	if stamp(9*time.Second, "Authorization", short) != before {
		t.Error("signed again though the token stands")
	}
	h.now = h.now.Add(time.Second)
	if verdict, x := h.run(c, request("GET /x", "Authorization", short)); verdict != filter.Answered || x.Response.Status != 401 {
		t.Errorf("an expired token that is remembered: %d", x.Response.Status)
	}
}

func TestRefusalsOfCallers(t *testing.T) {
	h := newHouse(t, nil)
	creators := edge.Policy{Principals: []identity.Kind{identity.Creator}}
	for name, c := range map[string]struct {
		policy edge.Policy
		header []string
		status int
		text   string
		cause  string
	}{
		"forged token":  {edge.Policy{}, []string{"Authorization", "Bearer a.b.c"}, 401, "sign in again", "token"},
		"expired token": {edge.Policy{}, []string{"Authorization", h.bearer(t, identity.Viewer, -time.Minute)}, 401, "expired", "token"},
		"other scheme":  {edge.Policy{}, []string{"Authorization", "Basic x"}, 401, "Bearer", "token"},
		"not signed in": {creators, nil, 401, "sign in first", "anonymous"},
		"wrong kind":    {creators, []string{"Authorization", h.bearer(t, identity.Viewer, time.Hour)}, 403, "not open", "kind"},
	} {
		before := h.value(t, "backlot_gateway_policy_refusals_total", c.cause, "r")
		verdict, x := h.run(h.compile(t, c.policy), request("GET /x", c.header...))
		if verdict != filter.Answered || x.Response.Status != c.status || !strings.Contains(string(x.Answer), c.text) || x.Fault != c.cause {
			t.Errorf("%s: %d %s %q", name, x.Response.Status, x.Answer, x.Fault)
		}
		if (x.Response.Status == 401) != x.Response.Fields.Has(exchange.WWWAuthenticate) {
			t.Errorf("%s: WWW-Authenticate %q", name, get(x.Response.Fields, "WWW-Authenticate"))
		}
		if got := h.value(t, "backlot_gateway_policy_refusals_total", c.cause, "r"); got != before+1 {
			t.Errorf("%s: counted %v times", name, got-before)
		}
	}
}

func TestMediaGrantsAreVerifiedOnce(t *testing.T) {
	h := newHouse(t, nil)
	c := h.compile(t, edge.Policy{})
	signed, err := h.signer.Media(&identityv1.MediaGrant{TenantId: "main", VideoId: "v", Prefix: "main/v/", ExpiresAt: h.now.Add(time.Minute).UnixMicro()})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if grant, err := c.Media([]byte(signed), h.now); err != nil || grant.GetPrefix() != "main/v/" {
			t.Fatalf("%v, %v", grant, err)
		}
	}
	if n := h.value(t, "backlot_gateway_verifications_total", "grant"); n != 1 {
		t.Errorf("verified %v times", n)
	}
	h.now = h.now.Add(time.Minute)
	if _, err := c.Media([]byte(signed), h.now); !errors.Is(err, token.ErrExpired) {
		t.Errorf("at its end: %v", err)
	}
}

func TestAPIKeys(t *testing.T) {
	h := newHouse(t, nil)
	policy := func(optional bool, header string) edge.Policy {
		return edge.Policy{APIKey: &edge.APIKey{Secret: "keys", Query: "key", Header: header, Optional: optional}}
	}
	for _, c := range []struct {
		policy edge.Policy
		target string
		header []string
		status int
		query  string
	}{
		{policy(false, ""), "GET /x", []string{"x-api-key", "s3cret key"}, 0, ""},
		{policy(false, "X-Partner"), "GET /x", []string{"x-partner", "s3cret key"}, 0, ""},
		{policy(false, "Authorization"), "GET /x", []string{"Authorization", "Bearer s3cret key"}, 0, ""},
		{policy(false, ""), "GET /x?a=1&key=s3cret+key&b=2&key=x", nil, 0, "a=1&b=2"},
		{policy(false, ""), "GET /x?k%65y=s3cret%20key", nil, 0, ""},
		{policy(false, ""), "GET /x?keys=s3cret+key", nil, 401, "keys=s3cret+key"},
		{policy(false, ""), "GET /x", nil, 401, ""},
		{policy(true, ""), "GET /x?q=%2", nil, 0, "q=%2"},
		{policy(true, ""), "GET /x", []string{"x-api-key", "s3cret kez"}, 401, ""},
		{policy(false, "X-Partner"), "GET /x", nil, 401, ""},
		{policy(false, "Authorization"), "GET /x", []string{"Authorization", "Bearer other"}, 401, ""},
	} {
		verdict, x := h.run(h.compile(t, c.policy), request(c.target, c.header...))
		if got := x.Response.Status; got != c.status || (verdict == filter.Next) != (c.status == 0) {
			t.Errorf("%s %v: %d %s", c.target, c.header, got, x.Answer)
			continue
		}
		if verdict == filter.Next && !c.policy.APIKey.Optional && string(x.Subject) != "partner" {
			t.Errorf("%s %v: subject %q", c.target, c.header, x.Subject)
		}
		if string(x.Request.Query) != c.query || x.Request.HasQuery != (c.query != "") {
			t.Errorf("%s: the upstream sees %q, %t", c.target, x.Request.Query, x.Request.HasQuery)
		}
		if x.Request.Fields.Has(exchange.XAPIKey) || get(x.Request.Fields, "X-Partner") != "" {
			t.Errorf("%s %v: the key goes further", c.target, c.header)
		}
		challenge := map[string]string{"": `ApiKey header="X-Api-Key"`, "X-Partner": `ApiKey header="X-Partner"`, "Authorization": "Bearer"}[c.policy.APIKey.Header]
		if got := get(x.Response.Fields, "WWW-Authenticate"); c.status == 401 && got != challenge {
			t.Errorf("%s %v: challenge %q, want %q", c.target, c.header, got, challenge)
		}
	}
}

func TestTokensOfOtherIssuers(t *testing.T) {
	h := newHouse(t, nil)
	unix := h.now.Unix()
	good := h.foreign(fmt.Sprintf(`{"iss":"https://i","sub":"ann","exp":%d,"plan":"gold"}`, unix+60))
	policy := edge.Policy{JWT: &edge.JWT{Secret: "issuer", Issuer: "https://i", Forward: map[string]string{"plan": "X-Plan", "age": "X-Age"}}}
	optional := edge.Policy{JWT: &edge.JWT{Secret: "issuer", Issuer: "https://i", Optional: true, Forward: map[string]string{"plan": "X-Plan"}}}
	for name, c := range map[string]struct {
		policy edge.Policy
		header []string
		status int
		plan   string
		caller identity.Kind
	}{
		"good":              {policy, []string{"Authorization", "bearer " + good, "x-plan", "forged", "x-age", "7"}, 0, "gold", identity.Anonymous},
		"none":              {policy, nil, 401, "", 0},
		"another issuer":    {policy, []string{"Authorization", "Bearer " + h.foreign(fmt.Sprintf(`{"iss":"https://j","exp":%d}`, unix+60))}, 401, "", 0},
		"expired":           {policy, []string{"Authorization", "Bearer " + h.foreign(fmt.Sprintf(`{"iss":"https://i","exp":%d}`, unix))}, 401, "", 0},
		"split a header":    {policy, []string{"Authorization", "Bearer " + h.foreign(fmt.Sprintf(`{"iss":"https://i","exp":%d,"plan":"a\r\nb"}`, unix+60))}, 401, "", 0},
		"Backlot's own":     {policy, []string{"Authorization", h.bearer(t, identity.Viewer, time.Hour)}, 401, "", 0},
		"optional, none":    {optional, []string{"x-plan", "forged"}, 0, "", identity.Anonymous},
		"optional, good":    {optional, []string{"Authorization", "Bearer " + good}, 0, "gold", identity.Anonymous},
		"optional, ours":    {optional, []string{"Authorization", h.bearer(t, identity.Viewer, time.Hour)}, 0, "", identity.Viewer},
		"optional, nothing": {optional, []string{"Authorization", "Bearer x.y.z"}, 401, "", 0},
	} {
		for range 2 { // the second time by what is remembered
			verdict, x := h.run(h.compile(t, c.policy), request("GET /x", c.header...))
			if (verdict == filter.Next) != (c.status == 0) || x.Response.Status != c.status {
				t.Errorf("%s: %d %s", name, x.Response.Status, x.Answer)
				break
			}
			if c.status == 0 && (get(x.Request.Fields, "X-Plan") != c.plan || get(x.Request.Fields, "X-Age") != "" || x.Principal.Kind != c.caller) {
				t.Errorf("%s: the upstream sees %v of %v", name, x.Request.Fields, x.Principal)
			}
			if c.plan != "" && string(x.Subject) != "ann" {
				t.Errorf("%s: subject %q", name, x.Subject)
			}
		}
	}
	// Twice each of the six that are not taken, once each of the two that are.
	if n := h.value(t, "backlot_gateway_verifications_total", "jwt"); n != 14 {
		t.Errorf("%v verifications, want 14", n)
	}
	before := h.value(t, "backlot_gateway_verifications_total", "jwt")
	h.swap()
	if verdict, _ := h.run(h.compile(t, policy), request("GET /x", "Authorization", "Bearer "+good)); verdict != filter.Next {
		t.Error("refused after a swap")
	}
	if h.value(t, "backlot_gateway_verifications_total", "jwt") != before {
		t.Error("a swap forgets what was verified")
	}
	h.now = h.now.Add(time.Minute)
	if verdict, _ := h.run(h.compile(t, policy), request("GET /x", "Authorization", "Bearer "+good)); verdict != filter.Answered {
		t.Error("remembered beyond its end")
	}
}

func TestClientCertificates(t *testing.T) {
	h := newHouse(t, nil)
	for _, c := range []struct {
		names   []string
		leaf    *x509.Certificate
		status  int
		subject string
	}{
		{nil, nil, 401, ""},
		{nil, &x509.Certificate{Subject: pkix.Name{CommonName: "ann"}}, 0, "ann"},
		{[]string{"*.studio.example"}, &x509.Certificate{DNSNames: []string{"x.other.example", "cam1.studio.example"}}, 0, "cam1.studio.example"},
		{[]string{"*.studio.example"}, &x509.Certificate{DNSNames: []string{"studio.example", ".studio.example"}}, 403, ""},
		{[]string{"ann"}, &x509.Certificate{Subject: pkix.Name{CommonName: "bob"}}, 403, ""},
	} {
		x := request("GET /x")
		if c.leaf != nil {
			x.Request.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{c.leaf}}}
		}
		verdict, x := h.run(h.compile(t, edge.Policy{ClientCert: &edge.ClientCert{Names: c.names}}), x)
		if x.Response.Status != c.status || string(x.Subject) != c.subject || (verdict == filter.Next) != (c.status == 0) {
			t.Errorf("%v, %+v: %d, %q", c.names, c.leaf, x.Response.Status, x.Subject)
		}
	}
	x := request("GET /x")
	x.Request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: "ann"}}}}
	if verdict, _ := h.run(h.compile(t, edge.Policy{ClientCert: &edge.ClientCert{}}), x); verdict != filter.Answered {
		t.Error("a certificate that nobody verified is taken")
	}
}

func TestFaultsOfPoliciesNameTheField(t *testing.T) {
	h := newHouse(t, nil)
	for want, policy := range map[string]edge.Policy{
		`route "r": cors: credentials`:                         {CORS: &edge.CORS{Origins: []string{"*"}, Credentials: true}},
		`route "r": cors: origins: "shop"`:                     {CORS: &edge.CORS{Origins: []string{"shop"}}},
		`route "r": cors: origins: "https://a*.b"`:             {CORS: &edge.CORS{Origins: []string{"https://a*.b"}}},
		`route "r": api_key: secret: "gone" does not exist`:    {APIKey: &edge.APIKey{Secret: "gone"}},
		`route "r": api_key: secret: "issuer" holds no`:        {APIKey: &edge.APIKey{Secret: "issuer"}},
		`route "r": jwt: secret: "gone" does not exist`:        {JWT: &edge.JWT{Secret: "gone"}},
		`route "r": jwt: secret "keys": key set`:               {JWT: &edge.JWT{Secret: "keys"}},
		`route "r": jwt: forward: header "Backlot-Principal"`:  {JWT: &edge.JWT{Secret: "issuer", Forward: map[string]string{"a": "Backlot-Principal"}}},
		`route "r": client_certificate: names: "*a"`:           {ClientCert: &edge.ClientCert{Names: []string{"*a"}}},
		`route "r": rate_limits: [0]: rate`:                    {RateLimits: []edge.RateLimit{{}}},
		`route "r": rate_limits: [0]: key: none of`:            {RateLimits: []edge.RateLimit{{Rate: 1, Key: []edge.HashKey{{}}}}},
		`route "r": rate_limits: [0]: global`:                  {RateLimits: []edge.RateLimit{{Rate: 1, Global: true}}},
		`route "r": request_headers: remove "Content-Length"`:  {RequestHeaders: edge.HeaderEdits{Remove: []string{"Content-Length"}}},
		`route "r": request_headers: set "a b"`:                {RequestHeaders: edge.HeaderEdits{Set: []edge.HeaderValue{{Name: "a b"}}}},
		`route "r": response_headers: add "A": placeholder %X`: {ResponseHeaders: edge.HeaderEdits{Add: []edge.HeaderValue{{Name: "A", Value: "%X%"}}}},
		`route "r": response_headers: add "A": value has a %`:  {ResponseHeaders: edge.HeaderEdits{Add: []edge.HeaderValue{{Name: "A", Value: "50%"}}}},
		`route "r": response_headers: add "A": value has char`: {ResponseHeaders: edge.HeaderEdits{Add: []edge.HeaderValue{{Name: "A", Value: "a\nb"}}}},
	} {
		_, err := filter.Compile(&edge.Route{Name: "r", Policy: policy}, h.config, h.env)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
