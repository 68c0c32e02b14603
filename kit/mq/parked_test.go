package mq_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

func TestParkedMessagesAreListedReplayedAndDropped(t *testing.T) {
	server, client := broker(t)
	js := raw(t, server.URL())
	var repaired atomic.Bool
	got, others := newJournal(), newJournal()
	consume(t, client, consumerOf(func(ctx context.Context, envelope *eventv1.Envelope) error {
		if !repaired.Load() {
			return errors.New("broken")
		}
		return got.handle(ctx, envelope)
	}))
	other := consumerOf(others.handle)
	other.Durable = "test_other"
	consume(t, client, other)
	publish(t, client, "a", 1, 2, 3)
	await(t, js, mq.ParkedStreamName, 3)
	others.await(t, 3)
	all, err := client.ListParked(t.Context(), "test_all", 0, 10)
	if err != nil || len(all) != 3 {
		t.Fatalf("%v, %v", all, err)
	}
	first := all[0]
	if first.Sequence != 1 || first.Consumer != "test_all" || first.Reason != "broken" || first.Attempts != 3 || first.Source != 1 || first.ID == "" || first.At.IsZero() {
		t.Errorf("%+v", first)
	}
	if page, err := client.ListParked(t.Context(), "", 2, 1); err != nil || len(page) != 1 || page[0].Sequence != 2 {
		t.Errorf("%v, %v", page, err)
	}
	if none, err := client.ListParked(t.Context(), "test_other", 0, 10); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
	if _, err := client.ListParked(t.Context(), "a.*", 0, 10); err == nil {
		t.Error("a pattern is taken")
	}
	repaired.Store(true)
	if err := errors.Join(client.DropParked(t.Context(), 1), client.ReplayParked(t.Context(), 2), client.ReplayParked(t.Context(), 3)); err != nil {
		t.Fatal(err)
	}
	got.await(t, 2)
	publish(t, client, "a", 4)
	got.await(t, 3)
	others.await(t, 4)
	if got.of("a") != "[2 3 4]" || others.of("a") != "[1 2 3 4]" {
		t.Errorf("got %s, others %s", got.of("a"), others.of("a"))
	}
	for sequence := range uint64(4) {
		_, err := client.GetParked(t.Context(), sequence+1)
		for _, err := range []error{err, client.ReplayParked(t.Context(), sequence+1), client.DropParked(t.Context(), sequence+1)} {
			if !errors.Is(err, mq.ErrNotParked) {
				t.Errorf("%d: %v", sequence+1, err)
			}
		}
	}
	if left, err := client.ListParked(t.Context(), "", 0, 10); err != nil || len(left) != 0 {
		t.Error(fmt.Sprint(left), err)
	}
}
