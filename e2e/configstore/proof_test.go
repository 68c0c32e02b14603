package configstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/e2e/internal/quorum"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return value
}

// members starts three with the kind that the clients use, and gives the
// revision from which to watch.
func members(t *testing.T, config quorum.Config) (*quorum.Quorum, int64) {
	t.Helper()
	q := quorum.New(t, config)
	file := protodesc.ToFileDescriptorProto(wrapperspb.File_google_protobuf_wrappers_proto)
	_, err := q.Members[0].Objects.RegisterKind(t.Context(), &configstorev1.RegisterKindRequest{Kind: &configstorev1.Kind{
		Name: kind, Message: "google.protobuf.StringValue", Descriptors: &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	from := int64(0)
	for _, m := range q.Members { // a kind is known everywhere soon
		q.Wait("the kind at "+m.Name, 30*time.Second, func() bool {
			response, err := m.Objects.List(t.Context(), &configstorev1.ListRequest{Kind: kind})
			from = response.GetRevision()
			return err == nil
		})
	}
	return q, from
}

// TestMembersDieAndNothingIsLost plays every fault under load and checks what
// clients and watchers saw.
func TestMembersDieAndNothingIsLost(t *testing.T) {
	prove(t, quorum.Config{Seed: setting(t, "BACKLOT_SEED", 1), Small: true}, setting(t, "BACKLOT_ROUNDS", 1), faults)
}

// prove plays faults for some rounds, at the end of each with all members
// killed at once.
func prove(t *testing.T, config quorum.Config, rounds uint64, faults []fault) {
	t.Helper()
	seed := config.Seed
	defer func() {
		if t.Failed() {
			t.Logf("play it again with BACKLOT_SEED=%d BACKLOT_ROUNDS=%d", seed, rounds)
		}
	}()
	q, from := members(t, config)
	w := newTraffic(q)
	watchers, stopWatching := watch(t, q, from)
	defer stopWatching()
	informers := []*words{inform(t, q, filepath.Join(t.TempDir(), "words"))}
	var running sync.WaitGroup
	loaded, unload := context.WithCancel(t.Context())
	defer running.Wait()
	defer unload()
	for id := range clients {
		running.Go(func() { w.run(loaded, id, seed) })
	}

	s := &scene{T: t, quorum: q, traffic: w, random: rand.New(rand.NewPCG(seed, clients))}
	for range rounds {
		for _, n := range s.random.Perm(len(faults)) {
			s.watched(faults[n].name, func() { faults[n].play(s) })
		}
		s.watched("all members are killed", func() { informers = append(informers, s.outage(informers[0])) })
	}
	unload()
	running.Wait()
	judge(t, w, watchers, informers)
}

// watched plays something and waits until all members are well.
func (s *scene) watched(name string, play func()) {
	s.Helper()
	began := time.Now()
	s.Log(name)
	play()
	s.quorum.Whole()
	s.Logf("  whole again after %v", time.Since(began).Round(time.Millisecond))
}

// watch runs a watcher of every revision and one of the latest state for each
// member.
func watch(t *testing.T, q *quorum.Quorum, from int64) (watchers []*watcher, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	for n := range 2 * len(q.Members) {
		one := newWatcher(n >= len(q.Members), from)
		watchers = append(watchers, one)
		running.Go(func() { one.run(ctx, q.Members, n) })
	}
	return watchers, func() { cancel(); running.Wait() }
}

// judge checks all that was seen, when the load has ended.
func judge(t *testing.T, w *traffic, watchers []*watcher, informers []*words) {
	t.Helper()
	m := w.quorum.Members[0]
	final, err := m.Objects.List(t.Context(), &configstorev1.ListRequest{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	carriedOut, err := releases(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	history, err := settle(w.history, carriedOut)
	if err != nil {
		t.Errorf("acknowledgements and the store differ:\n%v", err)
	}
	cells := cellsOf(final.GetObjects())
	for n, one := range watchers {
		w.quorum.Wait(fmt.Sprintf("watcher %d to reach revision %d", n, final.GetRevision()), 30*time.Second, func() bool {
			return one.reached(final.GetRevision())
		})
		if err := one.check(carriedOut, cells); err != nil {
			t.Errorf("watcher %d (latest only: %v):\n%v", n, one.latest, err)
		}
		if one.expired > 0 {
			t.Errorf("watcher %d was told %d times that its revision is out of range", n, one.expired)
		}
	}
	for n, one := range informers {
		w.quorum.Wait(fmt.Sprintf("informer %d to catch up", n), 30*time.Second, func() bool { return one.cells() == cells })
	}
	for _, m := range w.quorum.Members {
		compare(t, w.quorum, m, watchers[0].events, final.GetRevision())
	}
	w.explain(t, history)
	w.control(t, history)
	t.Logf("%d writes acknowledged, %d releases, %d events to each watcher; calls that failed: %v",
		w.acked.Load(), len(carriedOut), len(watchers[0].events), w.codes)
	for code, err := range w.first {
		if !honest[code] {
			t.Errorf("%d calls failed with %v, which tells a client nothing: %v", w.codes[code], code, err)
		}
	}
}

// replayed is how many of the last events every member has to tell alike.
const replayed = 300

// compare has one member tell the last events: members that hold the same
// history tell the same.
func compare(t *testing.T, q *quorum.Quorum, m *quorum.Member, events []event, revision int64) {
	t.Helper()
	last := events[max(0, len(events)-replayed):]
	again := newWatcher(false, last[0].revision-1)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { again.run(ctx, []*quorum.Member{m}, 0) })
	defer running.Wait()
	defer cancel()
	q.Wait(m.Name+" to tell the history", 30*time.Second, func() bool { return again.reached(revision) })
	again.mu.Lock()
	defer again.mu.Unlock()
	told := again.events
	if len(told) > len(last) { // the first revision is told whole
		told = told[len(told)-len(last):]
	}
	if !slices.Equal(told, last) {
		t.Errorf("%s tells another history:\n%v\nthan\n%v", m.Name, told, last)
	}
}

// explain finds an order of the operations that explains what clients saw.
func (w *traffic) explain(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	began := time.Now()
	result, info := porcupine.CheckOperationsVerbose(model, history, checkTime)
	t.Logf("history of %d operations: %v after %v", len(history), result, time.Since(began).Round(time.Millisecond))
	if result != porcupine.Ok {
		picture := filepath.Join(os.TempDir(), fmt.Sprintf("configstore-history-%d.html", os.Getpid()))
		t.Errorf("no order of the operations explains what clients saw: %v; %s shows it: %v", result, picture, porcupine.VisualizePath(model, info, picture))
	}
}

// control reads what was, by a revision of the past, and takes it for what is:
// with such a reader in it the same history must not be explained.
func (w *traffic) control(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	m := w.quorum.Members[0]
	var before output
	for n := range 2 {
		in := input{kind: apply, writes: []write{{key: 0, value: fmt.Sprint("control", n)}}, reason: fmt.Sprint("control", n)}
		call := time.Since(w.began)
		out, err := ask(m, in, patience)
		if err != nil {
			t.Fatal(err)
		}
		history = append(history, porcupine.Operation{Input: in, Output: out, Call: int64(call), Return: int64(time.Since(w.began))})
		if n == 0 {
			before = out
		}
	}
	if result := order(history); result != porcupine.Ok {
		t.Errorf("with two writes more the history is %v", result)
	}
	call := time.Since(w.began)
	stale, err := m.Objects.Get(t.Context(), &configstorev1.GetRequest{Key: keyOf(0), Revision: before.revision})
	if err != nil {
		t.Fatal(err)
	}
	out := output{cells: [keys]cell{cellOf(stale.GetObject())}}
	history = append(history, porcupine.Operation{
		Input: input{kind: get}, Output: out, Call: int64(call), Return: int64(time.Since(w.began)),
	})
	if result := order(history); result != porcupine.Illegal {
		t.Errorf("a reader of the past is not found: %v", result)
	}
}
