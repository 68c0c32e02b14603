package mq

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	kitdb "github.com/backlot-video/backlot/sql/gen/kit"
)

// connected is a client of a broker of its own.
func connected(t *testing.T) *Client {
	t.Helper()
	server, err := NewServer(ServerConfig{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	client, err := Connect(t.Context(), ClientConfig{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(client.Close(), server.Close()); err != nil {
			t.Error(err)
		}
	})
	return client
}

// bundleOf is a row of so many facts, and their ids.
func bundleOf(t *testing.T, outbox *Outbox, sequence int64, facts int) (row kitdb.AddToOutboxParams, ids []string) {
	t.Helper()
	row = kitdb.AddToOutboxParams{TenantID: "main", Sequence: sequence, Envelope: Bundle(), CreatedAt: 1}
	for i := range facts {
		envelope, err := NewEnvelope("main", "backlot.test.counted.v1", fmt.Sprint(sequence, "-", i), wrapperspb.Int64(int64(i)))
		if err != nil {
			t.Fatal(err)
		}
		id, data, err := outbox.Encode(t.Context(), envelope, sequence)
		if err != nil {
			t.Fatal(err)
		}
		row.Envelope = append(row.Envelope, Bundled(data)...)
		ids = append(ids, id)
	}
	row.ID = slices.Min(ids)
	return row, ids
}

func insert(t *testing.T, db *database.DB, rows ...kitdb.AddToOutboxParams) {
	t.Helper()
	err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		for _, row := range rows {
			if err := kitdb.New(tx).AddToOutbox(ctx, row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestBundlesArePublishedFactByFact: more facts than may be in flight, and one
// that does not decode, which keeps its row and nothing else; what the row has
// beside is sent once.
func TestBundlesArePublishedFactByFact(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		client := connected(t)
		outbox := NewOutbox(OutboxConfig{Service: "test", DB: db, Client: client})
		whole, ids := bundleOf(t, outbox, 10, publishWindow+100)
		broken, others := bundleOf(t, outbox, 11, 3)
		broken.Envelope = append(broken.Envelope, Bundled([]byte{0x0f})...)
		cut, _ := bundleOf(t, outbox, 12, 2)
		cut.Envelope = cut.Envelope[:len(cut.Envelope)-1]
		insert(t, db, whole, broken, cut)

		sent := newMarks(outbox)
		for turn := range 3 {
			if _, err := outbox.step(t.Context(), sent, false); err == nil {
				t.Errorf("turn %d: nobody is told of what does not decode", turn)
			}
		}
		if err := sent.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := slices.Concat(ids, others)
		if got := published(t, client, len(want)); !slices.Equal(got, want) {
			t.Errorf("%d facts, want %d in order", len(got), len(want))
		}
		if n := testutil.ToFloat64(client.metrics.published.WithLabelValues("test")); int(n) != len(want) {
			t.Errorf("%v were sent, want %d: each once", n, len(want))
		}
		if left := unmarked(t, db); len(left) != 2 || left[0].ID != broken.ID || left[1].ID != cut.ID {
			t.Errorf("%d rows are left", len(left))
		}
	})
}

// published are the ids of the messages that the broker has, in order.
func published(t *testing.T, client *Client, n int) (ids []string) {
	t.Helper()
	stream, err := client.stream.Stream(t.Context(), StreamName)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil || info.State.Msgs != uint64(n) {
		t.Fatalf("%d messages, want %d, %v", info.State.Msgs, n, err)
	}
	for i := range n {
		message, err := stream.GetMsg(t.Context(), info.State.FirstSeq+uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		var envelope eventv1.Envelope
		if err := proto.Unmarshal(message.Data, &envelope); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, envelope.GetId())
	}
	return ids
}

func TestRelayOfBeforeLeavesBundles(t *testing.T) {
	row, _ := bundleOf(t, NewOutbox(OutboxConfig{Service: "test"}), 1, 2)
	if proto.Unmarshal(row.Envelope, new(eventv1.Envelope)) == nil {
		t.Error("it would publish this one")
	}
}

func FuzzFacts(f *testing.F) {
	f.Add([]byte{})
	f.Add(Bundle())
	f.Add(append(Bundle(), Bundled([]byte("fact"))...))
	f.Add(append(append(Bundle(), Bundled(nil)...), Bundled(bytes.Repeat([]byte{1}, 200))...))
	f.Add([]byte{bundleMark, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, row []byte) {
		facts, err := Facts(row)
		if err != nil {
			return
		}
		again := Bundle()
		for _, fact := range facts {
			again = append(again, Bundled(fact)...)
		}
		got, err := Facts(again)
		if err != nil || !slices.EqualFunc(got, facts, bytes.Equal) {
			t.Errorf("%q became %q, %v", facts, got, err)
		}
	})
}
