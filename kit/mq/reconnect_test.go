package mq_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

// link carries a client's connections to a broker, and can lose what the
// broker sends.
type link struct {
	listener net.Listener
	broker   string
	losing   atomic.Bool
	up       sync.RWMutex // held: a new connection waits
	refusal  func()       // called when the client gives a message back

	mu   sync.Mutex
	open []net.Conn
}

func newLink(t *testing.T, broker string, refusal func()) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener, broker: strings.TrimPrefix(broker, "nats://"), refusal: refusal}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			front, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { l.carry(front) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.cut()
		running.Wait()
	})
	return l
}

func (l *link) carry(front net.Conn) {
	defer front.Close()
	l.up.RLock()   // waits while it is down
	l.up.RUnlock() //nolint:staticcheck // nothing is done under it
	back, err := net.Dial("tcp", l.broker)
	if err != nil {
		return
	}
	l.mu.Lock()
	l.open = append(l.open, front, back)
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() {
		defer back.Close()
		_, _ = io.Copy(back, io.TeeReader(front, watcher(func(data []byte) {
			if bytes.Contains(data, []byte("-NAK")) {
				l.refusal()
			}
		})))
	})
	both.Go(func() {
		defer front.Close()
		_, _ = io.Copy(watcher(func(data []byte) {
			if !l.losing.Load() {
				_, _ = front.Write(data)
			}
		}), back)
	})
	both.Wait()
}

// cut ends the connections there are.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.open {
		conn.Close()
	}
	l.open = nil
}

type watcher func(data []byte)

func (w watcher) Write(data []byte) (int, error) {
	w(data)
	return len(data), nil
}

// slowLog holds up the client's own word of a connection that broke, so that
// of one that came back, until it is let go.
type slowLog struct {
	slog.Handler
	let <-chan struct{}
}

func (s slowLog) Handle(ctx context.Context, record slog.Record) error {
	if record.Message == "broker connection lost" {
		<-s.let
	}
	return s.Handler.Handle(ctx, record)
}

// awaitConsumer waits until the broker says of consumer test_all what is wanted.
func awaitConsumer(t *testing.T, js jetstream.JetStream, wanted func(*jetstream.ConsumerInfo) bool) {
	t.Helper()
	consumer, err := js.Consumer(t.Context(), mq.StreamName, "test_all")
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(20 * time.Second); ; {
		info, err := consumer.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if wanted(info) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("the broker says %+v", info)
		}
	}
}

func TestWhatABrokenConnectionLostComesFirst(t *testing.T) {
	server, client := broker(t)
	js := raw(t, server.URL())
	heard := make(chan struct{})
	hear := sync.OnceFunc(func() { close(heard) })
	time.AfterFunc(20*time.Second, hear) // the client closes whatever happens
	l := newLink(t, server.URL(), hear)
	behind, err := mq.Connect(t.Context(), mq.ClientConfig{
		URL: "nats://" + l.listener.Addr().String(), Log: slog.New(slowLog{logger(t).Handler(), heard}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := behind.Close(); err != nil {
			t.Error(err)
		}
	})
	got := newJournal()
	consume(t, behind, consumerOf(func(ctx context.Context, envelope *eventv1.Envelope) error {
		if number(envelope) == 3 {
			hear()
		}
		return got.handle(ctx, envelope)
	}))
	publish(t, client, "a", 1)
	got.await(t, 1)
	awaitConsumer(t, js, func(info *jetstream.ConsumerInfo) bool { return info.NumAckPending == 0 })
	l.losing.Store(true)
	publish(t, client, "a", 2)
	awaitConsumer(t, js, func(info *jetstream.ConsumerInfo) bool { return info.NumAckPending == 1 })
	l.up.Lock()
	l.losing.Store(false)
	l.cut()
	awaitConsumer(t, js, func(info *jetstream.ConsumerInfo) bool { return info.NumWaiting == 0 })
	publish(t, client, "a", 3)
	l.up.Unlock()
	got.await(t, 3)
	if got.of("a") != "[1 2 3]" {
		t.Errorf("got %s", got.of("a"))
	}
}
