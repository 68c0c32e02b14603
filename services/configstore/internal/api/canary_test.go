package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/informer"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/ack"
	"github.com/backlot-video/backlot/services/configstore/internal/canary"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// fleet is a member with its API on a port, and instances that follow rule
// lists by real informers. An entry "bad" is refused by them.
type fleet struct {
	t         *testing.T
	store     *store.Store
	pilot     *canary.Pilot
	canaries  *Canaries
	instances []*informer.Informer[*rulesv1.RuleList]

	mu  sync.Mutex
	now time.Time
}

func newFleet(t *testing.T, size int) *fleet {
	e, err := engine.Start(t.Context(), engine.Config{DataDir: filepath.Join(t.TempDir(), "etcd"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	f := &fleet{t: t, now: time.Unix(1_800_000_000, 0)}
	if f.store, err = store.Open(t.Context(), e, store.Config{Clock: f.clock}); err != nil {
		t.Fatal(err)
	}
	seen := Witness{Book: ack.NewBook(time.Now, nil), Clock: time.Now}
	f.pilot = canary.NewPilot(canary.Config{Store: f.store, Leads: e.Leads, Reports: seen.Entries, Clock: f.clock, Log: slog.New(slog.DiscardHandler)})
	f.canaries = NewCanaries(f.store, f.pilot, 0)
	mux := http.NewServeMux()
	mux.Handle(configstorev1connect.NewConfigServiceHandler(NewConfig(f.store, false)))
	mux.Handle(configstorev1connect.NewAcknowledgementServiceHandler(NewAcknowledgements(f.store, seen)))
	server := httptest.NewServer(mux)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait(); f.store.Close(); server.CloseClientConnections(); server.Close() })
	for n := range size {
		self := &configstorev1.Subscriber{Id: fmt.Sprint("rules-", n), Services: []string{"rules"}}
		reporter := informer.NewReporter(self, time.Now(), slog.New(slog.DiscardHandler), server.Client(), server.URL)
		lists := informer.New[*rulesv1.RuleList](reporter.Source(informer.NewRemoteFor(self, server.Client(), server.URL)), "RuleList", informer.Config{})
		lists.Consume(func(event informer.Event[*rulesv1.RuleList]) error {
			if event.Type != informer.Deleted && slices.Contains(event.Object.Spec.GetEntries(), "bad") {
				return errors.New("an entry is bad")
			}
			return nil
		})
		running.Go(func() { _ = reporter.Run(ctx) })
		running.Go(func() { _ = lists.Run(ctx) })
		f.instances = append(f.instances, lists)
	}
	return f
}

func (f *fleet) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fleet) pass(d time.Duration) {
	f.mu.Lock()
	f.now = f.now.Add(d)
	f.mu.Unlock()
	f.pilot.Look(f.t.Context())
}

func list(entry string) []*configstorev1.Change {
	spec, _ := anypb.New(&rulesv1.RuleList{Entries: []string{entry}})
	return []*configstorev1.Change{{Change: &configstorev1.Change_Put{Put: &configstorev1.Object{
		Key: &configstorev1.Key{Kind: "RuleList", Name: "blocked"}, Spec: spec,
	}}}}
}

// having counts the instances by what they hold.
func (f *fleet) having() map[string]int {
	counts := map[string]int{}
	for _, lists := range f.instances {
		spec, _ := lists.Get("", "blocked")
		counts[strings.Join(spec.GetEntries(), ",")]++
	}
	return counts
}

// until looks until something is so.
func (f *fleet) until(what string, so func() bool) {
	f.t.Helper()
	ticker, late := time.NewTicker(20*time.Millisecond), time.After(30*time.Second)
	defer ticker.Stop()
	for !so() {
		select {
		case <-ticker.C:
		case <-late:
			f.t.Fatalf("%s: %v", what, f.having())
		}
	}
}

func (f *fleet) start(entry string, shares ...uint32) string {
	f.t.Helper()
	plan := new(configstorev1.Plan)
	for _, share := range shares {
		plan.Steps = append(plan.Steps, &configstorev1.Plan_Step{SharePpm: share, Hold: durationpb.New(time.Minute)})
	}
	response, err := f.canaries.StartCanary(as(f.t, "ann"), &configstorev1.StartCanaryRequest{Changes: list(entry), Plan: plan})
	if err != nil {
		f.t.Fatal(err)
	}
	return response.GetCanary().GetId()
}

func (f *fleet) canary(id string) *configstorev1.GetCanaryResponse {
	f.t.Helper()
	response, err := f.canaries.GetCanary(as(f.t, "ann"), &configstorev1.GetCanaryRequest{Id: id})
	if err != nil {
		f.t.Fatal(err)
	}
	return response
}

func TestCanaryReachesInformersAndGoesOnOrIsTakenBackByWhatTheyReport(t *testing.T) {
	const size = 20
	f := newFleet(t, size)
	if _, err := f.store.Apply(t.Context(), store.Request{Tenant: "main", Changes: list("old")}); err != nil {
		t.Fatal(err)
	}
	f.until("all have the old one", func() bool { return f.having()["old"] == size })

	bad := f.start("bad", 500_000, 1_000_000)
	f.until("some have the bad one", func() bool { return f.having()["bad"] > 0 && f.canary(bad).GetEvidence().GetRejected() > 0 })
	if f.having()["old"] == 0 {
		t.Error("all have the bad one")
	}
	f.pass(time.Second)
	if c := f.canary(bad).GetCanary(); c.GetState() != configstorev1.Canary_STATE_ROLLED_BACK || !strings.Contains(c.GetVerdict(), "rejected: an entry is bad (rules-") {
		t.Fatalf("%v: %s", c.GetState(), c.GetVerdict())
	}
	f.until("all have the old one again", func() bool { return f.having()["old"] == size })

	good := f.start("new", 300_000, 1_000_000)
	accepted := func() bool {
		e := f.canary(good).GetEvidence()
		return e.GetChosen()+e.GetOthers() == size && e.GetAccepted() == e.GetChosen()
	}
	f.until("the first have taken it", accepted)
	f.pass(time.Minute)
	f.until("all have it", func() bool { return f.having()["new"] == size && accepted() })
	if object, err := f.store.Get(t.Context(), keyOf(t.Context(), &configstorev1.Key{Kind: "RuleList", Name: "blocked"})); err != nil || !strings.Contains(object.GetSpec().String(), "old") {
		t.Errorf("in force before the release: %v %v", object, err)
	}
	f.pass(time.Minute)
	if c := f.canary(good).GetCanary(); c.GetState() != configstorev1.Canary_STATE_PROMOTED {
		t.Fatalf("%v: %s", c.GetState(), c.GetVerdict())
	}
	f.until("the release is all's", func() bool {
		for _, lists := range f.instances {
			if o, found := lists.Object("", "blocked"); !found || o.ReleaseID == good || o.Spec.GetEntries()[0] != "new" {
				return false
			}
		}
		return true
	})
}

func TestWitnessAsksAllMembersAndNamesTheSilent(t *testing.T) {
	now := time.Unix(1000, 0)
	clock := func() time.Time { return now }
	report := func(id string, sequence int64) *configstorev1.Report {
		return &configstorev1.Report{Subscriber: &configstorev1.Subscriber{Id: id}, StartedAt: 1, Sequence: sequence}
	}
	books := []*ack.Book{ack.NewBook(clock, nil), ack.NewBook(clock, nil)}
	put := func(n int, r *configstorev1.Report) {
		if err := books[n].Put("main", r, func(string) bool { return true }); err != nil {
			t.Fatal(err)
		}
	}
	put(0, report("moved", 1))
	put(1, report("moved", 2))
	for n := range reportsPage + 1 { // more than a page
		put(1, report(fmt.Sprint("there-", n), 1))
	}
	there := NewAcknowledgements(nil, Witness{Book: books[1], Clock: clock})
	here := Witness{Book: books[0], Clock: clock, Peers: func(context.Context) []Peer {
		down := func(context.Context, *configstorev1.ListReportsRequest) (*configstorev1.ListReportsResponse, error) {
			return nil, errors.New("down")
		}
		return []Peer{{"b", there.ListReports}, {"c", down}}
	}}
	entries, silent := here.Entries(t.Context(), "main")
	if len(entries) != reportsPage+2 || !slices.Equal(silent, []string{"c"}) {
		t.Fatalf("%d entries, silent %v", len(entries), silent)
	}
	if entries[0].ID() != "moved" || entries[0].Report.GetSequence() != 2 {
		t.Errorf("an instance that moved: %v", entries[0])
	}
}
