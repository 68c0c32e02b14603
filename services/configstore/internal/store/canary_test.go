package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/canary"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

const (
	tenantOfTests = "main"
	listKind      = "RuleList"
)

func openCanaries(t *testing.T) *Store {
	t.Helper()
	e, err := engine.Start(t.Context(), engine.Config{DataDir: filepath.Join(t.TempDir(), "etcd"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	s, err := Open(t.Context(), e, Config{Clock: func() time.Time { return now }})
	if err != nil {
		e.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); e.Close() })
	return s
}

// list is a change that gives a rule list one value; empty: it is deleted.
func list(name, value string) *configstorev1.Change {
	key := &configstorev1.Key{Kind: listKind, Namespace: "default", Name: name}
	if value == "" {
		return &configstorev1.Change{Change: &configstorev1.Change_Delete{Delete: key}}
	}
	spec, _ := anypb.New(&rulesv1.RuleList{Entries: []string{value}})
	return &configstorev1.Change{Change: &configstorev1.Change_Put{Put: &configstorev1.Object{Key: key, Spec: spec}}}
}

func planOf(shares ...uint32) *configstorev1.Plan {
	plan := new(configstorev1.Plan)
	for _, share := range shares {
		plan.Steps = append(plan.Steps, &configstorev1.Plan_Step{SharePpm: share})
	}
	return plan
}

func release(t *testing.T, s *Store, changes ...*configstorev1.Change) {
	t.Helper()
	if _, err := s.Apply(t.Context(), Request{Tenant: tenantOfTests, Author: "operator/a", Changes: changes}); err != nil {
		t.Fatal(err)
	}
}

func begin(t *testing.T, s *Store, plan *configstorev1.Plan, changes ...*configstorev1.Change) *configstorev1.Canary {
	t.Helper()
	c, err := s.StartCanary(t.Context(), Request{Tenant: tenantOfTests, Author: "operator/a", Reason: "try", Changes: changes}, plan)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func content(t *testing.T, objects []*configstorev1.Object) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, o := range objects {
		spec := new(rulesv1.RuleList)
		if err := o.GetSpec().UnmarshalTo(spec); err != nil {
			t.Fatal(err)
		}
		all[o.GetKey().GetName()] = spec.GetEntries()[0]
	}
	return all
}

func viewOf(t *testing.T, s *Store, id string) string {
	t.Helper()
	var viewer *configstorev1.Subscriber
	if id != "" {
		viewer = &configstorev1.Subscriber{Id: id}
	}
	objects, _, err := s.ListFor(t.Context(), viewer, tenantOfTests, listKind, "")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(content(t, objects))
}

// ids of an instance that a canary's step chooses, and of one that it does not.
func sides(t *testing.T, c *configstorev1.Canary) (in, out string) {
	t.Helper()
	for n := 0; in == "" || out == ""; n++ {
		if id := fmt.Sprint("i", n); canary.Has(c, &configstorev1.Subscriber{Id: id}) {
			in = id
		} else {
			out = id
		}
	}
	return in, out
}

func TestCanaryIsSeenByThoseItChoosesAndBecomesARelease(t *testing.T) {
	s := openCanaries(t)
	release(t, s, list("a", "1"), list("gone", "1"))
	c := begin(t, s, planOf(500_000, 1_000_000), list("a", "2"), list("gone", ""), list("new", "2"))
	in, out := sides(t, c)
	if got := viewOf(t, s, in); got != "map[a:2 new:2]" {
		t.Errorf("chosen: %s", got)
	}
	for _, id := range []string{"", out} {
		if got := viewOf(t, s, id); got != "map[a:1 gone:1]" {
			t.Errorf("%q: %s", id, got)
		}
	}
	next, err := s.AdvanceCanary(t.Context(), tenantOfTests, c, "")
	if err != nil || next.GetStep() != 1 {
		t.Fatal(next, err)
	}
	if got := viewOf(t, s, out); got != "map[a:2 new:2]" {
		t.Errorf("second step: %s", got)
	}
	if _, err := s.AdvanceCanary(t.Context(), tenantOfTests, c, ""); !errors.Is(err, ErrBusy) {
		t.Errorf("by who has not seen that: %v", err)
	}
	ended, err := s.PromoteCanary(t.Context(), tenantOfTests, next, "")
	if err != nil || ended.GetState() != configstorev1.Canary_STATE_PROMOTED || ended.GetReleaseId() == "" {
		t.Fatal(ended, err)
	}
	for _, id := range []string{"", in, out} {
		if got := viewOf(t, s, id); got != "map[a:2 new:2]" {
			t.Errorf("promoted, %q: %s", id, got)
		}
	}
	kept, err := s.Canaries(t.Context(), tenantOfTests)
	if err != nil || len(kept) != 1 || kept[0].GetReleaseId() != ended.GetReleaseId() || len(kept[0].GetNotes()) != 3 {
		t.Errorf("kept: %v %v", kept, err)
	}
	if live, _ := s.LiveCanaries(t.Context()); len(live) != 0 {
		t.Errorf("not put away: %v", live)
	}
}

func TestCanaryEndsWhereSomebodyElseChangesItsObjects(t *testing.T) {
	s := openCanaries(t)
	release(t, s, list("a", "1"))
	c := begin(t, s, planOf(1_000_000), list("a", "2"))
	if got := viewOf(t, s, "i"); got != "map[a:2]" {
		t.Errorf("before: %s", got)
	}
	release(t, s, list("a", "3"))
	if got := viewOf(t, s, "i"); got != "map[a:3]" {
		t.Errorf("what is newer is in force for all: %s", got)
	}
	ended, err := s.PromoteCanary(t.Context(), tenantOfTests, c, "")
	if err != nil || ended.GetState() != configstorev1.Canary_STATE_CONFLICTED || !strings.Contains(ended.GetVerdict(), "RuleList default/a was changed by somebody else") {
		t.Errorf("%v %v", ended, err)
	}
	if _, err := s.EndCanary(t.Context(), tenantOfTests, ended, configstorev1.Canary_STATE_ABORTED, "", ""); !errors.Is(err, ErrCanary) {
		t.Errorf("ended twice: %v", err)
	}
}

func TestCanariesAreBounded(t *testing.T) {
	s := openCanaries(t)
	request := Request{Tenant: tenantOfTests, Changes: []*configstorev1.Change{list("a", "1")}}
	plan := planOf(100_000)
	if _, err := s.StartCanary(t.Context(), request, planOf(200_000, 200_000)); !errors.Is(err, object.ErrInvalid) {
		t.Errorf("shares that do not rise: %v", err)
	}
	begin(t, s, plan, list("a", "1"))
	if _, err := s.StartCanary(t.Context(), request, plan); !errors.Is(err, ErrCanary) {
		t.Errorf("an object in two: %v", err)
	}
	for n := range MaxCanaries - 1 {
		begin(t, s, plan, list(fmt.Sprint("b", n), "1"))
	}
	request.Changes = []*configstorev1.Change{list("c", "1")}
	if _, err := s.StartCanary(t.Context(), request, plan); !errors.Is(err, ErrCanaries) {
		t.Errorf("one too many: %v", err)
	}
	request.Changes = nil
	for n := range MaxCanaryObjects + 1 {
		request.Changes = append(request.Changes, list(fmt.Sprint("d", n), "1"))
	}
	if _, err := s.StartCanary(t.Context(), request, plan); !errors.Is(err, object.ErrTooLarge) {
		t.Errorf("too many objects: %v", err)
	}
	spec, _ := anypb.New(&gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: "shop"}})
	gateways := func(name string) []*configstorev1.Change {
		return []*configstorev1.Change{{Change: &configstorev1.Change_Put{Put: &configstorev1.Object{
			Key: &configstorev1.Key{Kind: "Cluster", Name: name}, Spec: spec,
		}}}}
	}
	banded := planOf(100_000)
	banded.Bands = []*configstorev1.Band{{Health: "rpc", BadPpm: 1}}
	request.Changes = gateways("a")
	if _, err := s.StartCanary(t.Context(), request, banded); !errors.Is(err, object.ErrInvalid) {
		t.Errorf("bands of what reports no health: %v", err)
	}
	live, err := s.liveCanaries(t.Context(), tenantOfTests, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range live[:2] {
		if _, err := s.EndCanary(t.Context(), tenantOfTests, c, configstorev1.Canary_STATE_ABORTED, "", "room"); err != nil {
			t.Fatal(err)
		}
	}
	begin(t, s, plan, gateways("a")...)
	request.Changes = gateways("b")
	if _, err := s.StartCanary(t.Context(), request, plan); !errors.Is(err, ErrCanary) {
		t.Errorf("two of xDS: %v", err)
	}
	release(t, s, list("e", "1"))
	request.Changes = []*configstorev1.Change{list("e", "1")}
	if _, err := s.StartCanary(t.Context(), request, plan); err == nil {
		t.Error("a canary of nothing")
	}
}

// follower is a simulated instance: it lists, watches, loses its connection
// anywhere, and may have been started anew with what it had on disk.
type follower struct {
	viewer   *configstorev1.Subscriber
	objects  map[string]string
	at       map[string]int64 // revisions of objects
	revision int64
	sub      *Subscription
}

func (f *follower) list(t *testing.T, s *Store) {
	objects, revision, err := s.ListFor(t.Context(), f.viewer, tenantOfTests, listKind, "")
	if err != nil {
		t.Fatal(err)
	}
	f.objects, f.revision, f.at = content(t, objects), revision, map[string]int64{}
	for _, o := range objects {
		f.at[o.GetKey().GetName()] = o.GetRevision()
	}
}

// watch takes what there is now, whole batches, as an informer does.
func (f *follower) watch(t *testing.T, s *Store) {
	if f.sub == nil {
		sub, err := s.Subscribe(t.Context(), tenantOfTests, listKind, "", f.revision)
		if err != nil {
			t.Fatal(err)
		}
		f.sub = s.For(t.Context(), sub, f.viewer)
	}
	batch, err := f.sub.poll()
	if err != nil {
		t.Fatal(err)
	}
	last := f.revision
	for _, e := range batch.Events {
		name, revision := e.GetObject().GetKey().GetName(), e.GetObject().GetRevision()
		if revision < last {
			t.Fatalf("%s: revision %d after %d", f.viewer.GetId(), revision, last)
		}
		last = revision
		switch old := f.at[name]; {
		case e.GetType() == configstorev1.Event_TYPE_DELETE:
			delete(f.objects, name)
			delete(f.at, name)
		case old < revision: // else an informer passes it over
			f.at[name] = revision
			f.objects[name] = content(t, []*configstorev1.Object{e.GetObject()})[name]
		}
	}
	f.revision = batch.Revision
}

func (f *follower) drop() {
	if f.sub != nil {
		f.sub.Close()
		f.sub = nil
	}
}

// TestEveryInstanceHasWhatTheStoreSaysAtAnyRevision lets instances come, go
// and resume while releases and canaries begin, go on and end, and compares
// each at every catch-up with a list at that very revision.
func TestEveryInstanceHasWhatTheStoreSaysAtAnyRevision(t *testing.T) {
	s := openCanaries(t)
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { simulate(t, s, rand.New(rand.NewPCG(seed, 7))) })
	}
}

func simulate(t *testing.T, s *Store, random *rand.Rand) {
	followers := make([]*follower, 8)
	for n := range followers {
		followers[n] = &follower{viewer: &configstorev1.Subscriber{Id: fmt.Sprint("i", n)}}
		followers[n].list(t, s)
		defer followers[n].drop()
	}
	for range 120 {
		act(t, s, random)
		if err := s.hub.waitRevision(t.Context(), s.engine.Revision()); err != nil {
			t.Fatal(err)
		}
		f := followers[random.IntN(len(followers))]
		switch random.IntN(6) {
		case 0:
			f.drop()
		case 1:
			f.drop() // started anew: what was on disk is compared with a list
			f.list(t, s)
		default:
			f.watch(t, s)
			agree(t, s, f)
		}
	}
	live, err := s.liveCanaries(t.Context(), tenantOfTests, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range live {
		if c.GetState() == running {
			if _, err := s.EndCanary(t.Context(), tenantOfTests, c, configstorev1.Canary_STATE_ABORTED, "", "over"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.hub.waitRevision(t.Context(), s.engine.Revision()); err != nil {
		t.Fatal(err)
	}
	for _, f := range followers {
		f.watch(t, s)
		if got, want := fmt.Sprint(f.objects), viewOf(t, s, ""); got != want {
			t.Errorf("%s at the end: %s, in force is %s", f.viewer.GetId(), got, want)
		}
	}
}

func agree(t *testing.T, s *Store, f *follower) {
	t.Helper()
	if got, want := fmt.Sprint(f.objects), viewOf(t, s, f.viewer.GetId()); got != want {
		t.Fatalf("%s at %d: %s, the store says %s", f.viewer.GetId(), f.revision, got, want)
	}
	live, err := s.liveCanaries(t.Context(), tenantOfTests, 0)
	if err != nil {
		t.Fatal(err)
	}
	objects, _, err := s.ListFor(t.Context(), f.viewer, tenantOfTests, listKind, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		of := func(c *configstorev1.Canary) bool { return c.GetId() == o.GetReleaseId() }
		if name := o.GetKey().GetName(); slices.ContainsFunc(live, of) && f.at[name] != o.GetRevision() {
			t.Fatalf("%s has %s since %d, the store says %d", f.viewer.GetId(), name, f.at[name], o.GetRevision())
		}
	}
}

// act does one thing to the store at random.
func act(t *testing.T, s *Store, random *rand.Rand) {
	name := func() string { return string(rune('a' + random.IntN(5))) }
	value := func() string { return []string{"", "1", "2", "3"}[random.IntN(4)] }
	live, err := s.liveCanaries(t.Context(), tenantOfTests, 0)
	if err != nil {
		t.Fatal(err)
	}
	live = slices.DeleteFunc(live, func(c *configstorev1.Canary) bool { return c.GetState() != running })
	pick := func(do func(context.Context, *configstorev1.Canary) error) {
		if len(live) == 0 {
			return
		}
		if err := do(t.Context(), live[random.IntN(len(live))]); err != nil {
			t.Fatal(err)
		}
	}
	switch random.IntN(8) {
	case 0, 1:
		release(t, s, list(name(), value()))
	case 2, 3:
		changes := []*configstorev1.Change{list("a", value()), list("b", value()), list("c", value())}
		random.Shuffle(3, func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
		_, err := s.StartCanary(t.Context(), Request{Tenant: tenantOfTests, Changes: changes[:1+random.IntN(2)]}, planOf(200_000, 600_000, 1_000_000))
		if err != nil && !errors.Is(err, ErrCanary) {
			t.Fatal(err)
		}
	case 4, 5:
		pick(func(ctx context.Context, c *configstorev1.Canary) error {
			if int(c.GetStep()) == len(c.GetPlan().GetSteps())-1 {
				_, err := s.PromoteCanary(ctx, tenantOfTests, c, "")
				return err
			}
			_, err := s.AdvanceCanary(ctx, tenantOfTests, c, "")
			return err
		})
	case 6:
		pick(func(ctx context.Context, c *configstorev1.Canary) error {
			_, err := s.EndCanary(ctx, tenantOfTests, c, configstorev1.Canary_STATE_ROLLED_BACK, "", "bad")
			return err
		})
	default:
		all, err := s.liveCanaries(t.Context(), tenantOfTests, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if c.GetState() != running {
				if err := s.ArchiveCanary(t.Context(), tenantOfTests, c); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestCanaryOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	run := func(do func(s *Store)) {
		t.Helper()
		e, err := engine.Start(t.Context(), engine.Config{DataDir: filepath.Join(dir, "etcd"), NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		s, err := Open(t.Context(), e, Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		do(s)
	}
	var c *configstorev1.Canary
	var before *follower
	run(func(s *Store) {
		release(t, s, list("a", "1"))
		c = begin(t, s, planOf(500_000, 1_000_000), list("a", "2"))
		in, _ := sides(t, c)
		before = &follower{viewer: &configstorev1.Subscriber{Id: in}}
		before.list(t, s)
	})
	run(func(s *Store) {
		live, err := s.LiveCanaries(t.Context())
		if err != nil || len(live) != 1 || live[0].Tenant != tenantOfTests || live[0].Canary.GetRevision() != c.GetRevision() {
			t.Fatalf("%v %v", live, err)
		}
		// Who had it watches on, and is told of the end.
		if before.watch(t, s); fmt.Sprint(before.objects) != "map[a:2]" {
			t.Errorf("after the restart: %v", before.objects)
		}
		before.drop()
		if _, err := s.EndCanary(t.Context(), tenantOfTests, live[0].Canary, configstorev1.Canary_STATE_ROLLED_BACK, "", "bad"); err != nil {
			t.Fatal(err)
		}
	})
	run(func(s *Store) {
		if before.watch(t, s); fmt.Sprint(before.objects) != "map[a:1]" {
			t.Errorf("taken back while it was away: %v", before.objects)
		}
		before.drop()
	})
}

func TestSecretsAreNotForCanaries(t *testing.T) {
	s := openCanaries(t)
	request := putSecret(t, "one")
	request.Changes = append([]*configstorev1.Change{list("l", "new")}, request.Changes...)
	_, err := s.StartCanary(t.Context(), request, planOf(100_000))
	var faults object.Faults
	if !errors.Is(err, object.ErrInvalid) || !errors.As(err, &faults) || len(faults) != 1 || faults[0].Path != "changes[1]" {
		t.Errorf("%v, want one fault at changes[1]", err)
	}
	if all, _, err := s.List(t.Context(), "main", "Secret", ""); err != nil || len(all) != 0 {
		t.Errorf("secrets: %v, %v", all, err)
	}
}
