package mq

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const lagEvery = 10 * time.Second

// lag measures how far a consumer is behind, now and then until ended is
// closed.
func (c *Client) lag(ctx context.Context, durable jetstream.Consumer, consumer Consumer, ended <-chan struct{}) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		if err := c.measureLag(ctx, durable, consumer); err != nil && ctx.Err() == nil {
			c.cfg.Log.LogAttrs(ctx, slog.LevelDebug, "lag not measured", slog.String("consumer", consumer.Durable), slog.Any("err", err))
		}
		select {
		case <-tick.C:
		case <-ended:
			return
		}
	}
}

func (c *Client) measureLag(ctx context.Context, durable jetstream.Consumer, consumer Consumer) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, err := durable.Info(ctx)
	if err != nil {
		return err
	}
	name := consumer.Durable
	c.metrics.pending.WithLabelValues(name).Set(float64(info.NumPending))
	c.metrics.ackPending.WithLabelValues(name).Set(float64(info.NumAckPending))
	c.metrics.redelivered.WithLabelValues(name).Set(float64(info.NumRedelivered))
	age := time.Duration(0)
	if info.NumPending > 0 || info.NumAckPending > 0 {
		oldest, err := c.oldest(ctx, info.AckFloor.Stream+1, consumer.Subjects)
		if err != nil {
			return err
		}
		if !oldest.IsZero() {
			age = max(0, c.cfg.Clock().Sub(oldest))
		}
	}
	c.metrics.age.WithLabelValues(name).Set(age.Seconds())
	return nil
}

// oldest is the time of the first message of any of the subjects from a
// sequence on; zero where there is none.
func (c *Client) oldest(ctx context.Context, from uint64, subjects []string) (oldest time.Time, err error) {
	stream, err := c.stream.Stream(ctx, StreamName)
	if err != nil {
		return oldest, err
	}
	for _, subject := range subjects {
		message, err := stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return oldest, err
		}
		if oldest.IsZero() || message.Time.Before(oldest) {
			oldest = message.Time
		}
	}
	return oldest, nil
}
