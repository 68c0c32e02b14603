package mq

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	schema "github.com/backlot-video/backlot/sql"
	kitdb "github.com/backlot-video/backlot/sql/gen/kit"
	"github.com/backlot-video/backlot/sql/gen/kitpg"
)

// OutboxConfig tells whose facts an Outbox holds and where they go.
type OutboxConfig struct {
	Service string           // required: the source of the facts
	DB      *database.DB     // required: the service's database
	Client  *Client          // required to Run
	Batch   int              // rows published at a time, at most 1024; default 512
	Keep    time.Duration    // how long facts are kept once sent; default 3 minutes
	Poll    time.Duration    // how often to look without being told; default 1 s
	Log     *slog.Logger     // default none
	Clock   func() time.Time // default time.Now
	// Expand puts into a short fact's Data what it stands for. An error keeps the
	// fact back, and those of its key that come after it, and it is tried again.
	// Required where EncodeShort is used, in each program that may publish.
	Expand func(ctx context.Context, envelope *eventv1.Envelope) error
}

// Migrations are those of the tables of outbox and inbox, for a program with
// no other tables; a service's own migrations include them.
func Migrations() fs.FS { return schema.Migrations("kit") }

// Outbox holds the facts that a service's transactions tell, until they are
// published. It is safe for concurrent use.
type Outbox struct {
	cfg  OutboxConfig
	wake chan struct{} // of length 1: a transaction has added facts
	told chan struct{} // of length 1: one of another process has
}

// NewOutbox returns the outbox of a database. Run publishes what is in it.
func NewOutbox(cfg OutboxConfig) *Outbox {
	if cfg.Batch == 0 {
		cfg.Batch = 512
	}
	cfg.Batch = min(cfg.Batch, publishWindow)
	if cfg.Keep == 0 {
		cfg.Keep = 3 * time.Minute
	}
	if cfg.Poll == 0 {
		cfg.Poll = time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return &Outbox{cfg: cfg, wake: make(chan struct{}, 1), told: make(chan struct{}, 1)}
}

// Add adds a fact in tx, which is one of the database's Write: it is published
// if and when tx commits. It sets the envelope's sequence, and its id, source,
// time and trace where they are missing. An envelope that breaks the contract
// gets ErrEnvelope.
func (o *Outbox) Add(ctx context.Context, tx *sql.Tx, envelope *eventv1.Envelope) error {
	now := o.cfg.Clock().UnixMicro()
	if err := complete(ctx, envelope, o.cfg.Service, now); err != nil {
		return err
	}
	queries := kitdb.New(tx)
	sequence, err := queries.NextSequence(ctx, kitdb.NextSequenceParams{
		Shard: int32(Shard(envelope.GetKey())), Proposed: now,
	})
	if err != nil {
		return fmt.Errorf("outbox sequence: %w", err)
	}
	envelope.Sequence = sequence
	data, err := encode(envelope)
	if err != nil {
		return err
	}
	err = queries.AddToOutbox(ctx, kitdb.AddToOutboxParams{
		ID: envelope.GetId(), TenantID: envelope.GetTenantId(),
		Sequence: sequence, Envelope: data, CreatedAt: now,
	})
	if err != nil {
		return fmt.Errorf("add to outbox: %w", err)
	}
	database.AfterCommit(ctx, func() { notify(o.wake) })
	return nil
}

// AddAll is Add for many facts: on PostgreSQL one statement. They are told in
// the order given. Their sequence is set when they are published.
func (o *Outbox) AddAll(ctx context.Context, tx *sql.Tx, envelopes []*eventv1.Envelope) error {
	if o.cfg.DB.Dialect() == database.PostgreSQL {
		if err := o.AddAllNative(ctx, native{tx}, envelopes); err != nil {
			return err
		}
		database.AfterCommit(ctx, o.Wake)
		return nil
	}
	for _, envelope := range envelopes {
		if err := o.Add(ctx, tx, envelope); err != nil {
			return err
		}
	}
	return nil
}

// AddAllNative is AddAll in a transaction of pgx's own. Wake follows its
// commit.
func (o *Outbox) AddAllNative(ctx context.Context, tx kitpg.DBTX, envelopes []*eventv1.Envelope) error {
	if len(envelopes) == 0 {
		return nil
	}
	rows := kitpg.AddAllToOutboxParams{CreatedAt: o.cfg.Clock().UnixMicro()}
	for i, envelope := range envelopes {
		if err := complete(ctx, envelope, o.cfg.Service, rows.CreatedAt); err != nil {
			return err
		}
		data, err := encode(envelope)
		if err != nil {
			return fmt.Errorf("fact %d: %w", i, err)
		}
		rows.Ids = append(rows.Ids, envelope.GetId())
		rows.TenantIds = append(rows.TenantIds, envelope.GetTenantId())
		rows.Shards = append(rows.Shards, int32(Shard(envelope.GetKey())))
		rows.Envelopes = append(rows.Envelopes, data)
	}
	if err := kitpg.New(tx).AddAllToOutbox(ctx, rows); err != nil {
		return fmt.Errorf("add to outbox: %w", err)
	}
	return nil
}

// Encode completes an envelope as Add does, for a service that adds the facts
// of many transactions in one statement of its own: a row of the outbox with
// this id, sequence and data, and created_at. Add keeps the facts of one key
// in order, this does not: the key has no other fact. Wake follows the commit.
func (o *Outbox) Encode(ctx context.Context, envelope *eventv1.Envelope, sequence int64) (id string, data []byte, err error) {
	if err := complete(ctx, envelope, o.cfg.Service, o.cfg.Clock().UnixMicro()); err != nil {
		return "", nil, err
	}
	envelope.Sequence = sequence
	data, err = encode(envelope)
	return envelope.GetId(), data, err
}

// Wake has Run look for facts at once.
func (o *Outbox) Wake() { notify(o.wake) }
