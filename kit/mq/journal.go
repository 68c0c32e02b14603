package mq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// JournalConfig tells of a service's own journal.
type JournalConfig struct {
	Name     string        // `<service>_<purpose>`
	MaxBytes int64         // then the oldest entries go; default 1 GiB
	MaxAge   time.Duration // default 35 days
}

// Journal is a stream of one service's own records, which are no facts to
// others: its processes append and read it again. It is safe for concurrent
// use.
type Journal struct {
	client *Client
	name   string
}

// Entry is one message of a journal. Sequences begin at 1 and rise by 1.
type Entry struct {
	Sequence uint64
	Time     time.Time // of the broker, when it was appended
	Data     []byte
}

// Journal makes a journal where there is none yet and returns it.
func (c *Client) Journal(ctx context.Context, cfg JournalConfig) (*Journal, error) {
	if !durableName.MatchString(cfg.Name) {
		return nil, fmt.Errorf("journal %q: its name must be of a-z, 0-9, _ and -", cfg.Name)
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 1 << 30
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = 35 * 24 * time.Hour
	}
	_, err := c.stream.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = c.stream.CreateStream(ctx, jetstream.StreamConfig{
			Name: cfg.Name, Subjects: []string{"journal." + cfg.Name}, Storage: jetstream.FileStorage,
			MaxAge: cfg.MaxAge, MaxBytes: cfg.MaxBytes, MaxMsgSize: messageLimit,
			Discard: jetstream.DiscardOld, Duplicates: duplicatesWindow, Replicas: c.cfg.Replicas,
		})
	}
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil, fmt.Errorf("journal %s: %w", cfg.Name, err)
	}
	return &Journal{c, cfg.Name}, nil
}

// Append returns once the broker has the entry, with its sequence. Appending
// an id again within five minutes returns the first one's.
func (j *Journal) Append(ctx context.Context, id string, data []byte) (sequence uint64, err error) {
	message := nats.NewMsg("journal." + j.name)
	message.Header.Set(jetstream.MsgIDHeader, id)
	message.Data = data
	ack, err := j.client.stream.PublishMsg(ctx, message)
	if err != nil {
		return 0, fmt.Errorf("append to journal %s: %w", j.name, err)
	}
	return ack.Sequence, nil
}

// Bounds are the sequences of the first and the last entry that are kept;
// first is last+1 where there is none.
func (j *Journal) Bounds(ctx context.Context) (first, last uint64, err error) {
	stream, err := j.client.stream.Stream(ctx, j.name)
	if err != nil {
		return 0, 0, fmt.Errorf("journal %s: %w", j.name, err)
	}
	state := stream.CachedInfo().State
	if state.Msgs == 0 {
		return state.LastSeq + 1, state.LastSeq, nil
	}
	return state.FirstSeq, state.LastSeq, nil
}

// Read hands the entries from a sequence on to handle, in order and one at a
// time, up to the last one that there is when it is called. An error of handle
// ends it.
func (j *Journal) Read(ctx context.Context, from uint64, handle func(Entry) error) error {
	first, last, err := j.Bounds(ctx)
	if err != nil {
		return err
	}
	if max(from, first) > last {
		return nil
	}
	return j.read(ctx, max(from, first), func(e Entry) (bool, error) {
		return e.Sequence >= last, handle(e)
	})
}

// Follow is Read without an end but that of ctx, when it returns nil.
func (j *Journal) Follow(ctx context.Context, from uint64, handle func(Entry) error) error {
	err := j.read(ctx, max(from, 1), func(e Entry) (bool, error) { return false, handle(e) })
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (j *Journal) read(ctx context.Context, from uint64, handle func(Entry) (last bool, err error)) error {
	consumer, err := j.client.stream.OrderedConsumer(ctx, j.name, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
	})
	if err != nil {
		return fmt.Errorf("read journal %s: %w", j.name, err)
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return fmt.Errorf("read journal %s: %w", j.name, err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for {
		message, err := messages.Next()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, jetstream.ErrNoHeartbeat) {
			continue // the consumer is made anew by itself
		}
		if err != nil {
			return fmt.Errorf("read journal %s: %w", j.name, err)
		}
		meta, err := message.Metadata()
		if err != nil {
			return fmt.Errorf("read journal %s: %w", j.name, err)
		}
		last, err := handle(Entry{meta.Sequence.Stream, meta.Timestamp, message.Data()})
		if err != nil || last {
			return err
		}
	}
}
