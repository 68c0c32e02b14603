package mq_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

// A batch is one transaction: ids that the inbox knows are left out, one fact
// that is refused is parked and the others of its batch take effect once.
func TestBatchTakesEffectOnce(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		server, client := broker(t)
		got := newJournal()
		var largest atomic.Int64
		const total = 60
		for n := range total {
			publish(t, client, "a", n)
		}
		stop := consume(t, client, mq.Consumer{
			Durable: "test_all", Subjects: mq.Subjects(factType), Lanes: 1, BatchLimit: 16, Attempts: 2, Pause: time.Millisecond,
			Batch: func(ctx context.Context, envelopes []*eventv1.Envelope) error {
				largest.Store(max(largest.Load(), int64(len(envelopes))))
				var fresh []*eventv1.Envelope
				err := db.Write(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
					if fresh, err = mq.OnceAll(ctx, tx, "test_all", envelopes); err != nil {
						return err
					}
					for _, envelope := range fresh {
						if number(envelope) == 7 {
							return errors.New("seven")
						}
					}
					return nil
				})
				for _, envelope := range fresh {
					if err == nil {
						err = got.handle(ctx, envelope)
					}
				}
				return err
			},
		})
		got.await(t, total-1)
		await(t, raw(t, server.URL()), mq.ParkedStreamName, 1)
		stop()
		var want []int
		for n := range total {
			if n != 7 {
				want = append(want, n)
			}
		}
		if got.of("a") != fmt.Sprint(want) {
			t.Errorf("got %s", got.of("a"))
		}
		if largest.Load() < 2 || largest.Load() > 16 {
			t.Errorf("batches of %d", largest.Load())
		}
	})
}

func TestDrainEndsWithAllAcknowledged(t *testing.T) {
	server, client := broker(t)
	js := raw(t, server.URL())
	const total = 500
	for n := range total {
		publish(t, client, fmt.Sprint(n), n)
	}
	got := newJournal()
	consumer := consumerOf(got.handle)
	consumer.MaxAckPending = 8 // the window of acknowledgements too
	stop := consume(t, client, consumer)
	got.await(t, total)
	stop()
	info, err := js.Consumer(t.Context(), mq.StreamName, "test_all")
	if err != nil {
		t.Fatal(err)
	}
	if state := info.CachedInfo(); state.NumAckPending != 0 || state.AckFloor.Stream != total {
		t.Errorf("%d open, %d of %d acknowledged", state.NumAckPending, state.AckFloor.Stream, total)
	}
}

// A handler that does not get on stops the pull: the broker keeps the rest.
func TestSlowHandlerHoldsUpThePull(t *testing.T) {
	server, client := broker(t)
	js := raw(t, server.URL())
	for n := range 40 {
		publish(t, client, "a", n)
	}
	finish := make(chan struct{})
	got := newJournal()
	consumer := consumerOf(func(ctx context.Context, envelope *eventv1.Envelope) error {
		<-finish
		return got.handle(ctx, envelope)
	})
	consumer.MaxAckPending = 8
	consume(t, client, consumer)
	var state *jetstream.ConsumerInfo
	deadline := time.Now().Add(10 * time.Second)
	for state == nil || state.NumAckPending < 8 {
		if time.Now().After(deadline) {
			t.Fatalf("the pull does not begin: %+v", state)
		}
		if durable, err := js.Consumer(t.Context(), mq.StreamName, "test_all"); err == nil {
			state = durable.CachedInfo()
		}
	}
	if state.NumAckPending != 8 || state.NumPending != 32 {
		t.Errorf("%d handed out, %d wait", state.NumAckPending, state.NumPending)
	}
	close(finish)
	got.await(t, 40)
}
