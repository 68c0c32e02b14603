package edge_test

import (
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

func config() *edge.Config {
	return &edge.Config{
		Clusters: map[string]edge.Cluster{"shop": {}},
		Hosts: []edge.Host{
			{Domains: []string{"*"}, Routes: []edge.Route{
				{Name: "exact", Path: "/a", Exact: true, Cluster: "shop"},
				{Name: "post", Path: "/api/", Methods: []string{"POST"}, Cluster: "shop"},
				{Name: "prefix", Path: "/seg", Cluster: "shop", PrefixRewrite: "/other"},
				{Name: "all", Path: "/files/", Cluster: "shop"},
			}},
			{Domains: []string{"*.example.com"}, Routes: []edge.Route{{Name: "wild", Path: "/", Cluster: "shop"}}},
			{Domains: []string{"www.example.com"}, Routes: []edge.Route{{Name: "www", Path: "/", Cluster: "shop"}}},
		},
	}
}

func TestMatchTakesTheMostSpecificHostAndTheFirstRoute(t *testing.T) {
	c := config()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ host, method, path, want string }{
		{"x", "GET", "/a", "exact"},
		{"x", "GET", "/a/", ""},
		{"x", "POST", "/api/x", "post"},
		{"x", "GET", "/seg", "prefix"},
		{"x", "GET", "/seg/1", "prefix"},
		{"x", "GET", "/se", ""},
		{"WWW.example.com:8080", "GET", "/", "www"},
		{"b.example.com", "GET", "/a", "wild"},
		{"example.com", "GET", "/a", "exact"},
		{"[::1]:80", "GET", "/a", "exact"},
	} {
		got := ""
		if route, _ := c.Match(test.host, test.method, test.path); route != nil {
			got = route.Name
		}
		if got != test.want {
			t.Errorf("%s %s%s: route %q, want %q", test.method, test.host, test.path, got, test.want)
		}
	}
	if _, known := c.Match("x", "GET", "/api/x"); known {
		t.Error("a wrong method is not told apart from a wrong path")
	}
}

func TestRewriteReplacesThePrefix(t *testing.T) {
	route, _ := config().Match("x", "GET", "/seg/1")
	if got := route.Rewrite("/seg/1"); got != "/other/1" {
		t.Errorf("got %q", got)
	}
}

func TestCheckNamesEveryFault(t *testing.T) {
	c := config()
	c.Hosts[0].Routes[0].Cluster = "gone"
	c.Hosts[0].Routes[1].Path = "api"
	c.Hosts[1].Domains = []string{"*"}
	err := c.Check()
	for _, want := range []string{`cluster "gone" does not exist`, `path "api" does not begin`, `host "*" appears twice`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}
