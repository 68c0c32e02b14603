package mq_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

// TestMain lets the test binary also be the processes that crash tests kill.
func TestMain(m *testing.M) {
	if role := os.Getenv("BACKLOT_MQ_ROLE"); role != "" {
		play(role)
		return
	}
	os.Exit(m.Run())
}

const factType = "backlot.test.counted.v1"

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// broker is an embedded server with a client in process.
func broker(t testing.TB) (*mq.Server, *mq.Client) {
	t.Helper()
	server, err := mq.NewServer(mq.ServerConfig{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	client, err := mq.Connect(t.Context(), mq.ClientConfig{Server: server, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return server, client
}

// raw is the broker seen past our own code.
func raw(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func fact(t testing.TB, key string, n int) *eventv1.Envelope {
	t.Helper()
	envelope, err := mq.NewEnvelope("main", factType, key, wrapperspb.Int64(int64(n)))
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

func number(envelope *eventv1.Envelope) int {
	var value wrapperspb.Int64Value
	if err := envelope.GetData().UnmarshalTo(&value); err != nil {
		return -1
	}
	return int(value.GetValue())
}

// background runs fn until the test ends, or the returned function is called.
func background(t testing.TB, fn func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- fn(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// journal is what a handler saw, by key.
type journal struct {
	mu    sync.Mutex
	seen  map[string][]int
	total int
	more  chan struct{}
}

func newJournal() *journal { return &journal{seen: map[string][]int{}, more: make(chan struct{}, 1)} }

func (j *journal) handle(_ context.Context, envelope *eventv1.Envelope) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seen[envelope.GetKey()] = append(j.seen[envelope.GetKey()], number(envelope))
	j.total++
	select {
	case j.more <- struct{}{}:
	default:
	}
	return nil
}

func (j *journal) await(t testing.TB, total int) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		j.mu.Lock()
		have := j.total
		j.mu.Unlock()
		if have >= total {
			return
		}
		select {
		case <-j.more:
		case <-deadline:
			t.Fatalf("%d of %d facts came", have, total)
		}
	}
}

func (j *journal) of(key string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return fmt.Sprint(j.seen[key])
}

func add(t testing.TB, db *database.DB, outbox *mq.Outbox, envelopes ...*eventv1.Envelope) error {
	t.Helper()
	return db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		for _, envelope := range envelopes {
			if err := outbox.Add(ctx, tx, envelope); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestFactsArriveInTheOrderOfTheirKey(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		_, client := broker(t)
		outbox := mq.NewOutbox(mq.OutboxConfig{Service: "test", DB: db, Client: client, Batch: 16, Log: logger(t)})
		got := newJournal()
		background(t, outbox.Run)
		background(t, func(ctx context.Context) error {
			return client.Consume(ctx, mq.Consumer{Durable: "test_all", Subjects: mq.Subjects(factType), Handler: got.handle})
		})
		const keys, each = 8, 12
		var want []int
		var all sync.WaitGroup
		for k := range keys {
			all.Go(func() {
				for n := range each {
					if err := add(t, db, outbox, fact(t, fmt.Sprint("key", k), n)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for n := range each {
			want = append(want, n)
		}
		all.Wait()
		got.await(t, keys*each)
		for k := range keys {
			if key := fmt.Sprint("key", k); got.of(key) != fmt.Sprint(want) {
				t.Errorf("%s: %v", key, got.of(key))
			}
		}
	})
}

func TestFactsOfOneTransactionRiseAndFactsOfNoneAreNotTold(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		server, client := broker(t)
		outbox := mq.NewOutbox(mq.OutboxConfig{Service: "test", DB: db, Client: client})
		first, second := fact(t, "a", 1), fact(t, "a", 2)
		errRefused := errors.New("refused")
		err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(outbox.Add(ctx, tx, fact(t, "a", 0)), errRefused)
		})
		if !errors.Is(err, errRefused) {
			t.Fatal(err)
		}
		if err := add(t, db, outbox, first, second); err != nil {
			t.Fatal(err)
		}
		if first.GetSequence() >= second.GetSequence() || first.GetId() == "" || first.GetSource() != "test" || first.GetOccurredAt() == 0 {
			t.Errorf("%v then %v", first, second)
		}
		background(t, outbox.Run)
		if got := await(t, raw(t, server.URL()), mq.StreamName, 2); got[0] != first.GetId() || got[1] != second.GetId() {
			t.Errorf("got %v", got)
		}
	})
}

// await reads a stream until it has so many messages, and returns their ids.
func await(t testing.TB, js jetstream.JetStream, stream string, total int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	consumer, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	context.AfterFunc(ctx, messages.Stop)
	var ids []string
	for len(ids) < total {
		message, err := messages.Next()
		if err != nil {
			t.Fatalf("%d of %d messages: %v", len(ids), total, err)
		}
		ids = append(ids, message.Headers().Get(jetstream.MsgIDHeader))
	}
	return ids
}

func TestAddRefusesWhatBreaksTheContract(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		outbox := mq.NewOutbox(mq.OutboxConfig{Service: "test", DB: db})
		large := fact(t, "a", 1)
		large.Data.Value = make([]byte, mq.EnvelopeLimit)
		for name, envelope := range map[string]*eventv1.Envelope{
			"type":   {TenantId: "main", Type: "Counted", Key: "a", Data: &anypb.Any{}},
			"key":    {TenantId: "main", Type: factType, Data: &anypb.Any{}},
			"tenant": {Type: factType, Key: "a", Data: &anypb.Any{}},
			"data":   {TenantId: "main", Type: factType, Key: "a"},
			"id":     {Id: "1", TenantId: "main", Type: factType, Key: "a", Data: &anypb.Any{}},
			"large":  large,
		} {
			if err := add(t, db, outbox, envelope); !errors.Is(err, mq.ErrEnvelope) {
				t.Errorf("%s: %v", name, err)
			}
		}
		var left int
		if err := db.Read().QueryRowContext(t.Context(), "SELECT count(*) FROM outbox").Scan(&left); err != nil || left != 0 {
			t.Errorf("%d rows, %v", left, err)
		}
	})
}

func TestBrokerThatLostFactsGetsThemAgain(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		server, client := broker(t)
		js := raw(t, server.URL())
		outbox := mq.NewOutbox(mq.OutboxConfig{Service: "test", DB: db, Client: client})
		if err := add(t, db, outbox, fact(t, "a", 1), fact(t, "b", 2), fact(t, "a", 3)); err != nil {
			t.Fatal(err)
		}
		stop := background(t, outbox.Run)
		before := await(t, js, mq.StreamName, 3)
		stop()
		// Nothing is lost: nothing comes twice.
		stop = background(t, outbox.Run)
		if err := add(t, db, outbox, fact(t, "a", 4)); err != nil {
			t.Fatal(err)
		}
		before = append(before, await(t, js, mq.StreamName, 4)[3])
		stop()
		if info := streamInfo(t, js); info.State.Msgs != 4 {
			t.Errorf("%d messages", info.State.Msgs)
		}
		// All is lost.
		if err := js.DeleteStream(t.Context(), mq.StreamName); err != nil {
			t.Fatal(err)
		}
		again, err := mq.Connect(t.Context(), mq.ClientConfig{Server: server})
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		background(t, mq.NewOutbox(mq.OutboxConfig{Service: "test", DB: db, Client: again}).Run)
		if after := await(t, js, mq.StreamName, 4); strings.Join(after, " ") != strings.Join(before, " ") {
			t.Errorf("got %v, want %v", after, before)
		}
	})
}

func streamInfo(t testing.TB, js jetstream.JetStream) *jetstream.StreamInfo {
	t.Helper()
	stream, err := js.Stream(t.Context(), mq.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo()
}

func TestFactThatTheBrokerRefusesHoldsUpItsKey(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		server, client := broker(t)
		js := raw(t, server.URL())
		limited := streamInfo(t, js).Config
		limited.MaxBytes, limited.Discard = 100<<10, jetstream.DiscardNew
		if _, err := js.UpdateStream(t.Context(), limited); err != nil {
			t.Fatal(err)
		}
		large, after, other := fact(t, "a", 1), fact(t, "a", 2), fact(t, "b", 3)
		large.Data.Value = append(large.Data.Value, make([]byte, 200<<10)...)
		outbox := mq.NewOutbox(mq.OutboxConfig{Service: "test", DB: db, Client: client})
		if err := add(t, db, outbox, large, after, other); err != nil {
			t.Fatal(err)
		}
		background(t, outbox.Run)
		await(t, js, mq.StreamName, 1)
		limited.MaxBytes = 1 << 20
		if _, err := js.UpdateStream(t.Context(), limited); err != nil {
			t.Fatal(err)
		}
		want := []string{other.GetId(), large.GetId(), after.GetId()}
		if got := await(t, js, mq.StreamName, 3); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestOnceIsTrueOnceForEachConsumer(t *testing.T) {
	databasetest.Each(t, "kit", func(t *testing.T, db *database.DB) {
		envelope := fact(t, "a", 1)
		envelope.Id = uuid.NewString()
		once := func(consumer string, result error) (first bool) {
			err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) (err error) {
				if first, err = mq.Once(ctx, tx, consumer, envelope); err != nil {
					return err
				}
				return result
			})
			if !errors.Is(err, result) {
				t.Error(err)
			}
			return first
		}
		got := []bool{once("x", errors.New("rolled back")), once("x", nil), once("x", nil), once("y", nil)}
		if fmt.Sprint(got) != "[true true false true]" {
			t.Errorf("got %v", got)
		}
	})
}
