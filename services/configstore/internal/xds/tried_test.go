package xds_test

import (
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/ads"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
	"github.com/backlot-video/backlot/services/configstore/internal/xds"
)

// follow connects as a node of a group that follows routes as whole sets.
func (f *fixture) follow(node, group string) *gateway {
	g := f.connect()
	for _, kind := range []string{ads.RouteType, ads.ManifestType} {
		g.send(&discoveryv3.DiscoveryRequest{TypeUrl: kind, Node: &corev3.Node{Id: node, Cluster: group}})
	}
	return g
}

// until takes whole sets until one is of a release, and tells the path of its
// only route and the version of the routes.
func (g *gateway) until(release string) (path, version string) {
	g.t.Helper()
	for {
		response := g.receive()
		g.ack(response)
		switch response.GetTypeUrl() {
		case ads.RouteType:
			if len(response.GetResources()) == 0 {
				continue
			}
			hosts := unpack(g.t, response.GetResources()[0], new(routev3.RouteConfiguration)).GetVirtualHosts()
			path = hosts[0].GetRoutes()[0].GetMatch().GetPrefix()
		case ads.ManifestType:
			m := unpack(g.t, response.GetResources()[0], new(gatewayv1.Manifest))
			if m.GetReleaseId() == release {
				return path, m.GetVersions()[ads.RouteType]
			}
		}
	}
}

func TestCanaryOfRoutesIsGivenToTheNodesThatItChooses(t *testing.T) {
	f := newFixture(t)
	to := func(path string) *configstorev1.Change {
		return f.put("Route", "all", &gatewayv1.Route{Path: prefix(path), Target: &gatewayv1.Route_Cluster{Cluster: "storefront"}})
	}
	first := f.apply(f.put("Cluster", "storefront", storefront()), to("/1"))
	f.inForce(first)
	chosen, other := f.follow("gate-1", "early"), f.follow("gate-2", "late")
	chosen.until(first)
	other.until(first)

	plan := &configstorev1.Plan{Match: map[string]string{"cluster": "early"}, Steps: []*configstorev1.Plan_Step{{SharePpm: 1_000_000}}}
	start := func(path string) *configstorev1.Canary {
		t.Helper()
		c, err := f.store.StartCanary(t.Context(), store.Request{Tenant: "main", Changes: []*configstorev1.Change{to(path)}}, plan)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	bad := start("/2")
	if path, _ := chosen.until(bad.GetId()); path != "/2" {
		t.Errorf("chosen: %q", path)
	}
	accepted(t, f.plane, "gate-1", bad.GetRevision())
	late := f.follow("gate-3", "early") // and whoever comes meanwhile
	if path, _ := late.until(bad.GetId()); path != "/2" {
		t.Errorf("chosen, came later: %q", path)
	}
	if _, err := f.store.EndCanary(t.Context(), "main", bad, configstorev1.Canary_STATE_ROLLED_BACK, "", "bad"); err != nil {
		t.Fatal(err)
	}
	if path, _ := chosen.until(first); path != "/1" {
		t.Errorf("taken back: %q", path)
	}
	good := start("/3")
	chosen.until(good.GetId())
	promoted, err := f.store.PromoteCanary(t.Context(), "main", good, "")
	if err != nil {
		t.Fatal(err)
	}
	// The other one has seen nothing between the two releases.
	response := other.receive()
	other.ack(response)
	if response.GetTypeUrl() != ads.RouteType {
		t.Fatalf("got %s", response.GetTypeUrl())
	}
	routes := unpack(t, response.GetResources()[0], new(routev3.RouteConfiguration)).GetVirtualHosts()[0].GetRoutes()
	if got := routes[0].GetMatch().GetPrefix(); got != "/3" {
		t.Errorf("other: %q", got)
	}
	other.until(promoted.GetReleaseId())
	chosen.until(promoted.GetReleaseId())
}

func TestCanaryOfRoutesGivesWayToWhatSomebodyElseReleases(t *testing.T) {
	f := newFixture(t)
	to := func(path string) *configstorev1.Change {
		return f.put("Route", "all", &gatewayv1.Route{Path: prefix(path), Target: &gatewayv1.Route_Cluster{Cluster: "storefront"}})
	}
	first := f.apply(f.put("Cluster", "storefront", storefront()), to("/1"))
	f.inForce(first)
	g := f.follow("gate-1", "early")
	g.until(first)
	plan := &configstorev1.Plan{Steps: []*configstorev1.Plan_Step{{SharePpm: 1_000_000}}}
	c, err := f.store.StartCanary(t.Context(), store.Request{Tenant: "main", Changes: []*configstorev1.Change{to("/2")}}, plan)
	if err != nil {
		t.Fatal(err)
	}
	g.until(c.GetId())
	f.apply(to("/4"))
	for path := ""; path != "/4"; {
		path, _ = g.until(c.GetId()) // it is the canary's set still, with what is in force in it
	}
}

// accepted waits until a node is known to have all up to a revision.
func accepted(t *testing.T, plane *xds.Plane, node string, revision int64) {
	t.Helper()
	ticker, late := time.NewTicker(5*time.Millisecond), time.After(10*time.Second)
	defer ticker.Stop()
	for {
		for _, entry := range plane.Nodes() {
			for _, a := range entry.Report.GetKinds() {
				if entry.ID() == node && a.GetKind() == "Route" && a.GetRevision() >= revision {
					return
				}
			}
		}
		select {
		case <-ticker.C:
		case <-late:
			t.Fatalf("%s has not acknowledged revision %d", node, revision)
		}
	}
}
