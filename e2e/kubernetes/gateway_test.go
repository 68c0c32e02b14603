//go:build kubernetes

package kubernetes_test

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/e2e/internal/gate"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// pod is a backend at the address that a slice may name.
func pod(t *testing.T, name string) (backend *gate.Backend, port int) {
	t.Helper()
	backend = gate.NewBackend(t, name, podAddress+":0")
	_, text, err := net.SplitHostPort(backend.Address)
	if err != nil {
		t.Fatal(err)
	}
	if port, err = strconv.Atoi(text); err != nil {
		t.Fatal(err)
	}
	return backend, port
}

// answers waits until requests through the gateway are answered by one backend.
func answers(t *testing.T, g *gate.Gate, want string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for said := ""; ; {
		if response, err := http.Get("http://" + g.Address + "/1"); err == nil {
			said = response.Header.Get("Backend")
			if said == "" {
				said = response.Status
			}
			_ = response.Body.Close()
		}
		if said == want {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%q answers, want %q", said, want)
		}
	}
}

// TestGatewayFollowsSlices leads requests to where an EndpointSlice says, under
// load, while slices change and the API server dies.
func TestGatewayFollowsSlices(t *testing.T) {
	s := newServer(t)
	_, one := pod(t, "one")
	_, two := pod(t, "two")
	s.must(http.MethodPost, slicesPath, slice("films-1", "films", one, podAddress))
	g := gate.NewOver(t, []string{
		"--configstore.kubernetes", s.url, "--configstore.kubernetes-token-file", s.tokenFile(admin),
		"--configstore.kubernetes-ca-file", s.authority,
	}, map[string]proto.Message{
		"Cluster/films": &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: "films"}},
		"Route/films":   gate.Route("/", "films"),
	})
	answers(t, g, "one")
	load := gate.NewLoad(t, g.Address, "/128", 4, time.Millisecond)
	for round := range 10 {
		next, port := "two", two
		if round%2 == 1 {
			next, port = "one", one
		}
		name := fmt.Sprintf("films-%d", round+2)
		s.must(http.MethodPost, slicesPath, slice(name, "films", port, podAddress)) // the new pod is there before the old one goes
		s.must(http.MethodDelete, slicesPath+fmt.Sprintf("/films-%d", round+1), nil)
		answers(t, g, next)
	}
	s.process.Kill()
	answers(t, g, "one")
	s.start()
	s.must(http.MethodPost, slicesPath, slice("films-12", "films", two, podAddress))
	s.must(http.MethodDelete, slicesPath+"/films-11", nil)
	answers(t, g, "two")
	if failures, first := load.Stop(); failures > 0 {
		t.Errorf("%d requests failed, the first: %v", failures, first)
	}
	t.Logf("%d requests passed", load.Passed())
}
