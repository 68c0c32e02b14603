package edge_test

import (
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// fields are header fields by lower-case name.
type fields map[string]string

func (f fields) Joined(name string) ([]byte, bool) {
	value, found := f[strings.ToLower(name)]
	return []byte(value), found
}

func config() *edge.Config {
	return &edge.Config{
		Clusters: map[string]edge.Cluster{"shop": {}},
		Hosts: []edge.Host{
			{Domains: []string{"*"}, Routes: []edge.Route{
				{Name: "exact", Path: "/a", Exact: true, Cluster: "shop"},
				{Name: "canary", Path: "/api/", Headers: []edge.HeaderMatch{{Name: "X-Canary", Exact: "yes"}}, Cluster: "shop"},
				{Name: "debug", Path: "/api/", Queries: []edge.HeaderMatch{{Name: "de bug", Regex: "[0-9]+"}}, Cluster: "shop"},
				{Name: "post", Path: "/api/", Methods: []string{"POST"}, Cluster: "shop"},
				{Name: "new", Path: "/videos/new", Exact: true, Cluster: "shop"},
				{Name: "part", Path: "/videos/{id}/parts/{rest...}", Template: true, PathRewrite: "/p/{rest}/of/{id}", Cluster: "shop"},
				{Name: "video", Path: "/videos/{id}", Template: true, Cluster: "shop"},
				{Name: "prefix", Path: "/seg", Cluster: "shop", PrefixRewrite: "/other"},
				{Name: "all", Path: "/files/", Cluster: "shop"},
			}},
			{Domains: []string{"*.example.com"}, Routes: []edge.Route{{Name: "wild", Path: "/", Cluster: "shop"}}},
			{Domains: []string{"*.eu.example.com"}, Routes: []edge.Route{{Name: "europe", Path: "/", Cluster: "shop"}}},
			{Domains: []string{"www.example.com"}, Routes: []edge.Route{{Name: "www", Path: "/", Cluster: "shop"}}},
		},
	}
}

func match(c *edge.Config, host, method, target string, f fields) (string, bool) {
	path, query, _ := strings.Cut(target, "?")
	route, known := c.Match([]byte(host), []byte(method), []byte(path), []byte(query), f)
	if route == nil {
		return "", known
	}
	return route.Name, known
}

func TestMatchTakesTheMostSpecificHostAndTheFirstRoute(t *testing.T) {
	c := config()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	canary := fields{"x-canary": "yes"}
	for _, test := range []struct {
		host, method, target, want string
		fields                     fields
	}{
		{"x", "GET", "/a", "exact", nil},
		{"x", "GET", "/a/", "", nil},
		{"x", "POST", "/api/x", "post", nil},
		{"x", "POST", "/api/x", "canary", canary},
		{"x", "POST", "/api/x", "post", fields{"x-canary": "no"}},
		{"x", "GET", "/api/x?a=1&de%20bug=42", "debug", nil},
		{"x", "GET", "/api/x?de+bug=42", "debug", nil},
		{"x", "GET", "/api/x?de+bug=4x", "", nil},
		{"x", "GET", "/seg", "prefix", nil},
		{"x", "GET", "/seg/1", "prefix", nil},
		{"x", "GET", "/se", "", nil},
		{"x", "GET", "/videos/new", "new", nil},
		{"x", "GET", "/videos/7", "video", nil},
		{"x", "GET", "/videos/", "", nil},
		{"x", "GET", "/videos/7/parts/", "part", nil},
		{"x", "GET", "/videos/7/parts/1/2", "part", nil},
		{"x", "GET", "/videos/7/parts", "", nil},
		{"x", "GET", "/videos/7/other", "", nil},
		{"WWW.example.com:8080", "GET", "/", "www", nil},
		{"www.example.com.", "GET", "/", "www", nil},
		{"b.example.com", "GET", "/a", "wild", nil},
		{"c.b.example.com", "GET", "/a", "wild", nil},
		{"b.eu.example.com", "GET", "/a", "europe", nil},
		{"eu.example.com", "GET", "/a", "wild", nil},
		{"example.com", "GET", "/a", "exact", nil},
		{".example.com", "GET", "/a", "exact", nil},
		{"[::1]:80", "GET", "/a", "exact", nil},
		{"::1", "GET", "/a", "exact", nil},
		{"", "GET", "/a", "exact", nil},
		{strings.Repeat("x.", 200) + "example.com", "GET", "/a", "exact", nil},
	} {
		if got, _ := match(c, test.host, test.method, test.target, test.fields); got != test.want {
			t.Errorf("%s %s%s: route %q, want %q", test.method, test.host, test.target, got, test.want)
		}
	}
}

func TestWrongMethodIsToldApartFromWrongPath(t *testing.T) {
	c := config()
	if _, known := match(c, "x", "GET", "/api/x", nil); known {
		t.Error("only the method is wrong, but it counts as known")
	}
	if _, known := match(c, "x", "GET", "/nowhere", nil); !known {
		t.Error("the path is wrong, but the method is blamed")
	}
	if got := c.Methods([]byte("x"), []byte("/api/x"), nil, nil); len(got) != 1 || got[0] != "POST" {
		t.Errorf("methods of the path: %q, want POST", got)
	}
}

func TestConditions(t *testing.T) {
	for _, test := range []struct {
		condition edge.HeaderMatch
		value     string // `-` for none
		want      bool
	}{
		{edge.HeaderMatch{Exact: "a"}, "a", true},
		{edge.HeaderMatch{Exact: "a"}, "ab", false},
		{edge.HeaderMatch{Exact: "a", Invert: true}, "b", true},
		{edge.HeaderMatch{Exact: "a", Invert: true}, "-", false},
		{edge.HeaderMatch{Prefix: "a"}, "ab", true},
		{edge.HeaderMatch{Prefix: "ab"}, "a", false},
		{edge.HeaderMatch{Suffix: "b"}, "ab", true},
		{edge.HeaderMatch{Suffix: "b"}, "ba", false},
		{edge.HeaderMatch{Regex: "a+|b"}, "aa", true},
		{edge.HeaderMatch{Regex: "a+|b"}, "ab", false},
		{edge.HeaderMatch{Regex: "a", Invert: true}, "b", true},
		{edge.HeaderMatch{Present: true}, "", true},
		{edge.HeaderMatch{Present: true}, "-", false},
		{edge.HeaderMatch{Present: true, Invert: true}, "-", true},
	} {
		test.condition.Name = "h"
		f := fields{}
		query := ""
		if test.value != "-" {
			f["h"], query = test.value, "x=1&h="+test.value
		}
		for name, route := range map[string]edge.Route{
			"header": {Path: "/", Headers: []edge.HeaderMatch{test.condition}},
			"query":  {Path: "/", Queries: []edge.HeaderMatch{test.condition}},
		} {
			c := &edge.Config{Hosts: []edge.Host{{Domains: []string{"*"}, Routes: []edge.Route{route}}}}
			if found, _ := c.Match(nil, nil, []byte("/"), []byte(query), f); (found != nil) != test.want {
				t.Errorf("%s: %+v of %q: %v", name, test.condition, test.value, found != nil)
			}
		}
	}
}

func TestRewrites(t *testing.T) {
	c := config()
	for target, want := range map[string]string{
		"/seg/1":                "/other/1",
		"/seg":                  "/other",
		"/files/1":              "/files/1",
		"/videos/7/parts/1/2":   "/p/1/2/of/7",
		"/videos/7/parts/":      "/p//of/7",
		"/videos/%7B/parts/{id": "/p/{id/of/%7B",
	} {
		route, _ := c.Match([]byte("x"), []byte("GET"), []byte(target), nil, nil)
		if route == nil {
			t.Fatalf("no route for %s", target)
		}
		if got := string(route.AppendPath(nil, []byte(target))); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}

func TestCheckNamesEveryFault(t *testing.T) {
	c := &edge.Config{
		Clusters: map[string]edge.Cluster{
			"shop": {},
			"tls":  {TLS: &edge.ClusterTLS{Authority: "gone", Certificate: "jwks"}, Errors: &edge.ErrorBreaker{Share: 2}},
		},
		Secrets: map[string]edge.Secret{"jwks": {JWKS: []byte("{}")}},
		Listeners: []edge.Listener{
			{Name: "a", Address: "127.0.0.1:1", TLS: &edge.ListenerTLS{RequireClient: true}},
			{Name: "a"},
			{Name: "b", Address: "127.0.0.1:1"},
		},
		Hosts: []edge.Host{
			{Domains: []string{"*"}, Routes: []edge.Route{
				{Name: "1", Path: "/a", Cluster: "gone"},
				{Name: "2", Path: "api", Cluster: "shop"},
				{Name: "3", Path: "/a/../b", Cluster: "shop"},
				{Name: "4", Path: "/{a}/{a}", Template: true, Cluster: "shop"},
				{Name: "5", Path: "/{a}", Template: true, PathRewrite: "/{b}", Cluster: "shop"},
				{Name: "6", Path: "/{a...}", Template: true, PathRewrite: "/x/.{a}", Cluster: "shop"},
				{Name: "7", Path: "/a", PrefixRewrite: "/b/", Cluster: "shop"},
				{Name: "8", Path: "/", Cluster: "shop", Headers: []edge.HeaderMatch{{Name: "x", Regex: "("}}, Queries: []edge.HeaderMatch{{Name: "y"}}},
				{Name: "9", Path: "/", Split: []edge.WeightedCluster{{Cluster: "shop"}, {Cluster: "lost"}}},
				{Name: "10", Path: "/", Cluster: "shop", Policy: edge.Policy{
					CORS: &edge.CORS{Origins: []string{"*"}, Credentials: true},
					JWT:  &edge.JWT{Secret: "none"}, APIKey: &edge.APIKey{Secret: "jwks"},
					ExtAuthz: &edge.ExtAuthz{Cluster: "auth"}, RateLimits: []edge.RateLimit{{}},
				}},
				{Name: "11", Path: "/", Target: edge.ToRedirect, Redirect: &edge.Redirect{Status: 200}},
				{Name: "12", Path: "/", Target: edge.ToAnswer, Answer: &edge.Answer{Status: 99}},
			}},
			{Domains: []string{"*", "a.*"}},
		},
	}
	err := c.Check()
	for _, want := range []string{
		`host "*" appears twice`,
		`host "a.*" is neither`,
		`route "1": cluster: cluster "gone" does not exist`,
		`route "2": path: "api" does not begin with /`,
		`route "3": path: "/a/../b" never matches`,
		`route "4": path: template "/{a}/{a}" captures {a} twice`,
		`route "5": path_rewrite: "/{b}" {b} is not captured`,
		`route "6": path_rewrite: "/x/.{a}" must not hold`,
		`route "7": prefix_rewrite: ends with /`,
		`route "8": headers[0]: "x": regex: `,
		`route "8": queries[0]: "y": 0 of exact`,
		`route "9": split: weights sum to 0`,
		`route "9": split[1].cluster: cluster "lost"`,
		`route "10": policy.cors.credentials: `,
		`route "10": policy.jwt.secret: secret "none" does not exist`,
		`route "10": policy.api_key.secret: secret "jwks" has no API keys`,
		`route "10": policy.ext_authz.cluster: cluster "auth"`,
		`route "10": policy.rate_limits[0]: `,
		`route "11": redirect.status: `,
		`route "12": answer.status: `,
		`cluster "tls": tls.authority: secret "gone" does not exist`,
		`cluster "tls": tls.certificate: secret "jwks" has no certificate`,
		`cluster "tls": error_breaker.share: `,
		`listener "a" appears twice`,
		`listener "b": address: 127.0.0.1:1 is that of listener "a"`,
		`listener "a": tls.certificates: must name`,
		`listener "a": tls.require_client: needs`,
		`listener "a": address: is missing`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q in\n%v", want, err)
		}
	}
}
