package mq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/backlot-video/backlot/kit/crashpoint"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

var beforeAck = crashpoint.New("mq/consumer/before-ack")

// lane handles messages one after the other. A message that fails is tried
// again in its place, so that no later one of its key passes it.
type lane struct {
	client   *Client
	consumer Consumer
	holder   *holder
	queue    chan jetstream.Msg // never full: the broker hands out no more
}

func newLane(client *Client, consumer Consumer, h *holder) *lane {
	return &lane{client: client, consumer: consumer, holder: h, queue: make(chan jetstream.Msg, consumer.MaxAckPending)}
}

// run works until ended is closed and gives back what is queued then.
func (l *lane) run(stopping, work context.Context, ended <-chan struct{}) {
	for {
		select {
		case message := <-l.queue:
			l.take(stopping, work, message)
		case <-ended:
			l.giveBack()
			return
		}
	}
}

// giveBack empties the queue while an attempt may still run before it.
func (l *lane) giveBack() {
	for {
		select {
		case message := <-l.queue:
			_ = message.Nak()
			l.holder.release(message)
		default:
			return
		}
	}
}

// take ends with an answer to the broker: acknowledged, parked or given back.
func (l *lane) take(stopping, work context.Context, message jetstream.Msg) {
	defer l.holder.release(message)
	err := stopping.Err()
	if err == nil {
		err = l.handle(stopping, work, message)
	}
	if err == nil {
		return
	}
	if stopping.Err() == nil {
		l.client.cfg.Log.Warn("message not answered", "consumer", l.consumer.Durable, "err", err)
	}
	_ = message.Nak() // where it is lost, the message comes after ackWait
}

func (l *lane) handle(stopping, work context.Context, message jetstream.Msg) error {
	meta, err := message.Metadata()
	if err != nil {
		return err
	}
	name := l.consumer.Durable
	l.client.metrics.pending.WithLabelValues(name).Set(float64(meta.NumPending))
	envelope, err := open(message)
	if err != nil {
		return l.park(stopping, work, message, err)
	}
	pause := newBackoff(l.consumer.Pause, maxPause)
	for attempt := 1; ; attempt++ {
		err := l.attempt(work, envelope)
		if err == nil {
			beforeAck.Hit()
			l.client.metrics.handled.WithLabelValues(name).Inc()
			return message.Ack()
		}
		if stopping.Err() != nil {
			return err
		}
		l.client.metrics.failed.WithLabelValues(name).Inc()
		if attempt >= l.consumer.Attempts || errors.Is(err, ErrUnknownType) {
			return l.park(stopping, work, message, err)
		}
		l.client.cfg.Log.LogAttrs(work, slog.LevelWarn, "attempt failed", slog.String("consumer", name),
			slog.String("type", envelope.GetType()), slog.String("id", envelope.GetId()),
			slog.Int("attempt", attempt), slog.Any("err", err))
		if !pause.sleep(stopping) {
			return err
		}
	}
}

// open reads a message whose fact this program can know.
func open(message jetstream.Msg) (*eventv1.Envelope, error) {
	envelope, err := decode(message.Data())
	if err != nil {
		return nil, err
	}
	data := envelope.GetData().GetTypeUrl()
	if _, err := protoregistry.GlobalTypes.FindMessageByURL(data); err != nil {
		return nil, fmt.Errorf("%w: %s with %s: %w", ErrUnknownType, envelope.GetType(), data, err)
	}
	return envelope, nil
}

func (l *lane) attempt(work context.Context, envelope *eventv1.Envelope) (err error) {
	ctx, cancel := context.WithTimeout(withTrace(work, envelope), l.consumer.Timeout)
	defer cancel()
	clock := l.client.cfg.Clock
	start := clock()
	defer func() {
		l.client.metrics.seconds.WithLabelValues(l.consumer.Durable).Observe(clock().Sub(start).Seconds())
		if failure := recover(); failure != nil {
			err = fmt.Errorf("panic: %v\n%s", failure, debug.Stack())
		}
	}()
	return l.consumer.Handler(ctx, envelope)
}

// park tries until the message is parked or the consumer stops.
func (l *lane) park(stopping, work context.Context, message jetstream.Msg, reason error) error {
	for pause := newBackoff(l.consumer.Pause, maxPause); ; {
		err := l.client.park(work, l.consumer, message, reason)
		if err == nil {
			return nil
		}
		l.client.cfg.Log.LogAttrs(work, slog.LevelError, "message not parked",
			slog.String("consumer", l.consumer.Durable), slog.Any("err", err))
		if !pause.sleep(stopping) {
			return err
		}
	}
}

// holder tells the broker of the messages that wait or are worked on, before it
// hands them to another.
type holder struct {
	mu   sync.Mutex
	held map[jetstream.Msg]bool
}

func (h *holder) hold(message jetstream.Msg) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held[message] = true
}

func (h *holder) release(message jetstream.Msg) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.held, message)
}

func (h *holder) run(ended <-chan struct{}) {
	tick := time.NewTicker(ackWait / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.remind()
		case <-ended:
			return
		}
	}
}

func (h *holder) remind() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for message := range h.held {
		_ = message.InProgress() // one that was answered meanwhile is of no interest
	}
}
