package store_test

import (
	"fmt"
	"testing"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// follow keeps what a subscriber of the latest would.
func follow(t *testing.T, sub *store.Subscription, state map[string]string, until int64) (events, resets int) {
	t.Helper()
	for {
		batch, err := sub.Next()
		if err != nil {
			t.Fatal(err)
		}
		if batch.Reset {
			clear(state)
			resets++
		}
		events += len(batch.Events)
		for _, event := range batch.Events {
			if name := event.GetObject().GetKey().GetName(); event.GetType() == configstorev1.Event_TYPE_PUT {
				state[name] = service(t, event.GetObject())
			} else {
				delete(state, name)
			}
		}
		if batch.Revision >= until {
			return events, resets
		}
	}
}

func TestWhoWantsTheLatestGetsOneEventForManyChanges(t *testing.T) {
	s, _ := open(t, t.TempDir())
	first := apply(t, s, put(t, "Cluster", "a", cluster("zero")))
	sub, err := s.SubscribeLatest(t.Context(), tenant, "Cluster", "", first.Release.GetRevision())
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	var last int64
	for n := range 50 {
		last = apply(t, s, put(t, "Cluster", "a", cluster(fmt.Sprint("s", n))), put(t, "Cluster", "b", cluster(fmt.Sprint("s", n)))).Release.GetRevision()
	}
	last = max(last, apply(t, s, remove("Cluster", "b")).Release.GetRevision())
	if err := waitFor(t, s, last); err != nil {
		t.Fatal(err)
	}
	state := map[string]string{"a": "zero"}
	events, resets := follow(t, sub, state, last)
	if events != 2 || resets != 0 || len(state) != 1 || state["a"] != "s49" {
		t.Errorf("%d events, %d resets, state %v", events, resets, state)
	}
}

func TestWhoFallsBehindGetsEverythingAnewInPlaceOfAnError(t *testing.T) {
	s, _ := open(t, t.TempDir())
	first := apply(t, s, put(t, "Cluster", "a", cluster("zero")), put(t, "Cluster", "gone", cluster("zero")))
	sub, err := s.SubscribeLatest(t.Context(), tenant, "Cluster", "", first.Release.GetRevision())
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	every, err := s.Subscribe(t.Context(), tenant, "Cluster", "", first.Release.GetRevision())
	if err != nil {
		t.Fatal(err)
	}
	defer every.Close()
	last := apply(t, s, remove("Cluster", "gone")).Release.GetRevision()
	for n := range 1100 { // four events each: more than a journal holds
		changes := make([]*configstorev1.Change, 4)
		for i := range changes {
			changes[i] = put(t, "Cluster", fmt.Sprint("c", i), cluster(fmt.Sprint("s", n)))
		}
		last = apply(t, s, changes...).Release.GetRevision()
	}
	if err := waitFor(t, s, last); err != nil {
		t.Fatal(err)
	}
	state := map[string]string{"gone": "zero"}
	if _, resets := follow(t, sub, state, last); resets != 1 || len(state) != 5 || state["a"] != "zero" || state["c3"] != "s1099" {
		t.Errorf("%d resets, state %v", resets, state)
	}
	if _, err := every.Next(); err == nil {
		t.Error("who wants every change was not told that some are gone")
	}
	// And so does who comes back after too long.
	back, err := s.SubscribeLatest(t.Context(), tenant, "Cluster", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	clear(state)
	if _, resets := follow(t, back, state, last); resets != 1 || len(state) != 5 {
		t.Errorf("after coming back: %d resets, state %v", resets, state)
	}
	next := apply(t, s, remove("Cluster", "a")).Release.GetRevision()
	if _, resets := follow(t, back, state, next); resets != 0 || len(state) != 4 {
		t.Errorf("then: %d resets, state %v", resets, state)
	}
}

// waitFor waits until the hub has reached a revision.
func waitFor(t *testing.T, s *store.Store, revision int64) error {
	t.Helper()
	sub, err := s.Subscribe(t.Context(), tenant, "Cluster", "", s.Hub().Revision())
	if err != nil {
		return err
	}
	defer sub.Close()
	for s.Hub().Revision() < revision {
		if _, err := sub.Next(); err != nil {
			return err
		}
	}
	return nil
}
