package mq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
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
	acks     *acks
	queue    chan jetstream.Msg // never full: the broker hands out no more
	handled  prometheus.Counter
	failed   prometheus.Counter
	seconds  prometheus.Observer
}

func newLane(client *Client, consumer Consumer, h *holder, a *acks) *lane {
	m, name := client.metrics, consumer.Durable
	return &lane{
		client: client, consumer: consumer, holder: h, acks: a, queue: make(chan jetstream.Msg, consumer.MaxAckPending),
		handled: m.handled.WithLabelValues(name), failed: m.failed.WithLabelValues(name),
		seconds: m.seconds.WithLabelValues(name),
	}
}

// run works until ended is closed and gives back what is queued then.
func (l *lane) run(stopping, work context.Context, ended <-chan struct{}) {
	for {
		select {
		case message := <-l.queue:
			l.take(stopping, work, l.gather(message))
		case <-ended:
			l.giveBack()
			return
		}
	}
}

// gather adds what waits already to a batch.
func (l *lane) gather(first jetstream.Msg) []jetstream.Msg {
	batch := []jetstream.Msg{first}
	for len(batch) < l.consumer.BatchLimit {
		select {
		case message := <-l.queue:
			batch = append(batch, message)
		default:
			return batch
		}
	}
	return batch
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

// take ends with an answer to the broker for each message: acknowledged,
// parked or given back.
func (l *lane) take(stopping, work context.Context, messages []jetstream.Msg) {
	messages = slices.DeleteFunc(messages, l.skip)
	if len(messages) > 1 && stopping.Err() == nil && l.together(work, messages) {
		return
	}
	for _, message := range messages {
		l.alone(stopping, work, message)
	}
}

// skip acknowledges what is replayed for another consumer.
func (l *lane) skip(message jetstream.Msg) bool {
	headers := message.Headers()
	if len(headers) == 0 || headers[headerFor] == nil || headers.Get(headerFor) == l.consumer.Durable {
		return false
	}
	l.acks.add(message.Reply())
	l.holder.release(message)
	return true
}

// together reports whether all messages were handled in one attempt. Where
// one is refused each is tried alone.
func (l *lane) together(work context.Context, messages []jetstream.Msg) bool {
	envelopes := make([]*eventv1.Envelope, len(messages))
	for i, message := range messages {
		var err error
		if envelopes[i], err = open(message); err != nil {
			return false
		}
	}
	err := l.attempt(work, envelopes[0], func(ctx context.Context) error { return l.consumer.Batch(ctx, envelopes) })
	if err != nil {
		l.failed.Inc()
		l.client.cfg.Log.LogAttrs(work, slog.LevelWarn, "batch failed", slog.String("consumer", l.consumer.Durable),
			slog.Int("facts", len(envelopes)), slog.Any("err", err))
		return false
	}
	beforeAck.Hit()
	for _, message := range messages {
		l.acknowledge(message)
		l.holder.release(message)
	}
	return true
}

func (l *lane) acknowledge(message jetstream.Msg) {
	l.handled.Inc()
	l.acks.add(message.Reply())
}

func (l *lane) alone(stopping, work context.Context, message jetstream.Msg) {
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
	envelope, err := open(message)
	if err != nil {
		return l.park(stopping, work, message, err, 0)
	}
	name := l.consumer.Durable
	pause := newBackoff(l.consumer.Pause, maxPause)
	for attempt := 1; ; attempt++ {
		err := l.attempt(work, envelope, func(ctx context.Context) error { return l.consumer.Handler(ctx, envelope) })
		if err == nil {
			beforeAck.Hit()
			l.acknowledge(message)
			return nil
		}
		if stopping.Err() != nil {
			return err
		}
		l.failed.Inc()
		if attempt >= l.consumer.Attempts || errors.Is(err, ErrUnknownType) {
			return l.park(stopping, work, message, err, attempt)
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

// attempt calls the handler, in the trace of an envelope.
func (l *lane) attempt(work context.Context, envelope *eventv1.Envelope, handle func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(withTrace(work, envelope), l.consumer.Timeout)
	defer cancel()
	clock := l.client.cfg.Clock
	start := clock()
	defer func() {
		l.seconds.Observe(clock().Sub(start).Seconds())
		if failure := recover(); failure != nil {
			err = fmt.Errorf("panic: %v\n%s", failure, debug.Stack())
		}
	}()
	return handle(ctx)
}

// park tries until the message is parked or the consumer stops.
func (l *lane) park(stopping, work context.Context, message jetstream.Msg, reason error, attempts int) error {
	for pause := newBackoff(l.consumer.Pause, maxPause); ; {
		err := l.client.park(work, l.consumer, message, reason, attempts)
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
// hands them to another, and bounds their bytes.
type holder struct {
	limit int
	gauge prometheus.Gauge

	mu    sync.Mutex
	room  sync.Cond // over mu: something was released
	held  map[jetstream.Msg]struct{}
	bytes int
}

func newHolder(limit int, gauge prometheus.Gauge) *holder {
	h := &holder{limit: limit, gauge: gauge, held: map[jetstream.Msg]struct{}{}}
	h.room.L = &h.mu
	return h
}

// hold waits while too much is in hand. The lanes make room, whatever happens.
func (h *holder) hold(message jetstream.Msg) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.bytes >= h.limit {
		h.room.Wait()
	}
	h.held[message] = struct{}{}
	h.bytes += len(message.Data())
	h.gauge.Set(float64(h.bytes))
}

func (h *holder) release(message jetstream.Msg) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.held, message)
	full := h.bytes >= h.limit
	h.bytes -= len(message.Data())
	h.gauge.Set(float64(h.bytes))
	if full {
		h.room.Signal()
	}
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
