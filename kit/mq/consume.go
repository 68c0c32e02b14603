package mq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Consume handles facts until ctx ends; then it lets the attempts that run
// finish, gives back what it has not begun, and returns nil. An error means a
// Consumer that is not valid.
func (c *Client) Consume(ctx context.Context, consumer Consumer) error {
	if err := consumer.Validate(); err != nil {
		return err
	}
	consumer = consumer.withDefaults()
	pause := newBackoff(relayPause, relayMaxWait)
	for {
		err := c.consume(ctx, consumer)
		if ctx.Err() != nil {
			return nil
		}
		c.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "consumer starts again",
			slog.String("consumer", consumer.Durable), slog.Any("err", err))
		if errors.Is(err, errInterrupted) {
			pause = newBackoff(relayPause, relayMaxWait)
		}
		if !pause.sleep(ctx) {
			return nil
		}
	}
}

// errInterrupted means that consuming had begun.
var errInterrupted = errors.New("interrupted")

// consume lasts until ctx ends, the connection has broken or the broker no
// longer has the consumer.
func (c *Client) consume(ctx context.Context, consumer Consumer) error {
	reconnected, unwatch := c.watch()
	defer unwatch()
	connection := c.conn.Stats().Reconnects
	durable, err := c.durable(ctx, consumer)
	if err != nil {
		return err
	}
	// work is the context of attempts: it outlasts ctx by DrainTimeout.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(consumer.DrainTimeout, cut) })()
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	acks, err := newAcks(c.conn, consumer.MaxAckPending, c.metrics.unconfirmed.WithLabelValues(consumer.Durable),
		c.metrics.repeatedAcks.WithLabelValues(consumer.Durable))
	if err != nil {
		return err
	}
	defer acks.close()
	h := newHolder(consumer.MaxBytes, c.metrics.held.WithLabelValues(consumer.Durable))
	lanes := make([]*lane, consumer.Lanes)
	ended, done := make(chan struct{}), make(chan struct{}) // no message comes any more; none is in hand
	var running, serving sync.WaitGroup
	for i := range lanes {
		lanes[i] = newLane(c, consumer, h, acks)
		running.Go(func() { lanes[i].run(stopping, work, ended) })
	}
	serving.Go(func() { h.run(done) })
	serving.Go(func() { acks.run(done) })
	serving.Go(func() { c.lag(stopping, durable, consumer, done) })
	consuming, err := c.pull(durable, consumer, connection, h, lanes)
	if err == nil {
		select {
		case <-ctx.Done():
		case <-reconnected:
			err = fmt.Errorf("%w: the connection broke", errInterrupted)
			acks.close() // of the connection that broke: lanes are not to wait for it
		case <-consuming.Closed():
			err = fmt.Errorf("%w: the broker ended it", errInterrupted)
			acks.close()
		}
		stop()
		drain(consuming, consumer.DrainTimeout)
	}
	stop()
	close(ended)
	for _, l := range lanes {
		l.giveBack()
	}
	running.Wait()
	if ctx.Err() != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), consumer.DrainTimeout)
		acks.drain(last)
		cancel()
		err = c.conn.FlushTimeout(requestTimeout)
	}
	close(done)
	serving.Wait()
	return err
}

// pull has the broker send messages to their lanes for as long as there is
// room: at most MaxAckPending are on their way or in hand, and once MaxBytes
// are in hand the next waits, and with it further requests. nats.go goes on by
// itself when a connection that broke has come back: what it brings is refused,
// since what was lost with the one before comes first.
func (c *Client) pull(durable jetstream.Consumer, consumer Consumer, connection uint64, h *holder, lanes []*lane) (jetstream.ConsumeContext, error) {
	return durable.Consume(func(message jetstream.Msg) {
		if c.conn.Stats().Reconnects != connection {
			_ = message.NakWithDelay(relayPause) // at once it would come back at once
			return
		}
		h.hold(message)
		lanes[laneOf(message.Subject(), len(lanes))].queue <- message
	}, jetstream.PullMaxMessagesWithBytesLimit(pullLimit, consumer.MaxBytes), jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			c.cfg.Log.Debug("consumer hears from the broker", "consumer", consumer.Durable, "err", err)
		}))
}

// drain ends the flow of messages once those in the client's buffer have been
// passed on. Without a connection that may not end by itself.
func drain(consuming jetstream.ConsumeContext, limit time.Duration) {
	consuming.Drain()
	patience := time.NewTimer(limit)
	defer patience.Stop()
	select {
	case <-consuming.Closed():
	case <-patience.C:
		consuming.Stop()
	}
}

// durable is the consumer at the broker. Where one that died has left messages
// unanswered and no other process is there to answer them, they are due again
// at once and before later ones.
func (c *Client) durable(ctx context.Context, consumer Consumer) (jetstream.Consumer, error) {
	from := jetstream.DeliverAllPolicy
	if consumer.FromNow {
		from = jetstream.DeliverNewPolicy
	}
	durable, err := c.stream.CreateOrUpdateConsumer(ctx, StreamName, jetstream.ConsumerConfig{
		Durable: consumer.Durable, FilterSubjects: consumer.Subjects, DeliverPolicy: from,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait,
		MaxDeliver: -1, MaxAckPending: consumer.MaxAckPending,
	})
	if err != nil {
		return nil, err
	}
	if info := durable.CachedInfo(); info.NumAckPending == 0 || info.NumWaiting > 0 {
		return durable, nil
	}
	if _, err := c.stream.ResetConsumer(ctx, StreamName, consumer.Durable); err != nil {
		// A server older than 2.14 cannot: they come after ackWait.
		c.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "unanswered messages come late",
			slog.String("consumer", consumer.Durable), slog.Any("err", err))
	}
	return durable, nil
}

// laneOf keeps a shard, so a key, in one lane.
func laneOf(subject string, lanes int) int {
	shard, err := strconv.ParseUint(subject[strings.LastIndexByte(subject, '.')+1:], 10, 32)
	if err != nil {
		return 0
	}
	return int(shard) % lanes
}
