package xds

import (
	"testing"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

func TestOnlyWhatChangedIsRenderedAgain(t *testing.T) {
	s, r := newState(), new(renderer)
	for _, name := range []string{"a", "b"} {
		s.clusters[id{"default", name}] = &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: name}}
		s.routes[id{"default", name}] = consoleAt(prefix("/" + name))
	}
	first, err := r.render(s)
	if err != nil {
		t.Fatal(err)
	}
	s.enrol(nil, &configstorev1.Instance{Id: "a-1", Service: "a", Address: "a:1", Ready: true})
	s.routes[id{"default", "b"}], s.routing = consoleAt(prefix("/c")), 1
	second, err := r.render(s)
	if err != nil {
		t.Fatal(err)
	}
	if first.listeners[edge] != second.listeners[edge] || first.clusters["a"] != second.clusters["a"] || first.endpoints["b"] != second.endpoints["b"] {
		t.Error("what has not changed was rendered again")
	}
	if len(second.endpoints["a"].GetEndpoints()) != 1 {
		t.Errorf("endpoints of a = %v", second.endpoints["a"])
	}
	before, after := first.routes[edge].GetVirtualHosts()[0].GetRoutes(), second.routes[edge].GetVirtualHosts()[0].GetRoutes()
	if before[0] != after[0] || after[1].GetMatch().GetPrefix() != "/c" {
		t.Errorf("routes = %v", after)
	}
}

func TestRosterFollowsInstances(t *testing.T) {
	s := newState()
	one := &configstorev1.Instance{Id: "1", Service: "s", Address: "a:1", Ready: true}
	two := &configstorev1.Instance{Id: "2", Service: "s", Address: "a:2", Ready: true}
	s.enrol(nil, two)
	s.enrol(nil, one)
	if got := s.roster("s").instances; len(got) != 2 || got[0] != one {
		t.Errorf("roster = %v", got)
	}
	moved := &configstorev1.Instance{Id: "1", Service: "t", Address: "a:1", Ready: true}
	s.enrol(one, moved)
	s.enrol(two, &configstorev1.Instance{Id: "2", Service: "s", Address: "a:2"}) // no longer ready
	if s.roster("s") != nobody || len(s.roster("t").instances) != 1 || s.roster("") != nobody {
		t.Errorf("rosters = %v", s.rosters)
	}
	s.enrol(moved, nil)
	if len(s.rosters) != 0 {
		t.Errorf("rosters = %v", s.rosters)
	}
}
