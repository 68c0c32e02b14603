package store

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

func events(namespaces ...string) []*configstorev1.Event {
	list := make([]*configstorev1.Event, len(namespaces))
	for n, namespace := range namespaces {
		list[n] = &configstorev1.Event{Object: &configstorev1.Object{Key: &configstorev1.Key{Kind: "Word", Namespace: namespace, Name: "a"}}}
	}
	return list
}

// emptyHub is at revision 10 and follows nothing.
func emptyHub() *Hub {
	h := &Hub{
		log: slog.New(slog.DiscardHandler), journals: make(map[topic]*journal),
		floor: 10, advanced: make(chan struct{}),
	}
	h.revision.Store(10)
	return h
}

func (h *Hub) add(t topic, revision int64, list []*configstorev1.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.journal(t)
	j.append(revision, list)
	h.publish(revision, []*journal{j})
}

func TestBatchHoldsWholeRevisionsOfOneNamespace(t *testing.T) {
	j := newJournal(10)
	j.append(11, events("one", "two"))
	j.append(13, events("two"))
	j.append(14, events("one"))
	j.publish()
	got, reached, rest := j.seen.Load().after(10, "one", maxBatchEvents, nil)
	if len(got) != 2 || reached != 14 || rest {
		t.Errorf("%d events, reached %d, rest %v", len(got), reached, rest)
	}
	if got, _, _ := j.seen.Load().after(11, "", maxBatchEvents, nil); len(got) != 2 {
		t.Errorf("%d events after 11, want 2", len(got))
	}
	if got, _, _ := j.seen.Load().after(12, "", maxBatchEvents, nil); len(got) != 2 {
		t.Errorf("%d events after 12, want 2", len(got))
	}
}

func TestJournalDropsTheOldestBeyondItsBounds(t *testing.T) {
	j := newJournal(10)
	for n := range int64(maxJournalEvents) {
		j.append(11+n, events("one"))
	}
	if j.floor != 10 || len(j.entries) != maxJournalEvents {
		t.Errorf("full: floor %d, %d entries", j.floor, len(j.entries))
	}
	j.append(11+maxJournalEvents, events("one"))
	if dropped := maxJournalEvents + 1 - len(j.entries); dropped < maxJournalEvents/5 || j.floor != int64(10+dropped) {
		t.Errorf("over: floor %d, %d entries", j.floor, len(j.entries))
	}
	large := events("one")
	large[0].Object.Spec = &anypb.Any{Value: make([]byte, maxJournalBytes)}
	j.append(100_000, large)
	if len(j.entries) != 1 || j.floor >= 100_000 {
		t.Errorf("%d entries, floor %d; the newest must stay", len(j.entries), j.floor)
	}
}

func TestSlowSubscriberIsCutOffAndHoldsNobodyBack(t *testing.T) {
	h, words := emptyHub(), topic{"main", "Word"}
	slow, err := h.subscribe(t.Context(), words, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	quick, err := h.subscribe(t.Context(), words, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(maxJournalEvents + 1) {
		h.add(words, 11+n, events("one"))
		if batch, err := quick.Next(); err != nil || batch.Revision != 11+n || len(batch.Events) != 1 {
			t.Fatalf("quick: %v, %v", batch, err)
		}
	}
	if _, err := slow.Next(); !errors.Is(err, ErrCompacted) {
		t.Errorf("slow: err = %v", err)
	}
	if _, err := h.subscribe(t.Context(), words, "", 10); !errors.Is(err, ErrCompacted) {
		t.Errorf("late: err = %v", err)
	}
}

func TestSubscriberOfAnotherKindIsNotCutOff(t *testing.T) {
	h := emptyHub()
	idle, err := h.subscribe(t.Context(), topic{"main", "Idle"}, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(maxJournalEvents + 1) {
		h.add(topic{"main", "Word"}, 11+n, events("one"))
	}
	h.add(topic{"main", "Idle"}, 20_000, events("one"))
	if batch, err := idle.Next(); err != nil || len(batch.Events) != 1 {
		t.Errorf("%v, %v", batch, err)
	}
}

func TestBookmarkComesWhereNothingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := emptyHub()
		ctx, cancel := context.WithCancel(t.Context())
		sub, err := h.subscribe(ctx, topic{"main", "Word"}, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		h.add(topic{"main", "Else"}, 12, events("one"))
		batch, err := sub.Next()
		if err != nil || len(batch.Events) != 0 || batch.Revision != 12 || time.Since(begin) != bookmarkTick {
			t.Errorf("%v, %v after %v", batch, err, time.Since(begin))
		}
		h.add(topic{"main", "Word"}, 13, events("one"))
		if batch, err := sub.Next(); err != nil || len(batch.Events) != 1 {
			t.Errorf("%v, %v", batch, err)
		}
		heard := time.Now()
		batch, err = sub.Next()
		if took := time.Since(heard); err != nil || len(batch.Events) != 0 || took > 2*bookmarkTick || took < bookmarkTick {
			t.Errorf("%v, %v after %v", batch, err, took)
		}
		cancel()
		if _, err := sub.Next(); !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v", err)
		}
		sub.Close()
		sub.Close()
	})
}

func TestResetEndsSubscriptionsThatMissedSomething(t *testing.T) {
	h := emptyHub()
	sub, err := h.subscribe(t.Context(), topic{"main", "Word"}, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	h.reset(50)
	if _, err := sub.Next(); !errors.Is(err, ErrCompacted) {
		t.Errorf("err = %v", err)
	}
	if _, err := h.subscribe(t.Context(), topic{"main", "Word"}, "", 50); err != nil {
		t.Error(err)
	}
}
