package counting

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/kit/rpc"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// town is a broker and the replicas that are registered, each with a server.
type town struct {
	t       *testing.T
	journal Journal
	keys    *identity.Keys

	mu      sync.Mutex
	members map[string]rpc.Endpoint
}

func newTown(t *testing.T) *town {
	t.Helper()
	broker, err := mq.NewServer(mq.ServerConfig{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	client, err := mq.Connect(t.Context(), mq.ClientConfig{Server: broker})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	journal, err := client.Journal(t.Context(), mq.JournalConfig{Name: "rules_velocity"})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := identity.OpenKeys(filepath.Join(t.TempDir(), "cluster.key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return &town{t: t, journal: journal, keys: keys, members: map[string]rpc.Endpoint{}}
}

// citizen is one replica's view.
type citizen struct {
	*town
	name   string
	dialer *rpc.Dialer
}

func (c citizen) Members() (self string, all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.members {
		all = append(all, name)
	}
	return c.name, all
}

func (c citizen) Client(name string) rulesv1.VelocityServiceServer {
	return rulesv1.NewVelocityServiceClient(c.dialer.Conn(name))
}

func (w *town) resolve(name string) []rpc.Endpoint {
	w.mu.Lock()
	defer w.mu.Unlock()
	if endpoint, known := w.members[name]; known {
		return []rpc.Endpoint{endpoint}
	}
	return nil
}

// join starts a replica with a server of its own, and registers it.
func (w *town) join(name string) *replica {
	w.t.Helper()
	dialer := rpc.NewDialer(rpc.ClientConfig{Service: "rules", Signer: w.keys, Resolver: rpc.ResolverFunc(w.resolve)})
	w.t.Cleanup(func() { _ = dialer.Close() })
	r := begin(w.t, w.t.TempDir(), w.journal, citizen{w, name, dialer})
	server := rpc.NewServer(rpc.ServerConfig{Service: "rules", Verifier: w.keys})
	server.Handle(rulesv1.VelocityServiceDesc, NewServer(r.Counts))
	listener, err := (&net.ListenConfig{}).Listen(w.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	go func() { _ = server.ServeKitex(listener) }() // ends with Shutdown
	r.kill = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
	})
	w.t.Cleanup(r.kill)
	w.register(name, rpc.Endpoint{KitexAddress: listener.Addr().String()})
	return r
}

func (w *town) register(name string, endpoint rpc.Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members[name] = endpoint
}

func (w *town) leave(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.members, name)
}

// settled waits until replicas know so many members, have the history of what
// they hold and all that the journal has.
func settled(t *testing.T, members int, replicas ...*replica) {
	t.Helper()
	waitFor(t, func() bool {
		for _, r := range replicas {
			now := r.cluster.current.Load()
			if now == nil || len(now.members) != members || r.cluster.isFilling() {
				return false
			}
			if err := r.Confirm(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, last, err := (*r.journal.Load()).Bounds(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.applied() < last {
				return false
			}
		}
		return true
	})
}

func (c *cluster) isFilling() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.filling[:], true)
}

func TestReplicasCountTogether(t *testing.T) {
	town := newTown(t)
	a := town.join("a")
	a.fill(t, 200, "1") // alone
	b := town.join("b")
	settled(t, 2, a, b)
	a.fill(t, 200, "2")
	b.fill(t, 200, "3", "2") // "2" was counted by way of a
	a.check(t, "a of two", 200, 3)
	b.check(t, "b of two", 200, 3)

	c := town.join("c")
	settled(t, 3, a, b, c)
	var group sync.WaitGroup
	for i, r := range []*replica{a, b, c} {
		group.Go(func() { r.fill(t, 200, fmt.Sprint("x", i), fmt.Sprint("y", i)) })
	}
	group.Wait()
	owned := map[string]int{}
	for _, owner := range a.cluster.current.Load().owners {
		owned[owner]++
	}
	for _, name := range []string{"a", "b", "c"} {
		if owned[name] < velocity.Partitions/6 {
			t.Errorf("%s owns %d partitions", name, owned[name])
		}
	}
	for name, r := range map[string]*replica{"a": a, "b": b, "c": c} {
		r.check(t, name+" of three", 200, 9)
	}

	// One goes without a word: the standby has what was confirmed.
	settled(t, 3, a, b, c)
	b.kill()
	b.stop()
	missing := 0
	for i := range 200 {
		if _, ok := a.count(fmt.Sprint("card", i), false, ""); !ok {
			missing++
		}
	}
	if missing < 5 || missing > 90 { // of a third, half have their standby at a
		t.Errorf("%d of 200 keys are missing while their owner is away", missing)
	}
	town.leave("b")
	settled(t, 2, a, c)
	a.check(t, "a without b", 200, 9)
	c.check(t, "c without b", 200, 9)

	// The last one has everything.
	c.kill()
	c.stop()
	town.leave("c")
	settled(t, 1, a)
	a.check(t, "a alone", 200, 9)
	a.fill(t, 200, "end")
	a.check(t, "a counting on", 200, 10)
}

func TestPartitionsOfOthersStay(t *testing.T) {
	three := layoutOf("a", []string{"a", "b", "c"})
	two := layoutOf("a", []string{"a", "b"})
	for p, owner := range three.owners {
		if owner != "c" && two.owners[p] != owner {
			t.Errorf("partition %d moved from %s to %s though c went", p, owner, two.owners[p])
		}
		if two.held[p] != true {
			t.Errorf("partition %d has no copy at a, one of two", p)
		}
	}
}
