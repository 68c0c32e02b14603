package mq

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/backlot-video/backlot/kit/database"
	kitdb "github.com/backlot-video/backlot/sql/gen/kit"
)

// lease is the right to publish an outbox, which on PostgreSQL one process of
// several has at a time. It saves work; order does not rest on it, since a
// fact is sent only when the broker has the one of its key before, and the
// broker drops those that it has. So clocks may differ, and a holder that
// stalls does no harm.
type lease struct {
	outbox *Outbox
	holder string
	until  time.Time // zero: not held
}

const leaseLife = 5 * time.Second

func newLease(o *Outbox) (*lease, error) {
	id, err := uuid.NewRandom()
	return &lease{outbox: o, holder: id.String()}, err
}

// hold takes or renews the lease where that is due. gained is true where it
// was another's, or nobody's, before.
func (l *lease) hold(ctx context.Context) (held, gained bool, err error) {
	if l.outbox.cfg.DB.Dialect() != database.PostgreSQL {
		gained, l.until = l.until.IsZero(), time.Unix(1, 0)
		return true, gained, nil
	}
	now := l.outbox.cfg.Clock()
	if now.Add(leaseLife / 2).Before(l.until) {
		return true, false, nil
	}
	until := now.Add(leaseLife)
	var taken int64
	err = l.outbox.cfg.DB.Write(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		taken, err = kitdb.New(tx).TakeLease(ctx, kitdb.TakeLeaseParams{
			Holder: l.holder, ExpiresAt: until.UnixMicro(), Now: now.UnixMicro(),
		})
		return err
	})
	if err != nil {
		return false, false, err
	}
	if taken == 0 {
		l.until = time.Time{}
		return false, false, nil
	}
	gained = l.until.IsZero()
	l.until = until
	return true, gained, nil
}

// drop lets another process publish at once.
func (l *lease) drop(ctx context.Context) {
	if l.outbox.cfg.DB.Dialect() != database.PostgreSQL || l.until.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	err := l.outbox.cfg.DB.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return kitdb.New(tx).DropLease(ctx, l.holder)
	})
	if err != nil {
		l.outbox.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "outbox lease not dropped",
			slog.String("service", l.outbox.cfg.Service), slog.Any("err", err))
	}
}

// A process that adds facts and does not publish them tells the one that does,
// past JetStream: where that is lost, the holder looks after Poll.

func (o *Outbox) wakeSubject() string { return "wake.outbox." + o.cfg.Service }

func (o *Outbox) wakeHolder() {
	_ = o.cfg.Client.conn.Publish(o.wakeSubject(), nil)
}

// listen wakes Run when another process adds facts.
func (o *Outbox) listen() (stop func(), err error) {
	if o.cfg.DB.Dialect() != database.PostgreSQL {
		return func() {}, nil
	}
	sub, err := o.cfg.Client.conn.Subscribe(o.wakeSubject(), func(*nats.Msg) { notify(o.told) })
	if err != nil {
		return nil, err
	}
	return func() { _ = sub.Unsubscribe() }, nil
}
