package mq

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	kitmq "github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

const (
	factType = "backlot.bench.counted.v1"
	payload  = 256 // bytes of an envelope
	keys     = 512
	limit    = time.Minute
)

// envelope is the n-th, of payload bytes.
func envelope(n int) (*eventv1.Envelope, error) {
	var e *eventv1.Envelope
	for length, missing := 64, 1; missing != 0; length += missing {
		var err error
		e, err = kitmq.NewEnvelope("main", factType, fmt.Sprintf("key-%03d", n%keys), wrapperspb.String(strings.Repeat("x", length)))
		if err != nil {
			return nil, err
		}
		e.Id, e.Source, e.OccurredAt = fmt.Sprintf("01a20623-2cdf-7131-809b-%012x", n), "bench", 1
		missing = payload - proto.Size(e)
	}
	return e, nil
}

// fill puts messages on the stream.
func fill(url string, count int) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	client, err := kitmq.Connect(ctx, kitmq.ClientConfig{URL: url}) // makes the stream
	if err != nil {
		return err
	}
	defer client.Close()
	js, end, err := raw(url)
	if err != nil {
		return err
	}
	defer end()
	for n := range count {
		e, err := envelope(n)
		if err != nil {
			return err
		}
		data, err := proto.Marshal(e)
		if err != nil {
			return err
		}
		if len(data) != payload {
			return fmt.Errorf("envelope of %d bytes", len(data))
		}
		if _, err := js.PublishAsync(kitmq.Subject(e), data); err != nil {
			return err
		}
		if n%1000 == 999 || n == count-1 {
			<-js.PublishAsyncComplete()
		}
	}
	stream, err := js.Stream(ctx, kitmq.StreamName)
	if err != nil {
		return err
	}
	if have := stream.CachedInfo().State.Msgs; have != uint64(count) {
		return fmt.Errorf("%d messages on the stream, not %d", have, count)
	}
	return nil
}

// raw is the broker by nats.go.
func raw(url string) (jetstream.JetStream, func(), error) {
	conn, err := nats.Connect(url)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(2000))
	return js, conn.Close, err
}

// consumePeer fetches one message after the other and waits until the broker
// has confirmed its acknowledgement. It does not decode them.
func consumePeer(url, durable string, count int) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	js, end, err := raw(url)
	if err != nil {
		return err
	}
	defer end()
	name := "peer_" + durable
	consumer, err := js.CreateConsumer(ctx, kitmq.StreamName, jetstream.ConsumerConfig{
		Durable: name, FilterSubjects: kitmq.Subjects(factType), AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		return err
	}
	for range count {
		batch, err := consumer.Fetch(1)
		if err != nil {
			return err
		}
		for message := range batch.Messages() {
			if err := message.DoubleAck(ctx); err != nil {
				return err
			}
		}
		if err := batch.Error(); err != nil {
			return err
		}
	}
	return acknowledged(ctx, js, name, count)
}

// acknowledged checks that a consumer has nothing open of so many messages,
// and removes it.
func acknowledged(ctx context.Context, js jetstream.JetStream, name string, count int) error {
	consumer, err := js.Consumer(ctx, kitmq.StreamName, name)
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	if info.NumAckPending != 0 || info.AckFloor.Consumer < uint64(count) {
		return fmt.Errorf("%s: %d of %d messages acknowledged, %d open", name, info.AckFloor.Consumer, count, info.NumAckPending)
	}
	return js.DeleteConsumer(ctx, kitmq.StreamName, name)
}
