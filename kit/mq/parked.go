package mq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrNotParked means a sequence of no parked message.
var ErrNotParked = errors.New("no such parked message")

// Headers of parked messages.
const (
	headerConsumer = "Backlot-Consumer"
	headerSubject  = "Backlot-Subject"  // that it came on
	headerSequence = "Backlot-Sequence" // on the stream of facts
	headerError    = "Backlot-Error"    // of the last attempt, one line
	headerAttempts = "Backlot-Attempts"
	// headerFor is of a message that is replayed: the only consumer it is for.
	// A subject of its own would be a second filter for each consumer, which
	// costs the broker half as much again for every message.
	headerFor = "Backlot-For"
)

// Parked is a message that no handler of a consumer took.
type Parked struct {
	Sequence uint64 // by which it is known
	Consumer string
	Subject  string
	Source   uint64 // its sequence on the stream of facts
	Reason   string // the last attempt's error
	Attempts int    // 0 where it was not even tried
	At       time.Time
	ID       string // of its envelope; empty where it is none
	Data     []byte // an envelope, or what was no envelope
}

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
	parked.Header.Del(headerFor)
	parked.Header.Set(jetstream.MsgIDHeader, consumer.Durable+"/"+sequence)
	parked.Header.Set(headerConsumer, consumer.Durable)
	parked.Header.Set(headerSubject, message.Subject())
	parked.Header.Set(headerSequence, sequence)
	parked.Header.Set(headerError, oneLine(reason))
	parked.Header.Set(headerAttempts, strconv.Itoa(attempts))
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

// ListParked returns up to limit parked messages from a sequence on, of one
// consumer or, where that is empty, of all, oldest first.
func (c *Client) ListParked(ctx context.Context, consumer string, from uint64, limit int) ([]Parked, error) {
	stream, err := c.stream.Stream(ctx, ParkedStreamName)
	if err != nil {
		return nil, fmt.Errorf("list parked messages: %w", err)
	}
	filter := "parked.>"
	if consumer != "" {
		if !durableName.MatchString(consumer) {
			return nil, fmt.Errorf("list parked messages: consumer %q: it must be of a-z, 0-9, _ and -", consumer)
		}
		filter = "parked." + consumer
	}
	var all []Parked
	for next := max(from, 1); len(all) < limit; {
		message, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(filter))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("list parked messages: %w", err)
		}
		all = append(all, parkedOf(message))
		next = message.Sequence + 1
	}
	return all, nil
}

// GetParked returns a parked message, or ErrNotParked.
func (c *Client) GetParked(ctx context.Context, sequence uint64) (Parked, error) {
	stream, err := c.stream.Stream(ctx, ParkedStreamName)
	if err == nil {
		var message *jetstream.RawStreamMsg
		if message, err = stream.GetMsg(ctx, sequence); err == nil {
			return parkedOf(message), nil
		}
	}
	return Parked{}, notParked(sequence, err)
}

func notParked(sequence uint64, err error) error {
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("%w: %d", ErrNotParked, sequence)
	}
	return fmt.Errorf("parked message %d: %w", sequence, err)
}

// ReplayParked gives a parked message to its consumer again, behind what waits
// there, and removes it. Where that fails once more it is parked anew.
func (c *Client) ReplayParked(ctx context.Context, sequence uint64) error {
	parked, err := c.GetParked(ctx, sequence)
	if err != nil {
		return err
	}
	message := nats.NewMsg(parked.Subject)
	message.Header.Set(headerFor, parked.Consumer)
	message.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("replay/%s/%d/%d", parked.Consumer, sequence, parked.At.UnixNano()))
	message.Data = parked.Data
	if _, err := c.stream.PublishMsg(ctx, message); err != nil {
		return fmt.Errorf("replay parked message %d: %w", sequence, err)
	}
	return c.DropParked(ctx, sequence)
}

// DropParked removes a parked message for good.
func (c *Client) DropParked(ctx context.Context, sequence uint64) error {
	stream, err := c.stream.Stream(ctx, ParkedStreamName)
	if err != nil {
		return notParked(sequence, err)
	}
	if _, err := stream.GetMsg(ctx, sequence); err != nil {
		return notParked(sequence, err)
	}
	if err := stream.DeleteMsg(ctx, sequence); err != nil {
		return fmt.Errorf("drop parked message %d: %w", sequence, err)
	}
	return nil
}

func parkedOf(message *jetstream.RawStreamMsg) Parked {
	p := Parked{
		Sequence: message.Sequence, Consumer: message.Header.Get(headerConsumer), Subject: message.Header.Get(headerSubject),
		Reason: message.Header.Get(headerError), At: message.Time, Data: message.Data,
	}
	p.Source, _ = strconv.ParseUint(message.Header.Get(headerSequence), 10, 64)
	p.Attempts, _ = strconv.Atoi(message.Header.Get(headerAttempts))
	if envelope, err := decode(message.Data); err == nil {
		p.ID = envelope.GetId()
	}
	return p
}
