package mq_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	kitdb "github.com/backlot-video/backlot/sql/gen/kit"
)

// addShort adds short facts as a service does that has a statement of its own.
func addShort(t testing.TB, db *database.DB, outbox *mq.Outbox, sequence int64, envelopes ...*eventv1.Envelope) (ids []string) {
	t.Helper()
	err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		for i, envelope := range envelopes {
			id, data, err := outbox.EncodeShort(ctx, envelope, sequence+int64(i))
			if err != nil {
				return err
			}
			if proto.Unmarshal(data, new(eventv1.Envelope)) == nil {
				return errors.New("a relay of before short facts would publish this one")
			}
			ids = append(ids, id)
			err = kitdb.New(tx).AddToOutbox(ctx, kitdb.AddToOutboxParams{
				ID: id, TenantID: envelope.GetTenantId(), Sequence: sequence + int64(i), Envelope: data, CreatedAt: 1,
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	outbox.Wake()
	return ids
}

func TestShortFactsArePublishedWholeAndInOrder(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		_, client := broker(t)
		var sick atomic.Int32 // the times that the tables are not to be read
		sick.Store(2)
		outbox := mq.NewOutbox(mq.OutboxConfig{
			Service: "test", DB: db, Client: client, Log: logger(t),
			Expand: func(_ context.Context, envelope *eventv1.Envelope) error {
				if number(envelope) == 1 && sick.Add(-1) >= 0 {
					return errors.New("the database is sick")
				}
				envelope.Data = fact(t, "", number(envelope)+100).GetData()
				return nil
			},
		})
		want := addShort(t, db, outbox, 10, fact(t, "a", 1), fact(t, "a", 2), fact(t, "b", 3))
		got, seen := newJournal(), make(chan string, len(want))
		background(t, outbox.Run)
		consume(t, client, consumerOf(func(ctx context.Context, envelope *eventv1.Envelope) error {
			seen <- envelope.GetId()
			return got.handle(ctx, envelope)
		}))
		got.await(t, 3)
		if a, b := got.of("a"), got.of("b"); a != "[101 102]" || b != "[103]" {
			t.Errorf("a: %s, b: %s", a, b)
		}
		ids := []string{<-seen, <-seen, <-seen}
		slices.Sort(ids)
		slices.Sort(want)
		if !slices.Equal(ids, want) {
			t.Errorf("ids %v, want %v", ids, want)
		}
	})
}

func TestRelayWithoutExpandLeavesShortFacts(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		server, client := broker(t)
		js := raw(t, server.URL())
		old := mq.NewOutbox(mq.OutboxConfig{Service: "test", DB: db, Client: client})
		short := addShort(t, db, old, 10, fact(t, "a", 1))
		other := fact(t, "b", 2)
		if err := add(t, db, old, other); err != nil {
			t.Fatal(err)
		}
		stop := background(t, old.Run)
		if got := await(t, js, mq.StreamName, 1); got[0] != other.GetId() {
			t.Errorf("published %v, want %s alone", got, other.GetId())
		}
		stop()
		background(t, mq.NewOutbox(mq.OutboxConfig{
			Service: "test", DB: db, Client: client,
			Expand: func(context.Context, *eventv1.Envelope) error { return nil },
		}).Run)
		if got := await(t, js, mq.StreamName, 2); strings.Join(got, " ") != fmt.Sprint(other.GetId(), " ", short[0]) {
			t.Errorf("published %v", got)
		}
	})
}
