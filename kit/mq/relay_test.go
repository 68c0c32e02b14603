package mq_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	schema "github.com/backlot-video/backlot/sql"
)

func addAll(t testing.TB, db *database.DB, outbox *mq.Outbox, envelopes ...*eventv1.Envelope) error {
	t.Helper()
	return db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		return outbox.AddAll(ctx, tx, envelopes)
	})
}

func TestFactsAddedTogetherArriveInOrder(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		_, client := broker(t)
		outbox := mq.NewOutbox(mq.OutboxConfig{Service: "test", DB: db, Client: client, Batch: 16, Log: logger(t)})
		got := newJournal()
		var sequences sync.Map
		background(t, outbox.Run)
		consume(t, client, consumerOf(func(ctx context.Context, envelope *eventv1.Envelope) error {
			if before, known := sequences.Swap(envelope.GetKey(), envelope.GetSequence()); known && before.(int64) >= envelope.GetSequence() {
				t.Errorf("key %s: %d after %d", envelope.GetKey(), envelope.GetSequence(), before)
			}
			return got.handle(ctx, envelope)
		}))
		const keys, each = 9, 20
		var want []int
		for n := range each {
			want = append(want, n)
		}
		var all sync.WaitGroup
		for k := range keys {
			all.Go(func() {
				for n := 0; n < each; n += 5 {
					var facts []*eventv1.Envelope
					for m := range 5 {
						facts = append(facts, fact(t, fmt.Sprint("key", k), n+m))
					}
					if err := addAll(t, db, outbox, facts...); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if err := add(t, db, outbox, fact(t, "key0", each)); err != nil {
			t.Fatal(err)
		}
		got.await(t, keys*each+1)
		for k := range keys {
			want := want
			if k == 0 {
				want = append(want[:len(want):len(want)], each)
			}
			if key := fmt.Sprint("key", k); got.of(key) != fmt.Sprint(want) {
				t.Errorf("%s: %v", key, got.of(key))
			}
		}
	})
}

func TestAddAllAddsAllOrNothing(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		outbox := mq.NewOutbox(mq.OutboxConfig{Service: "test", DB: db})
		err := addAll(t, db, outbox, fact(t, "a", 1), &eventv1.Envelope{Type: factType})
		if !errors.Is(err, mq.ErrEnvelope) {
			t.Error(err)
		}
		if err := addAll(t, db, outbox); err != nil {
			t.Error(err)
		}
		var left int
		if err := db.Read().QueryRowContext(t.Context(), "SELECT count(*) FROM outbox").Scan(&left); err != nil || left != 0 {
			t.Errorf("%d rows, %v", left, err)
		}
	})
}

// Several processes on one PostgreSQL: one publishes, told of the others'
// facts at once, and another goes on when it stops.
func TestOneOfSeveralRelaysPublishes(t *testing.T) {
	cfg := databasetest.Config(t, database.PostgreSQL, "kit")
	server, _ := broker(t)
	type process struct {
		outbox *mq.Outbox
		db     *database.DB
		stop   func()
	}
	var all []process
	for range 2 {
		db := databasetest.Open(t, cfg, schema.Migrations("kit"))
		client, err := mq.Connect(t.Context(), mq.ClientConfig{Server: server})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		outbox := mq.NewOutbox(mq.OutboxConfig{Service: "test", DB: db, Client: client, Poll: 3 * time.Second, Log: logger(t)})
		all = append(all, process{outbox, db, background(t, outbox.Run)})
	}
	js := raw(t, server.URL())
	var want []string
	for n := range 6 {
		told := fact(t, "a", n)
		if n == 4 {
			all[0].stop()
		}
		if err := add(t, all[1].db, all[1].outbox, told); err != nil {
			t.Fatal(err)
		}
		want = append(want, told.GetId())
		if got := await(t, js, mq.StreamName, n+1); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	var holders int
	if err := all[1].db.Read().QueryRowContext(t.Context(), "SELECT count(*) FROM outbox_lease").Scan(&holders); err != nil || holders != 1 {
		t.Errorf("%d leases, %v", holders, err)
	}
}

func TestAddAllNativeIsOneStatementOfPgx(t *testing.T) {
	cfg := databasetest.Config(t, database.PostgreSQL, "kit")
	db := databasetest.Open(t, cfg, schema.Migrations("kit"))
	_, client := broker(t)
	outbox := mq.NewOutbox(mq.OutboxConfig{Service: "test", DB: db, Client: client})
	background(t, outbox.Run)
	got := newJournal()
	consume(t, client, consumerOf(got.handle))
	options, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	options.RuntimeParams["search_path"] = cfg.Schema
	conn, err := pgx.ConnectConfig(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	err = pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		return outbox.AddAllNative(t.Context(), tx, []*eventv1.Envelope{fact(t, "a", 1), fact(t, "b", 2), fact(t, "a", 3)})
	})
	if err != nil {
		t.Fatal(err)
	}
	outbox.Wake()
	got.await(t, 3)
	if got.of("a") != "[1 3]" || got.of("b") != "[2]" {
		t.Errorf("got %s and %s", got.of("a"), got.of("b"))
	}
}
