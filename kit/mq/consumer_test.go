package mq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

func consumerOf(handler func(context.Context, *eventv1.Envelope) error) mq.Consumer {
	return mq.Consumer{
		Durable: "test_all", Subjects: []string{"backlot.test.>"}, Handler: handler,
		Attempts: 3, Pause: time.Millisecond,
	}
}

func consume(t testing.TB, client *mq.Client, consumer mq.Consumer) (stop func()) {
	t.Helper()
	return background(t, func(ctx context.Context) error { return client.Consume(ctx, consumer) })
}

func publish(t testing.TB, client *mq.Client, key string, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		if err := client.Publish(t.Context(), "test", fact(t, key, n)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFailureIsTriedAgainInItsPlace(t *testing.T) {
	_, client := broker(t)
	got := newJournal()
	var attempts atomic.Int64
	consume(t, client, consumerOf(func(ctx context.Context, envelope *eventv1.Envelope) error {
		if number(envelope) == 2 {
			switch attempts.Add(1) {
			case 1:
				return errors.New("not yet")
			case 2:
				panic("not yet")
			}
		}
		return got.handle(ctx, envelope)
	}))
	publish(t, client, "a", 1, 2, 3)
	got.await(t, 3)
	if got.of("a") != "[1 2 3]" || attempts.Load() != 3 {
		t.Errorf("got %s in %d attempts", got.of("a"), attempts.Load())
	}
}

func TestMessageThatNobodyTakesIsParked(t *testing.T) {
	server, client := broker(t)
	js := raw(t, server.URL())
	got := newJournal()
	var attempts atomic.Int64
	consume(t, client, consumerOf(func(ctx context.Context, envelope *eventv1.Envelope) error {
		switch number(envelope) {
		case 1:
			attempts.Add(1)
			return errors.New("never\r\nInjected: header")
		case 2:
			attempts.Add(1)
			return fmt.Errorf("handle %s: %w", envelope.GetType(), mq.ErrUnknownType)
		}
		return got.handle(ctx, envelope)
	}))
	publish(t, client, "a", 1, 2, 3)
	foreign := fact(t, "a", 4)
	foreign.Data.TypeUrl = "type.googleapis.com/backlot.test.v9.Unknown"
	if err := client.Publish(t.Context(), "test", foreign); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "backlot.test.counted.v1.7", []byte("no envelope")); err != nil {
		t.Fatal(err)
	}
	publish(t, client, "a", 5)
	got.await(t, 2)
	await(t, js, mq.ParkedStreamName, 4)
	if got.of("a") != "[3 5]" || attempts.Load() != 3+1 {
		t.Errorf("got %s in %d attempts", got.of("a"), attempts.Load())
	}
	stream, err := js.Stream(t.Context(), mq.ParkedStreamName)
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for sequence := range uint64(4) {
		message, err := stream.GetMsg(t.Context(), sequence+1)
		if err != nil {
			t.Fatal(err)
		}
		if message.Subject != "parked.test_all" || message.Header.Get("Backlot-Sequence") == "" {
			t.Errorf("parked as %s with %v", message.Subject, message.Header)
		}
		reasons = append(reasons, message.Header.Get("Backlot-Error"))
	}
	all := strings.Join(reasons, "\n")
	for _, want := range []string{"never Injected: header", "unknown type of fact", "Unknown", "invalid envelope"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
}

func TestDrainFinishesWhatRunsAndGivesBackTheRest(t *testing.T) {
	_, client := broker(t)
	running, finish := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(finish) })
	first := newJournal()
	slow := consumerOf(func(ctx context.Context, envelope *eventv1.Envelope) error {
		close(running)
		<-finish
		return first.handle(ctx, envelope)
	})
	slow.Lanes = 1
	stop := consume(t, client, slow)
	defer release()
	publish(t, client, "a", 1, 2, 3, 4)
	<-running
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	// Another process gets the rest at once, long before ackWait. It may get 1
	// too, since the broker cannot tell a process that drains from a dead one.
	heard := make(chan int, 16)
	consume(t, client, consumerOf(func(_ context.Context, envelope *eventv1.Envelope) error {
		heard <- number(envelope)
		return nil
	}))
	deadline := time.After(10 * time.Second)
	for missing := map[int]bool{2: true, 3: true, 4: true}; len(missing) > 0; {
		select {
		case n := <-heard:
			delete(missing, n)
		case <-deadline:
			t.Fatalf("%v not heard", missing)
		}
	}
	release()
	<-stopped
	if first.of("a") != "[1]" {
		t.Errorf("first heard %s", first.of("a"))
	}
}

func TestRestartGoesOnInOrder(t *testing.T) {
	_, client := broker(t)
	stuck := make(chan struct{})
	stop := consume(t, client, mq.Consumer{
		Durable: "test_all", Subjects: mq.Subjects(factType), DrainTimeout: time.Millisecond,
		Handler: func(ctx context.Context, envelope *eventv1.Envelope) error {
			if number(envelope) < 4 {
				return nil
			}
			close(stuck)
			<-ctx.Done()
			return ctx.Err()
		},
	})
	publish(t, client, "a", 1, 2, 3, 4, 5, 6)
	<-stuck
	stop()
	publish(t, client, "a", 7)
	got := newJournal()
	consume(t, client, consumerOf(got.handle))
	got.await(t, 4)
	// An acknowledgement may have been on its way: then its message comes again.
	if of := got.of("a"); !strings.Contains("[1 2 3 4 5 6 7]", strings.Trim(of, "[]")) {
		t.Errorf("got %s", of)
	}
}

func TestConsumerComesBackWhenTheBrokerHasLostIt(t *testing.T) {
	server, client := broker(t)
	js := raw(t, server.URL())
	got := newJournal()
	consume(t, client, consumerOf(got.handle))
	publish(t, client, "a", 1)
	got.await(t, 1)
	if err := js.DeleteConsumer(t.Context(), mq.StreamName, "test_all"); err != nil {
		t.Fatal(err)
	}
	publish(t, client, "a", 2)
	got.await(t, 3) // 1 again, since the broker forgot, and 2
}

func TestConsumerNamesEveryFault(t *testing.T) {
	_, client := broker(t)
	err := client.Consume(t.Context(), mq.Consumer{Durable: "A.b", Lanes: 65})
	for _, want := range []string{"durable: ", "subjects: ", "handler: ", "lanes: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

func TestPublishTwiceIsOnce(t *testing.T) {
	server, client := broker(t)
	envelope := fact(t, "a", 1)
	for range 2 {
		if err := client.Publish(t.Context(), "test", envelope); err != nil {
			t.Fatal(err)
		}
	}
	if info := streamInfo(t, raw(t, server.URL())); info.State.Msgs != 1 {
		t.Errorf("%d messages", info.State.Msgs)
	}
}

func TestServerKeepsMessagesAndRefusesBadAddresses(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		server, err := mq.NewServer(mq.ServerConfig{DataDir: dir, Listen: "127.0.0.1:0", Token: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		client, err := mq.Connect(t.Context(), mq.ClientConfig{URL: server.URL(), Token: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, client, "a", round)
		if err := client.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if round == 1 {
			got := newJournal()
			stop := consume(t, client, consumerOf(got.handle))
			got.await(t, 2)
			stop()
			busy := strings.TrimPrefix(server.URL(), "nats://")
			if _, err := mq.NewServer(mq.ServerConfig{DataDir: t.TempDir(), Listen: busy}); err == nil || !strings.Contains(err.Error(), busy) {
				t.Errorf("busy port: %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if _, err := mq.Connect(ctx, mq.ClientConfig{URL: server.URL(), Token: "wrong"}); err == nil {
				t.Error("a wrong token gets in")
			}
			cancel()
		}
		if err := errors.Join(client.Close(), server.Close()); err != nil {
			t.Error(err)
		}
	}
	for _, listen := range []string{"0.0.0.0:0", ":4222", "127.0.0.1", "127.0.0.1:x", "localhost.example:1"} {
		if _, err := mq.NewServer(mq.ServerConfig{DataDir: t.TempDir(), Listen: listen}); err == nil {
			t.Errorf("listens on %s", listen)
		}
	}
}
