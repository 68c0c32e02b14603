package mq

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	kitmq "github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

func pack(text string) (*anypb.Any, error) { return anypb.New(wrapperspb.String(text)) }

// consumeOurs handles messages until count were, and ends as a service does:
// when their acknowledgements are confirmed.
func consumeOurs(url, durable string, count int) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	client, err := kitmq.Connect(ctx, kitmq.ClientConfig{URL: url})
	if err != nil {
		return err
	}
	defer client.Close()
	running, stop := context.WithCancel(ctx)
	defer stop()
	var handled atomic.Int64
	err = client.Consume(running, kitmq.Consumer{
		Durable: "ours_" + durable, Subjects: kitmq.Subjects(factType),
		Handler: func(context.Context, *eventv1.Envelope) error {
			if handled.Add(1) == int64(count) {
				stop()
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	js, end, err := raw(url)
	if err != nil {
		return err
	}
	defer end()
	if have := handled.Load(); have != int64(count) {
		return fmt.Errorf("%d of %d handled", have, count)
	}
	return acknowledged(ctx, js, "ours_"+durable, count)
}

// latencies are those from publishing to handling, in milliseconds, sorted.
func latencies(url string, count, rate int) ([]float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	client, err := kitmq.Connect(ctx, kitmq.ClientConfig{URL: url})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	begun := time.Now()
	heard := make(chan time.Duration, count+1)
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	const told = "backlot.bench.timed.v1"
	go func() {
		ended <- client.Consume(running, kitmq.Consumer{
			Durable: "ours_latency", Subjects: kitmq.Subjects(told),
			Handler: func(_ context.Context, e *eventv1.Envelope) error {
				heard <- time.Since(begun) - time.Duration(e.GetOccurredAt())
				return nil
			},
		})
	}()
	all := make([]time.Duration, 0, count)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for n := range count + 1 {
		<-tick.C
		data, err := pack(strings.Repeat("x", 140))
		if err != nil {
			return nil, err
		}
		e := &eventv1.Envelope{TenantId: "main", Type: told, Key: fmt.Sprint(n), Data: data, OccurredAt: int64(time.Since(begun))}
		if err := client.Publish(ctx, "bench", e); err != nil {
			return nil, err
		}
		select {
		case took := <-heard:
			if n > 0 { // the first one waits for the consumer to be made
				all = append(all, took)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	stop()
	return sortedMillis(all), <-ended
}
