package mq_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	schema "github.com/backlot-video/backlot/sql"
)

// fill puts b.N facts of some keys on the stream.
func fill(b *testing.B, server *mq.Server) {
	b.Helper()
	js := raw(b, server.URL())
	for n := range b.N {
		envelope := fact(b, string(rune('a'+n%16)), n)
		envelope.Id, envelope.Source, envelope.OccurredAt = "01a20623-2cdf-7131-809b-203c2862390c", "bench", 1
		if _, err := js.PublishAsync(mq.Subject(envelope), marshal(b, envelope)); err != nil {
			b.Fatal(err)
		}
		if n%1000 == 999 { // it refuses what it cannot send in 200 ms
			<-js.PublishAsyncComplete()
		}
	}
	<-js.PublishAsyncComplete()
}

func BenchmarkConsume(b *testing.B) {
	server, client := broker(b)
	fill(b, server)
	done := make(chan struct{}, 1<<20)
	b.ResetTimer()
	consume(b, client, consumerOf(func(context.Context, *eventv1.Envelope) error { done <- struct{}{}; return nil }))
	for range b.N {
		<-done
	}
}

// BenchmarkFetchOne is the simplest consumer there is, for comparison: one
// message at a time, each acknowledgement awaited.
func BenchmarkFetchOne(b *testing.B) {
	server, _ := broker(b)
	fill(b, server)
	js := raw(b, server.URL())
	consumer, err := js.CreateConsumer(b.Context(), mq.StreamName, jetstream.ConsumerConfig{Durable: "one"})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		batch, err := consumer.Fetch(1)
		if err != nil {
			b.Fatal(err)
		}
		for message := range batch.Messages() {
			if err := message.DoubleAck(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkTell is one fact at a time from its transaction to its handler.
func BenchmarkTell(b *testing.B) {
	_, client := broker(b)
	db := databasetest.Open(b, databasetest.Config(b, database.SQLite, "kit"), schema.Migrations("kit"))
	outbox := mq.NewOutbox(mq.OutboxConfig{Service: "bench", DB: db, Client: client})
	background(b, outbox.Run)
	done := make(chan struct{}, 1)
	consume(b, client, consumerOf(func(context.Context, *eventv1.Envelope) error { done <- struct{}{}; return nil }))
	for b.Loop() {
		if err := add(b, db, outbox, fact(b, "a", 1)); err != nil {
			b.Fatal(err)
		}
		<-done
	}
}

func marshal(b *testing.B, envelope *eventv1.Envelope) []byte {
	b.Helper()
	data, err := proto.Marshal(envelope)
	if err != nil {
		b.Fatal(err)
	}
	return data
}
