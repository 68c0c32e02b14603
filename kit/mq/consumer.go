package mq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

// ErrUnknownType is for a Handler to return of a fact whose type it does not
// know; the fact is parked at once.
var ErrUnknownType = errors.New("unknown type of fact")

// Consumer tells which facts to handle, and how.
type Consumer struct {
	// Durable is the consumer's name at the broker, `<service>_<purpose>`.
	// Processes of one name share its messages.
	Durable  string
	Subjects []string // see Subjects
	// Handler may be called for any fact again, and at a time for as many
	// facts as there are Lanes, but never for two of one key. A panic counts
	// as an error.
	Handler func(ctx context.Context, envelope *eventv1.Envelope) error

	Lanes         int           // handlers at a time; default 4, at most Shards
	MaxAckPending int           // messages taken and not acknowledged; default 512
	Attempts      int           // of this process until a message is parked; default 10
	Pause         time.Duration // after the first attempt, then doubled up to 30 s; default 100 ms
	Timeout       time.Duration // of one attempt; default 30 s
	DrainTimeout  time.Duration // for attempts when ctx has ended; default 5 s
	FromNow       bool          // begin with new facts where the consumer is new
}

const (
	ackWait  = 30 * time.Second
	maxPause = 30 * time.Second
	// pullLimit is far above MaxAckPending, which is what bounds the messages in
	// flight: nats.go v1.55 may miss that it has to ask for more where a whole
	// half of the limit is handled while its request is being sent, and stalls
	// for two heartbeats then.
	pullLimit     = 1 << 16
	pullHeartbeat = 5 * time.Second
)

var durableName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

// Validate returns every fault, joined.
func (c Consumer) Validate() error {
	var faults []error
	check := func(holds bool, fault string) {
		if !holds {
			faults = append(faults, fmt.Errorf("consumer %q: %s", c.Durable, fault))
		}
	}
	check(durableName.MatchString(c.Durable), "durable: it must be of a-z, 0-9, _ and -")
	check(len(c.Subjects) > 0, "subjects: there are none")
	check(c.Handler != nil, "handler: it is missing")
	check(c.Lanes >= 0 && c.Lanes <= Shards, "lanes: out of range")
	check(c.MaxAckPending >= 0 && c.Attempts >= 0, "max_ack_pending, attempts: below 0")
	check(c.Pause >= 0 && c.Timeout >= 0 && c.DrainTimeout >= 0, "pause, timeout, drain_timeout: below 0")
	return errors.Join(faults...)
}

func (c Consumer) withDefaults() Consumer {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	span := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	set(&c.Lanes, 4)
	set(&c.MaxAckPending, 512)
	set(&c.Attempts, 10)
	span(&c.Pause, 100*time.Millisecond)
	span(&c.Timeout, 30*time.Second)
	span(&c.DrainTimeout, 5*time.Second)
	return c
}

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
	h := &holder{held: map[jetstream.Msg]bool{}}
	lanes := make([]*lane, consumer.Lanes)
	ended := make(chan struct{}) // no message comes any more
	var running sync.WaitGroup
	for i := range lanes {
		lanes[i] = newLane(c, consumer, h)
		running.Go(func() { lanes[i].run(stopping, work, ended) })
	}
	running.Go(func() { h.run(ended) })
	consuming, err := durable.Consume(func(message jetstream.Msg) {
		h.hold(message)
		lanes[laneOf(message.Subject(), len(lanes))].queue <- message
	}, jetstream.PullMaxMessages(pullLimit), jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			c.cfg.Log.Debug("consumer hears from the broker", "consumer", consumer.Durable, "err", err)
		}))
	if err == nil {
		select {
		case <-ctx.Done():
		case <-reconnected:
			err = fmt.Errorf("%w: the connection broke", errInterrupted)
		case <-consuming.Closed():
			err = fmt.Errorf("%w: the broker ended it", errInterrupted)
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
	if ctx.Err() != nil { // acknowledgements are on their way
		return c.conn.FlushTimeout(requestTimeout)
	}
	return err
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

// park keeps a message for a person to look at, and takes it off the consumer.
func (c *Client) park(ctx context.Context, consumer Consumer, message jetstream.Msg, reason error) error {
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
