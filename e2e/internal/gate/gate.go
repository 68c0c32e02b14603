// Package gate runs a configstore and gateways over it as processes, for tests
// of the gateway alone. It gives them configuration the way operators do, as
// objects.
//
//	gate.go     processes and configuration
//	backend.go  what the gateway passes requests to
//	client.go   load that tells what failed
package gate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/rpc"
	"github.com/backlot-video/backlot/kit/testport"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// Gate is a configstore with a gateway.
type Gate struct {
	Address string // public
	Ops     string // operations
	Store   *cluster.Process
	Process *cluster.Process // the gateway that serves

	t       *testing.T
	dir     string
	control string // the gateway's own API
	store   string
	objects configstorev1.ConfigServiceClient
	status  gatewayv1.GatewayServiceClient
	flags   []string
}

// variant of the binaries; a run with the race detector says so.
func variant() cluster.Variant {
	if os.Getenv("BACKLOT_E2E_GATE_RACE") != "" {
		return cluster.Race
	}
	return cluster.Plain
}

// New starts a configstore and a gateway with more flags, and waits until the
// configuration is in force.
func New(t *testing.T, config map[string]proto.Message, flags ...string) *Gate {
	t.Helper()
	return NewOver(t, nil, config, flags...)
}

// NewOver is New with more flags for the configstore.
func NewOver(t *testing.T, storeFlags []string, config map[string]proto.Message, flags ...string) *Gate {
	t.Helper()
	dir, err := os.MkdirTemp("", "gate") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	g := &Gate{
		Address: testport.Address(t), Ops: testport.Address(t), t: t, dir: dir,
		control: testport.Address(t), store: testport.Address(t), flags: flags,
	}
	ops := testport.Address(t)
	g.Store = cluster.Start(t, cluster.Build(t, variant(), "services/configstore/cmd/configstore"), append([]string{
		"--data-dir", filepath.Join(dir, "configstore"), "--cluster-key-file", g.key(),
		"--configstore.rpc-listen", g.store, "--configstore.kitex-listen", "", "--ops-listen", ops,
	}, storeFlags...), nil)
	if _, err := g.Store.WaitReady(ops); err != nil {
		t.Fatal(err)
	}
	keys, err := identity.OpenKeys(g.key(), nil)
	if err != nil {
		t.Fatal(err)
	}
	dialer := rpc.NewDialer(rpc.ClientConfig{
		Service: "test", Signer: keys,
		Resolver: rpc.Static(map[string][]rpc.Endpoint{"configstore": {{Address: g.store}}, "gateway": {{Address: g.control}}}),
	})
	t.Cleanup(func() { _ = dialer.Close() })
	g.objects = configstorev1.NewConfigServiceClient(dialer.Conn("configstore"))
	g.status = gatewayv1.NewGatewayServiceClient(dialer.Conn("gateway"))
	release := g.Apply(config)
	g.Process = g.Start()
	if err := g.InForce(release); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *Gate) key() string { return filepath.Join(g.dir, "cluster.key") }

// Start starts a gateway on the same data folder, which takes over from one
// that runs, and waits until it is ready.
func (g *Gate) Start() *cluster.Process {
	g.t.Helper()
	return g.StartProgram(g.Program())
}

// Program is the path of the gateway's binary, which all tests share.
func (g *Gate) Program() string {
	g.t.Helper()
	return cluster.Build(g.t, variant(), "services/gateway/cmd/gateway")
}

// StartProgram is Start with a binary of the test's own.
func (g *Gate) StartProgram(program string) *cluster.Process {
	g.t.Helper()
	p := g.start(program, nil)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !strings.Contains(p.Log(), "msg=ready ") { // its operations address may still be its predecessor's
		select {
		case <-tick.C:
		case <-p.Ended():
			g.t.Fatalf("the gateway ended before it was ready:\n%s", p.Tail())
		case <-limit:
			g.t.Fatalf("the gateway is not ready after a minute:\n%s", p.Tail())
		}
	}
	return p
}

// StartAnyway is Start without waiting; more flags come last.
func (g *Gate) StartAnyway(more ...string) *cluster.Process {
	g.t.Helper()
	return g.start(g.Program(), more)
}

func (g *Gate) start(program string, more []string) *cluster.Process {
	g.t.Helper()
	return cluster.Start(g.t, program, append([]string{
		"--data-dir", filepath.Join(g.dir, "gateway"), "--cluster-key-file", g.key(), "--configstore", g.store,
		"--gateway.listen", g.Address, "--gateway.rpc-listen", g.control, "--gateway.kitex-listen", "",
		"--gateway.default-routes=false", "--ops-listen", g.Ops, "--takeover", "--log-level", "debug",
	}, slices.Concat(engine(), g.flags, more)...), nil)
}

// engine is the flag of the engine that BACKLOT_E2E_GATE_ENGINE asks for.
func engine() []string {
	if name := os.Getenv("BACKLOT_E2E_GATE_ENGINE"); name != "" {
		return []string{"--gateway.engine", name}
	}
	return nil
}

// Apply writes objects, by `Kind/name`, and returns the release. A nil object
// is deleted.
func (g *Gate) Apply(config map[string]proto.Message) string {
	g.t.Helper()
	release, err := g.TryApply(g.t.Context(), config)
	if err != nil {
		g.t.Fatal(err)
	}
	return release
}

// TryApply is Apply for any goroutine.
func (g *Gate) TryApply(ctx context.Context, config map[string]proto.Message) (release string, err error) {
	request := &configstorev1.ApplyRequest{Reason: "test"}
	for key, spec := range config {
		kind, name, _ := strings.Cut(key, "/")
		at := &configstorev1.Key{Kind: kind, Name: name}
		if spec == nil {
			request.Changes = append(request.Changes, &configstorev1.Change{Change: &configstorev1.Change_Delete{Delete: at}})
			continue
		}
		packed, err := anypb.New(spec)
		if err != nil {
			return "", err
		}
		request.Changes = append(request.Changes, &configstorev1.Change{
			Change: &configstorev1.Change_Put{Put: &configstorev1.Object{Key: at, Spec: packed}},
		})
	}
	answer, err := g.objects.Apply(ctx, request)
	if err != nil {
		return "", fmt.Errorf("apply: %w", err)
	}
	return answer.GetRelease().GetId(), nil
}

// InForce waits until the gateway serves by a release.
func (g *Gate) InForce(release string) error {
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		answer, err := g.status.GetStatus(ctx, &gatewayv1.GetStatusRequest{})
		if err == nil && answer.GetReleaseId() == release {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("release %s is not in force: status %v, %w:\n%s", release, answer, err, g.Process.Tail())
		}
	}
}

// Cluster is one with fixed endpoints.
func Cluster(addresses ...string) *gatewayv1.Cluster {
	return &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Static{Static: &gatewayv1.StaticEndpoints{Addresses: addresses}}}
}

// Route leads a prefix to a cluster.
func Route(prefix, cluster string) *gatewayv1.Route {
	return &gatewayv1.Route{
		Path:   &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Prefix{Prefix: prefix}},
		Target: &gatewayv1.Route_Cluster{Cluster: cluster}, Policy: &gatewayv1.RoutePolicy{},
	}
}
