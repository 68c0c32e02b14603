// Package mq carries facts from the service that tells them to those that
// listen, by NATS JetStream.
//
//	mq.go        names: stream, subjects, shards; envelopes
//	server.go    Server: JetStream embedded in this process
//	client.go    Client: the connection, the streams, Publish
//	outbox.go    Outbox: facts in the transaction of what they tell of
//	short.go     facts that only say where their contents are
//	relay.go     Outbox.Run, which publishes them
//	lease.go     which of several processes publishes; native.go: pgx's queries in database/sql
//	inbox.go     Once: which facts a consumer's database has seen
//	consumer.go  Consumer: which facts to handle, and how
//	consume.go   Client.Consume: the pull, its bounds, the end
//	lane.go      one of a consumer's workers: order, retries
//	acks.go      acknowledgements, many in one write, none awaited
//	parked.go    messages that no handler took: park, list, replay, drop
//	lag.go       how far consumers are behind
//	journal.go   Journal: a service's own records
//	valid.go     the contract of envelopes
//	metrics.go   what is measured
//
// A fact added to an outbox is delivered at least once, in the order of its
// key's facts for as long as one process consumes; with Once in the handler's
// transaction its effect happens once. JetStream writes to disk late, so the
// outbox is the truth: what a broker that died may have lost is published
// again. Messages are acknowledged one by one, after the handler.
//
// It has no requests and replies: those are RPC.
package mq

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

const (
	// StreamName is the stream that holds all facts.
	StreamName = "backlot"
	// ParkedStreamName is the stream of messages that no handler took.
	ParkedStreamName = "backlot_parked"
	// Shards is how many shards keys are spread over.
	Shards = 64
	// EnvelopeLimit is the most bytes that an envelope may have.
	EnvelopeLimit = 512 << 10
)

// ErrEnvelope means an envelope that breaks the contract.
var ErrEnvelope = errors.New("invalid envelope")

// NewEnvelope wraps a fact about key. Outbox.Add and Publish fill in the rest.
func NewEnvelope(tenantID, factType, key string, fact proto.Message) (*eventv1.Envelope, error) {
	data, err := anypb.New(fact)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	return &eventv1.Envelope{TenantId: tenantID, Type: factType, Key: key, Data: data}, nil
}

// Shard is that of a key, below Shards.
func Shard(key string) int {
	sum := fnv.New32a()
	sum.Write([]byte(key))
	return int(sum.Sum32() % Shards)
}

// Subject is where an envelope is published: its type and its key's shard.
func Subject(envelope *eventv1.Envelope) string {
	return envelope.GetType() + "." + strconv.Itoa(Shard(envelope.GetKey()))
}

// Subjects are those of all facts of the given types, for a Consumer.
func Subjects(types ...string) []string {
	subjects := make([]string, len(types))
	for i, factType := range types {
		subjects[i] = factType + ".*"
	}
	return subjects
}

// complete fills in what the teller of a fact need not say.
func complete(ctx context.Context, envelope *eventv1.Envelope, source string, now int64) error {
	if envelope.GetId() == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		envelope.Id = id.String()
	}
	if envelope.GetSource() == "" {
		envelope.Source = source
	}
	if envelope.GetOccurredAt() == 0 {
		envelope.OccurredAt = now
	}
	if envelope.GetTraceparent() == "" {
		envelope.Traceparent = traceparent(ctx)
	}
	return nil
}

// encode checks an envelope against its contract.
func encode(envelope *eventv1.Envelope) ([]byte, error) {
	if err := valid(envelope); err != nil {
		return nil, err
	}
	data, err := proto.Marshal(envelope)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	if len(data) > EnvelopeLimit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrEnvelope, len(data), EnvelopeLimit)
	}
	return data, nil
}

// decode reads a message of the stream.
func decode(data []byte) (*eventv1.Envelope, error) {
	envelope := new(eventv1.Envelope)
	if err := proto.Unmarshal(data, envelope); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	if err := valid(envelope); err != nil {
		return nil, err
	}
	return envelope, nil
}
