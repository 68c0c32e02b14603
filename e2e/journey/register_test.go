package journey

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/kit/rpc"
	"github.com/backlot-video/backlot/kit/testport"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
)

// warehouse is a service of somebody else: a participant of transactions that
// Backlot knows from the register alone. It prints what it was asked.
type warehouse struct{}

const warehouseName = "warehouse"

// Name implements lifecycle.Service.
func (warehouse) Name() string { return warehouseName }

// RegisterFlags implements lifecycle.Service.
func (warehouse) RegisterFlags(*config.Set) {}

// Validate implements lifecycle.Service.
func (warehouse) Validate() error { return nil }

// Run implements lifecycle.Service.
func (w warehouse) Run(ctx context.Context, host *lifecycle.Host) error {
	host.Handle(tccv1.ParticipantServiceDesc, w)
	host.Ready()
	<-ctx.Done()
	return nil
}

// Try implements tccv1.ParticipantServiceServer.
func (warehouse) Try(_ context.Context, request *tccv1.TryRequest) (*tccv1.TryResponse, error) {
	fmt.Println("tried", request.GetBranch().GetXid())
	return &tccv1.TryResponse{}, nil
}

// Confirm implements tccv1.ParticipantServiceServer.
func (warehouse) Confirm(_ context.Context, request *tccv1.ConfirmRequest) (*tccv1.ConfirmResponse, error) {
	fmt.Println("confirmed", request.GetBranch().GetXid())
	return &tccv1.ConfirmResponse{}, nil
}

// Cancel implements tccv1.ParticipantServiceServer.
func (warehouse) Cancel(context.Context, *tccv1.CancelRequest) (*tccv1.CancelResponse, error) {
	return &tccv1.CancelResponse{}, nil
}

// runWarehouse is set in the environment of this binary where it is to be a
// warehouse and no test.
const runWarehouse = "E2E_WAREHOUSE"

// newWarehouse starts one beside a node, and waits until the register has it.
// It serves Connect, and Kitex at an address that may be empty.
func (r *register) newWarehouse(t *testing.T, dir, kitex string) *cluster.Process {
	t.Helper()
	ops, address := testport.Address(t), testport.Address(t)
	p := cluster.Start(t, os.Args[0], []string{
		"--data-dir", dir, "--cluster-key-file", filepath.Join(r.node.Dir, "cluster.key"), "--configstore", r.node.Socket("configstore"),
		"--ops-listen", ops, "--warehouse.rpc-listen", address, "--warehouse.kitex-listen", kitex,
	}, []string{runWarehouse + "=1"})
	if _, err := p.WaitReady(ops); err != nil {
		t.Fatal(err)
	}
	r.await(t, "an instance at "+address, func(at []string) bool { return strings.Contains(strings.Join(at, " "), address) })
	return p
}

// register is a node, and a client of it.
type register struct {
	node         *cluster.Node
	objects      configstorev1.ConfigServiceClient
	transactions coordinatorv1.CoordinatorServiceClient
}

func newRegister(t *testing.T, node *cluster.Node) *register {
	t.Helper()
	keys, err := identity.OpenKeys(filepath.Join(node.Dir, "cluster.key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	at := func(service string) []rpc.Endpoint { return []rpc.Endpoint{{Address: node.Socket(service)}} }
	dialer := rpc.NewDialer(rpc.ClientConfig{Service: "test", Signer: keys, Resolver: rpc.ResolverFunc(at)})
	t.Cleanup(func() { _ = dialer.Close() })
	return &register{
		node, configstorev1.NewConfigServiceClient(dialer.Conn("configstore")),
		coordinatorv1.NewCoordinatorServiceClient(dialer.Conn("coordinator")),
	}
}

// await waits until warehouses are registered at addresses that will do.
func (r *register) await(t *testing.T, what string, enough func(addresses []string) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second) // three leases
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		listed, err := r.objects.List(ctx, &configstorev1.ListRequest{Kind: "Instance"})
		var addresses []string
		for _, object := range listed.GetObjects() {
			instance := new(configstorev1.Instance)
			if err := object.GetSpec().UnmarshalTo(instance); err != nil {
				t.Fatal(err)
			}
			if instance.GetService() == warehouseName {
				addresses = append(addresses, instance.GetAddress())
			}
		}
		if err == nil && enough(addresses) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the register does not come to hold %s: %v, %v", what, addresses, err)
		}
	}
}

// trade has the coordinator of the node carry a transaction out with a
// warehouse, and returns its id.
func (r *register) trade(t *testing.T, xid string) string {
	t.Helper()
	answer, err := r.transactions.Submit(t.Context(), &coordinatorv1.SubmitRequest{
		Xid: xid, Wait: coordinatorv1.Wait_WAIT_CONFIRMED,
		Branches: []*coordinatorv1.BranchSpec{{BranchId: "stock", Service: warehouseName, Action: "take"}},
	})
	if err != nil || answer.GetTransaction().GetState() != coordinatorv1.TransactionState_TRANSACTION_STATE_CONFIRMED {
		t.Fatalf("transaction %s: %v, %v", xid, answer, err)
	}
	return xid
}

// TestInstanceOfAnotherProcessIsCalled has all of Backlot in one
// process call a service of which it knows only that instances of it have
// registered: by the coordinator, whose calls are resolved as all others are,
// over Connect and over Kitex. One that is killed is called no more, and its lease ends.
func TestInstanceOfAnotherProcessIsCalled(t *testing.T) {
	const trades = 12
	node := cluster.NewNode(t, cluster.Plain)
	up := node.Up()
	r := newRegister(t, node)
	dir := t.TempDir()
	first := r.newWarehouse(t, filepath.Join(dir, "first"), "")
	if xid := r.trade(t, "alone"); !strings.Contains(first.Log(), "tried "+xid) || !strings.Contains(first.Log(), "confirmed "+xid) {
		t.Fatalf("the transaction is confirmed, and the only instance knows nothing of it:\n%s", first.Tail())
	}
	second := r.newWarehouse(t, filepath.Join(dir, "second"), testport.Address(t))
	first.Kill()
	killed := time.Now()
	for n := range trades {
		if xid := r.trade(t, fmt.Sprint("elsewhere-", n)); !strings.Contains(second.Log(), "confirmed "+xid) {
			t.Errorf("%s is confirmed by whom?\n%s", xid, second.Tail())
		}
	}
	t.Logf("%d transactions within %v of the kill", trades, time.Since(killed).Round(time.Millisecond))
	r.await(t, "one instance alone", func(at []string) bool { return len(at) == 1 })
	t.Logf("the lease of the one that was killed ended after %v", time.Since(killed).Round(time.Millisecond))
	if xid := r.trade(t, "after"); !strings.Contains(second.Log(), "confirmed "+xid) {
		t.Errorf("%s is confirmed by whom?\n%s", xid, second.Tail())
	}
	second.Stop()
	r.await(t, "no instance", func(at []string) bool { return len(at) == 0 })
	up.Stop()
}
