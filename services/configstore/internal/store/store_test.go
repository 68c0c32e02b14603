package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

const tenant = "main"

// open runs a store in dir until the test ends or stop is called.
func open(t *testing.T, dir string) (s *store.Store, stop func()) {
	t.Helper()
	e, err := engine.Start(t.Context(), engine.Config{DataDir: filepath.Join(dir, "etcd"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err = store.Open(t.Context(), e, store.Config{
		Clock: func() time.Time { return time.Unix(1_800_000_000, 0) },
	})
	if err != nil {
		e.Close()
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { s.Close(); e.Close() })
	t.Cleanup(stop)
	return s, stop
}

func pack(t *testing.T, message proto.Message) *anypb.Any {
	t.Helper()
	spec, err := anypb.New(message)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func put(t *testing.T, kind, name string, spec proto.Message) *configstorev1.Change {
	return &configstorev1.Change{Change: &configstorev1.Change_Put{Put: &configstorev1.Object{
		Key: &configstorev1.Key{Kind: kind, Name: name}, Spec: pack(t, spec),
	}}}
}

func remove(kind, name string) *configstorev1.Change {
	return &configstorev1.Change{Change: &configstorev1.Change_Delete{
		Delete: &configstorev1.Key{Kind: kind, Name: name},
	}}
}

func cluster(service string) *gatewayv1.Cluster {
	return &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: service}}
}

func route(cluster string) *gatewayv1.Route {
	return &gatewayv1.Route{
		Path:   &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Prefix{Prefix: "/"}},
		Target: &gatewayv1.Route_Cluster{Cluster: cluster},
	}
}

func apply(t *testing.T, s *store.Store, changes ...*configstorev1.Change) store.Result {
	t.Helper()
	result, err := s.Apply(t.Context(), store.Request{Tenant: tenant, Author: "operator/test", Changes: changes})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestEverythingIsThereAfterRestart(t *testing.T) {
	dir := t.TempDir()
	s, stop := open(t, dir)
	first := apply(t, s, put(t, "Cluster", "a", cluster("a")))
	second := apply(t, s, put(t, "Route", "r", route("a")))
	stop()

	s, _ = open(t, dir)
	if o, err := s.Get(t.Context(), object.Key{Tenant: tenant, Kind: "Route", Name: "r"}); err != nil || o.GetRevision() != second.Release.GetRevision() {
		t.Errorf("route = %v, %v", o, err)
	}
	releases, more, err := s.Releases(t.Context(), tenant, "", 10)
	if err != nil || more || len(releases) != 2 || releases[1].GetId() != first.Release.GetId() {
		t.Errorf("releases = %v, %v, %v", releases, more, err)
	}
	sub, err := s.Subscribe(t.Context(), tenant, "Route", "", first.Release.GetRevision())
	if err != nil {
		t.Fatalf("resume over a restart: %v", err)
	}
	defer sub.Close()
	batch, err := sub.Next()
	if err != nil || len(batch.Events) != 1 || batch.Events[0].GetObject().GetReleaseId() != second.Release.GetId() {
		t.Errorf("batch = %v, %v", batch, err)
	}
}

func TestSubscribersSeeEveryRevisionInOrder(t *testing.T) {
	s, _ := open(t, t.TempDir())
	from := s.Hub().Revision()
	const releases, subscribers = 40, 8
	var work sync.WaitGroup
	for n := range subscribers {
		work.Go(func() {
			sub, err := s.Subscribe(t.Context(), tenant, "Cluster", "", from)
			if err != nil {
				t.Error(err)
				return
			}
			defer sub.Close()
			for seen := 0; seen < releases*2; {
				batch, err := sub.Next()
				if err != nil {
					t.Error(err)
					return
				}
				for i, event := range batch.Events {
					if want := fmt.Sprintf("%d-%d", seen/2, seen%2); event.GetObject().GetSpec() == nil || event.GetObject().GetKey().GetName() != want {
						t.Errorf("subscriber %d: event %d is %v, want %s", n, seen, event, want)
						return
					}
					if i == len(batch.Events)-1 && seen%2 == 0 {
						t.Errorf("subscriber %d: batch ends within a release", n)
					}
					seen++
				}
			}
		})
	}
	for n := range releases {
		apply(t, s, put(t, "Cluster", fmt.Sprintf("%d-0", n), cluster("a")), put(t, "Cluster", fmt.Sprintf("%d-1", n), cluster("b")))
	}
	work.Wait()
}

func TestRevisionBeyondTheStoreIsRefused(t *testing.T) {
	s, _ := open(t, t.TempDir())
	if _, err := s.Subscribe(t.Context(), tenant, "Cluster", "", s.Hub().Revision()+1); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("err = %v", err)
	}
}

func TestSubscriptionEndsWithTheStore(t *testing.T) {
	s, stop := open(t, t.TempDir())
	sub, err := s.Subscribe(t.Context(), tenant, "Cluster", "", s.Hub().Revision())
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	ended := make(chan error)
	go func() {
		_, err := sub.Next()
		ended <- err
	}()
	stop()
	if err := <-ended; !errors.Is(err, engine.ErrClosed) {
		t.Errorf("err = %v", err)
	}
}

func TestNoRouteIsLeftWithoutItsCluster(t *testing.T) {
	s, _ := open(t, t.TempDir())
	for round := range 20 {
		name := fmt.Sprint(round)
		apply(t, s, put(t, "Cluster", name, cluster("a")))
		var work sync.WaitGroup
		outcomes := make([]error, 2)
		for n, change := range []*configstorev1.Change{put(t, "Route", name, route(name)), remove("Cluster", name)} {
			work.Go(func() {
				_, outcomes[n] = s.Apply(t.Context(), store.Request{Tenant: tenant, Changes: []*configstorev1.Change{change}})
			})
		}
		work.Wait()
		if (outcomes[0] == nil) == (outcomes[1] == nil) {
			t.Fatalf("round %d: route: %v; deletion: %v; one of them must fail", round, outcomes[0], outcomes[1])
		}
	}
}

func TestConcurrentIncrementsLoseNothing(t *testing.T) {
	s, _ := open(t, t.TempDir())
	key := object.Key{Tenant: tenant, Kind: "Cluster", Name: "counter"}
	apply(t, s, put(t, "Cluster", "counter", cluster("n")))
	const workers, each = 4, 5
	var work sync.WaitGroup
	for range workers {
		work.Go(func() {
			for done := 0; done < each; {
				o, err := s.Get(t.Context(), key)
				if err != nil {
					t.Error(err)
					return
				}
				var now gatewayv1.Cluster
				if err := o.GetSpec().UnmarshalTo(&now); err != nil {
					t.Error(err)
					return
				}
				change := put(t, "Cluster", "counter", cluster(now.GetService()+"n"))
				change.ExpectedRevision = o.GetRevision()
				_, err = s.Apply(t.Context(), store.Request{Tenant: tenant, Changes: []*configstorev1.Change{change}})
				switch {
				case err == nil:
					done++
				case !errors.Is(err, object.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	o, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	var last gatewayv1.Cluster
	if err := o.GetSpec().UnmarshalTo(&last); err != nil || len(last.GetService()) != 1+workers*each {
		t.Errorf("counted %d, want %d; %v", len(last.GetService())-1, workers*each, err)
	}
}

// watchInstances returns a function that waits for the next event of an
// instance.
func watchInstances(t *testing.T, s *store.Store) (next func() *configstorev1.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	sub, err := s.Subscribe(ctx, tenant, object.InstanceKind, "", s.Hub().Revision())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Close)
	return func() *configstorev1.Event {
		t.Helper()
		for {
			batch, err := sub.Next()
			if err != nil || len(batch.Events) > 1 {
				t.Fatalf("batch = %v, %v", batch, err)
			}
			if len(batch.Events) == 1 {
				return batch.Events[0]
			}
		}
	}
}

func register(t *testing.T, s *store.Store, ready bool, seconds int64) int64 {
	t.Helper()
	instance := &configstorev1.Instance{Id: "rules-1", Service: "rules", Address: "unix:/run/rules.sock", Ready: ready}
	revision, err := s.Register(t.Context(), tenant, instance, seconds)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func TestRegisteringAgainRenewsAndWritesChangesOnly(t *testing.T) {
	s, _ := open(t, t.TempDir())
	next := watchInstances(t, s)
	created := register(t, s, false, 300)
	if event := next(); event.GetType() != configstorev1.Event_TYPE_PUT || event.GetObject().GetRevision() != created {
		t.Errorf("event = %v", event)
	}
	if renewed := register(t, s, false, 300); renewed != created {
		t.Errorf("renewal is revision %d, want %d", renewed, created)
	}
	if changed := register(t, s, true, 300); changed == created || next().GetObject().GetRevision() != changed {
		t.Error("a changed instance is not written")
	}
	for range 2 {
		if err := s.Deregister(t.Context(), tenant, "rules-1"); err != nil {
			t.Fatal(err)
		}
	}
	if event := next(); event.GetType() != configstorev1.Event_TYPE_DELETE {
		t.Errorf("event at deregistration = %v", event)
	}
}

func TestInstanceDisappearsAtTheEndOfItsLease(t *testing.T) {
	t.Parallel()
	s, _ := open(t, t.TempDir())
	next := watchInstances(t, s)
	register(t, s, true, 1)
	next()
	if event := next(); event.GetType() != configstorev1.Event_TYPE_DELETE || event.GetObject().GetKey().GetName() != "rules-1" {
		t.Errorf("event at the end of the lease = %v", event)
	}
	register(t, s, true, 1)
	if event := next(); event.GetType() != configstorev1.Event_TYPE_PUT {
		t.Errorf("event at the next registration = %v", event)
	}
}

func TestRefusedInstance(t *testing.T) {
	s, _ := open(t, t.TempDir())
	if _, err := s.Register(t.Context(), tenant, &configstorev1.Instance{Id: "a", Service: "Not A Service", Address: "x"}, 5); !errors.Is(err, object.ErrInvalid) {
		t.Errorf("err = %v", err)
	}
}

func TestKindOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	s, stop := open(t, dir)
	message := (*gatewayv1.StaticEndpoints)(nil).ProtoReflect().Descriptor()
	if err := s.RegisterKind(t.Context(), "Extra", string(message.FullName()), object.DescriptorSet(message)); err != nil {
		t.Fatal(err)
	}
	before := s.Hub().Revision()
	if err := s.RegisterKind(t.Context(), "Extra", string(message.FullName()), object.DescriptorSet(message)); err != nil {
		t.Fatal(err)
	}
	stop()
	s, _ = open(t, dir)
	if after := s.Hub().Revision(); after > before+1 {
		t.Errorf("revision went from %d to %d: known kinds were written again", before, after)
	}
	apply(t, s, put(t, "Extra", "x", &gatewayv1.StaticEndpoints{Addresses: []string{"a:1"}}))
}
