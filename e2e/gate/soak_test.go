package gate_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/e2e/internal/gate"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// use is what a process holds.
type use struct {
	goroutines, sockets int
	memory              int64 // bytes, resident
}

var goroutines = regexp.MustCompile(`(?m)^go_goroutines (\d+)`)

// usage reads what the gateway holds.
func usage(t *testing.T, g *gate.Gate) (u use) {
	t.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, "http://"+g.Ops+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if found := goroutines.FindSubmatch(text); found != nil {
		u.goroutines, _ = strconv.Atoi(string(found[1]))
	}
	process := fmt.Sprintf("/proc/%d/", g.Process.PID())
	files, err := os.ReadDir(process + "fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if to, err := os.Readlink(process + "fd/" + f.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			u.sockets++
		}
	}
	status, err := os.ReadFile(process + "status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if kilobytes, found := strings.CutPrefix(line, "VmRSS:"); found {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kilobytes), "kB")), 10, 64)
			u.memory = n << 10
		}
	}
	return u
}

// resilient has the gateway notice dead upstreams soon, ask another one, and
// keep no connection for long, so that what leaks is not hidden by pools.
func resilient(config map[string]proto.Message) {
	cluster := config["Cluster/backends"].(*gatewayv1.Cluster)
	cluster.HealthCheck = &gatewayv1.HealthCheck{
		How: &gatewayv1.HealthCheck_Tcp{Tcp: &gatewayv1.TcpCheck{}}, Interval: durationpb.New(100 * time.Millisecond), Healthy: 1, Unhealthy: 1,
	}
	cluster.Pool = &gatewayv1.ConnectionPool{IdleTimeout: durationpb.New(500 * time.Millisecond)}
	cluster.Breaker = &gatewayv1.CircuitBreaker{RetryBudget: 1}
	policy := config["Route/all"].(*gatewayv1.Route).Policy
	policy.Retry, policy.MaxAttempts = &gatewayv1.Retry{Reset_: true}, 3
}

// TestNothingLeaks loads the gateway while its upstreams die and come back. A
// short run is part of the tests; make gateway-soak takes 10 minutes.
func TestNothingLeaks(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("needs /proc") //nolint:forbidigo // of other systems nothing is known
	}
	length := 6 * time.Second
	if given, err := time.ParseDuration(os.Getenv("BACKLOT_GATE_SOAK")); err == nil {
		length = given
	}
	backends := []*gate.Backend{gate.NewBackend(t, "a", ""), gate.NewBackend(t, "b", ""), gate.NewBackend(t, "c", "")}
	config := objects(backends...)
	resilient(config)
	g := gate.New(t, config)
	// Once like all the rest, so that pools and caches are there.
	churn(t, g, backends, length/3)
	before := rest(t, g, use{})
	requests, failures, kills := churn(t, g, backends, length)
	after := rest(t, g, before)
	t.Logf("%d requests, %d failed while %d upstreams died and came back; before %+v, after %+v", requests, failures, kills, before, after)
	if failures*100 > int(requests) {
		t.Errorf("more than 1%% failed, though two upstreams of three were up at all times")
	}
	if after.goroutines > before.goroutines+5 || after.sockets > before.sockets+5 {
		t.Errorf("goroutines or sockets leak: %+v, then %+v", before, after)
	}
	if after.memory > before.memory+before.memory/3 {
		t.Errorf("memory leaks: %+v, then %+v", before, after)
	}
}

// churn loads the gateway, opens and closes streams, and kills one upstream
// after the other.
func churn(t *testing.T, g *gate.Gate, backends []*gate.Backend, length time.Duration) (requests int64, failures, kills int) {
	t.Helper()
	load := gate.NewLoad(t, g.Address, "/128", 16, time.Millisecond)
	for end := time.Now().Add(length); time.Now().Before(end); kills++ {
		dying := kills % len(backends)
		address := backends[dying].Address
		backends[dying].Close()
		<-time.After(300 * time.Millisecond)
		backends[dying] = gate.NewBackend(t, "again", address)
		<-time.After(300 * time.Millisecond)
		for _, stream := range []*gate.Stream{gate.NewWebSocket(t, g.Address), gate.NewGRPC(t, g.Address)} {
			if err := stream.Echo(); err != nil {
				t.Error(err)
			}
			stream.Close()
		}
		load.Take() // it would grow
	}
	failures, first := load.Stop()
	if failures > 0 {
		t.Logf("%d failed, first: %v", failures, first)
	}
	return load.Requests.Load(), failures, kills
}

// rest waits until connections of clients have gone, and what is held is no
// more than before or changes no longer.
func rest(t *testing.T, g *gate.Gate, before use) use {
	t.Helper()
	last := usage(t, g)
	for range 60 {
		<-time.After(250 * time.Millisecond)
		now := usage(t, g)
		if before.goroutines > 0 && now.goroutines <= before.goroutines && now.sockets <= before.sockets {
			return now
		}
		if before.goroutines == 0 && now.goroutines == last.goroutines && now.sockets == last.sockets {
			return now
		}
		last = now
	}
	return last
}
