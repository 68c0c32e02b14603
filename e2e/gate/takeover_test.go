package gate_test

import (
	"net"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/e2e/internal/gate"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

// streaming is a route without an end.
func streaming(prefix, cluster string) *gatewayv1.Route {
	r := gate.Route(prefix, cluster)
	r.Policy.Timeout = durationpb.New(0)
	return r
}

// objects are a route for everything, and a cluster of some backends.
func objects(backends ...*gate.Backend) map[string]proto.Message {
	var addresses []string
	for _, b := range backends {
		addresses = append(addresses, b.Address)
	}
	return map[string]proto.Message{
		"Cluster/backends": gate.Cluster(addresses...), "Route/all": streaming("/", "backends"),
	}
}

// echo has every stream echo once.
func echo(t *testing.T, streams map[string]*gate.Stream, when string) {
	t.Helper()
	for name, stream := range streams {
		if err := stream.Echo(); err != nil {
			t.Fatalf("%s was cut %s: %v", name, when, err)
		}
	}
}

func TestANewBinaryTakesOverUnderLoad(t *testing.T) {
	g := gate.New(t, objects(gate.NewBackend(t, "a", "")))
	streams := map[string]*gate.Stream{"WebSocket": gate.NewWebSocket(t, g.Address), "gRPC stream": gate.NewGRPC(t, g.Address)}
	echo(t, streams, "at the start")
	load := gate.NewLoad(t, g.Address, "/128", 16, time.Millisecond)
	first := g.Process
	last := first
	for range 3 {
		asked := load.Requests.Load()
		last = g.Start()
		for load.Requests.Load() < asked+500 {
			<-time.After(time.Millisecond) // both work meanwhile
		}
		echo(t, streams, "by the new binary")
	}
	if failures, err := load.Stop(); failures > 0 {
		t.Errorf("%d of %d requests failed, first: %v", failures, load.Requests.Load(), err)
	}
	t.Logf("%d requests, 3 new binaries, 0 failed", load.Requests.Load())
	for _, stream := range streams {
		stream.Close()
	}
	<-first.Ended() // its last streams have gone
	if code := first.ExitCode(); code != 0 {
		t.Errorf("the first binary ended with %d:\n%s", code, first.Tail())
	}
	last.Stop()
}

// TestASignalReplacesTheBinary: SIGUSR2 has the process start its successor.
func TestASignalReplacesTheBinary(t *testing.T) {
	g := gate.New(t, objects(gate.NewBackend(t, "a", "")))
	load := gate.NewLoad(t, g.Address, "/128", 4, time.Millisecond)
	first := g.Process
	if err := syscall.Kill(first.PID(), syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endSuccessor(t, first.Log(), g.Address) })
	<-first.Ended()
	if code := first.ExitCode(); code != 0 {
		t.Errorf("the first binary ended with %d:\n%s", code, first.Tail())
	}
	for asked := load.Requests.Load(); load.Requests.Load() < asked+500; {
		<-time.After(time.Millisecond)
	}
	if failures, err := load.Stop(); failures > 0 {
		t.Errorf("%d of %d requests failed, first: %v", failures, load.Requests.Load(), err)
	}
}

// endSuccessor ends the process that the log tells of, which is no child of
// the test's, and waits until nobody serves the address.
func endSuccessor(t *testing.T, log, address string) {
	t.Helper()
	found := regexp.MustCompile(`msg="successor started".* pid=(\d+)`).FindStringSubmatch(log)
	if found == nil {
		t.Fatalf("no successor was started:\n%s", log)
	}
	pid, _ := strconv.Atoi(found[1])
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatalf("the successor has gone: %v", err)
	}
	for deadline := time.Now().Add(time.Minute); ; <-time.After(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		_ = conn.Close()
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the successor does not end")
		}
	}
}

func TestABinaryThatFailsToStartChangesNothing(t *testing.T) {
	g := gate.New(t, objects(gate.NewBackend(t, "a", "")))
	load := gate.NewLoad(t, g.Address, "/128", 4, time.Millisecond)
	for range 3 {
		asked := load.Requests.Load()
		failing := g.StartAnyway("--gateway.tls-cert", "/nowhere", "--gateway.tls-key", "/nowhere")
		<-failing.Ended()
		if failing.ExitCode() == 0 {
			t.Fatal("it did not fail")
		}
		for load.Requests.Load() < asked+100 {
			<-time.After(time.Millisecond)
		}
	}
	if failures, err := load.Stop(); failures > 0 {
		t.Errorf("%d of %d requests failed, first: %v", failures, load.Requests.Load(), err)
	}
}
