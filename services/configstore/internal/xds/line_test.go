package xds

import (
	"fmt"
	"testing"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// crowd is 10,000 endpoints in 1,000 clusters, and a route to each.
func crowd() *state {
	s := newState()
	for c := range 1000 {
		name := fmt.Sprintf("c%d", c)
		s.clusters[id{"default", name}] = &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: name}}
		s.routes[id{"default", name}] = &gatewayv1.Route{
			Path: prefix("/" + name), Target: &gatewayv1.Route_Cluster{Cluster: name},
		}
		for e := range 10 {
			s.place(fmt.Sprintf("%s-%d", name, e), instanceOf(name, e, 80))
		}
	}
	return s
}

func instanceOf(service string, n, port int) *configstorev1.Instance {
	return &configstorev1.Instance{
		Id: fmt.Sprintf("%s-%d", service, n), Service: service, Address: fmt.Sprintf("10.0.0.%d:%d", n, port), Ready: true,
	}
}

// BenchmarkEndpoint is a change of one endpoint of 10,000, until the snapshot
// is made.
func BenchmarkEndpoint(b *testing.B) {
	l := (*line)(nil).at(crowd())
	if _, err := l.next(); err != nil {
		b.Fatal(err)
	}
	for n := 0; b.Loop(); n++ {
		l.state.place("c7-3", instanceOf("c7", 3, 1000+n%1000))
		l.matters(true)
		if changed, err := l.next(); !changed || err != nil {
			b.Fatal(changed, err)
		}
	}
}

// BenchmarkRoute is a change of one route of 1,000.
func BenchmarkRoute(b *testing.B) {
	l := (*line)(nil).at(crowd())
	if _, err := l.next(); err != nil {
		b.Fatal(err)
	}
	for n := 0; b.Loop(); n++ {
		l.state.routes[id{"default", "c7"}] = &gatewayv1.Route{
			Path: prefix(fmt.Sprintf("/other-%d", n)), Target: &gatewayv1.Route_Cluster{Cluster: "c7"},
		}
		l.state.routing++
		l.matters(true)
		if changed, err := l.next(); !changed || err != nil {
			b.Fatal(changed, err)
		}
	}
}

// BenchmarkAll renders, validates and marshals all of it.
func BenchmarkAll(b *testing.B) {
	s := crowd()
	for b.Loop() {
		if _, err := (*line)(nil).at(s).next(); err != nil {
			b.Fatal(err)
		}
	}
}
