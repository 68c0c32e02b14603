package mq

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// park keeps a message for a person to look at, and takes it off the consumer.
func (c *Client) park(ctx context.Context, consumer Consumer, message jetstream.Msg, reason error, attempts int) error {
	parked := nats.NewMsg("parked." + consumer.Durable)
	parked.Header = maps.Clone(message.Headers())
	if parked.Header == nil {
		parked.Header = nats.Header{}
	}
	sequence := ""
	if meta, err := message.Metadata(); err == nil {
		sequence = strconv.FormatUint(meta.Sequence.Stream, 10)
	}
	parked.Header.Set(jetstream.MsgIDHeader, consumer.Durable+"/"+sequence)
	parked.Header.Set("Backlot-Consumer", consumer.Durable)
	parked.Header.Set("Backlot-Subject", message.Subject())
	parked.Header.Set("Backlot-Sequence", sequence)
	parked.Header.Set("Backlot-Error", oneLine(reason))
	parked.Header.Set("Backlot-Attempts", strconv.Itoa(attempts))
	parked.Data = slices.Clone(message.Data())
	if _, err := c.stream.PublishMsg(ctx, parked); err != nil {
		return fmt.Errorf("park message: %w", err)
	}
	c.metrics.parked.WithLabelValues(consumer.Durable).Inc()
	c.cfg.Log.LogAttrs(ctx, slog.LevelError, "message parked", slog.String("consumer", consumer.Durable),
		slog.String("subject", message.Subject()), slog.String("sequence", sequence), slog.Any("err", reason))
	return message.TermWithReason("parked")
}

// oneLine is an error's text as a header may have it.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return text[:min(len(text), 512)]
}
