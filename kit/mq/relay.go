package mq

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/kit/database"
	kitdb "github.com/backlot-video/backlot/sql/gen/kit"
	"github.com/backlot-video/backlot/sql/gen/kitpg"
)

const (
	// inboxAge is how long handled ids are remembered: twice the time that the
	// stream keeps messages, since these may have waited in an outbox.
	inboxAge     = 70 * 24 * time.Hour
	purgeEvery   = time.Minute
	purgeLimit   = 1000 // rows at a time
	relayPause   = 50 * time.Millisecond
	relayMaxWait = 5 * time.Second
)

var (
	beforePublish = crashpoint.New("mq/outbox/before-publish")
	afterPublish  = crashpoint.New("mq/outbox/after-publish")
)

// Run publishes facts until ctx ends, and returns nil then. At its start and
// whenever the broker has come back, it publishes once more what was sent
// within Keep: a broker that died may have lost it, one that did not drops it
// by its id. It also removes what is old from outbox and inbox. Of several
// processes that run it on one database, one publishes; another takes over
// when that one stops, or within seconds where it died.
func (o *Outbox) Run(ctx context.Context) error {
	if o.cfg.Client == nil {
		return errors.New("outbox has no broker")
	}
	reconnected, unwatch := o.cfg.Client.watch()
	defer unwatch()
	deaf, err := o.listen()
	if err != nil {
		return fmt.Errorf("outbox of %s: %w", o.cfg.Service, err)
	}
	defer deaf()
	right, err := newLease(o)
	if err != nil {
		return err
	}
	defer right.drop(ctx)
	sent := newMarks(o)
	defer sent.end(ctx)
	poll, purge := time.NewTicker(o.cfg.Poll), time.NewTicker(purgeEvery)
	defer poll.Stop()
	defer purge.Stop()
	connection, again, woken := o.cfg.Client.conn.Stats().Reconnects, true, false
	pause := newBackoff(relayPause, relayMaxWait)
	for {
		if now := o.cfg.Client.conn.Stats().Reconnects; now != connection {
			connection, again = now, true
		}
		more, err := o.turn(ctx, right, sent, &again, woken)
		if ctx.Err() != nil {
			return nil
		}
		woken = false
		if err != nil {
			o.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "outbox waits", slog.String("service", o.cfg.Service), slog.Any("err", err))
			pause.sleep(ctx)
			continue
		}
		pause = newBackoff(relayPause, relayMaxWait)
		o.cfg.Client.metrics.unmarked.WithLabelValues(o.cfg.Service).Set(float64(len(sent.ids)))
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-o.wake:
			woken = true
		case <-o.told:
		case <-poll.C:
		case <-sent.due.C:
			if err := sent.flush(ctx); err != nil && ctx.Err() == nil {
				o.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "outbox not marked", slog.String("service", o.cfg.Service), slog.Any("err", err))
			}
		case <-reconnected: // counted above
		case <-purge.C:
			if err := o.purge(ctx); err != nil && ctx.Err() == nil {
				o.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "outbox not purged", slog.String("service", o.cfg.Service), slog.Any("err", err))
			}
		}
	}
}

// turn publishes one batch where this process is the one to do so, else it
// passes on that there are new facts.
func (o *Outbox) turn(ctx context.Context, right *lease, sent *marks, again *bool, woken bool) (more bool, err error) {
	held, gained, err := right.hold(ctx)
	if err != nil {
		return false, err
	}
	if !held {
		*again = true
		o.cfg.Client.metrics.lag.DeleteLabelValues(o.cfg.Service)
		if woken {
			o.wakeHolder()
		}
		return false, nil
	}
	more, err = o.step(ctx, sent, *again || gained)
	if gained {
		*again = true
	}
	if err == nil {
		*again = false
	}
	return more, err
}

// step publishes one batch, and reports whether there may be more.
func (o *Outbox) step(ctx context.Context, before *marks, again bool) (more bool, err error) {
	if again {
		before.forget()
		err := o.cfg.DB.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := kitdb.New(tx).MarkAllUnsent(ctx)
			return err
		})
		if err != nil {
			return false, err
		}
	}
	limit := o.cfg.Batch + len(before.ids)
	rows, err := kitdb.New(o.cfg.DB.Read()).ListUnsent(ctx, int32(limit))
	if err != nil {
		return false, err
	}
	more = len(rows) == limit
	rows = before.missing(rows)
	o.measureLag(rows)
	if len(rows) == 0 {
		return false, nil
	}
	beforePublish.Hit()
	sent, failure := o.publish(ctx, rows, before.partly)
	afterPublish.Hit()
	return more, errors.Join(failure, before.add(ctx, sent))
}

// markLimit is how many rows MarkSent marks.
const markLimit = 32

// markSent are MarkSent's parameters for up to markLimit rows.
func markSent(now int64, ids []string) kitdb.MarkSentParams {
	var id [markLimit]string
	copy(id[:], ids)
	return kitdb.MarkSentParams{
		SentAt: now,
		ID1:    id[0], ID2: id[1], ID3: id[2], ID4: id[3], ID5: id[4], ID6: id[5], ID7: id[6], ID8: id[7],
		ID9: id[8], ID10: id[9], ID11: id[10], ID12: id[11], ID13: id[12], ID14: id[13], ID15: id[14], ID16: id[15],
		ID17: id[16], ID18: id[17], ID19: id[18], ID20: id[19], ID21: id[20], ID22: id[21], ID23: id[22], ID24: id[23],
		ID25: id[24], ID26: id[25], ID27: id[26], ID28: id[27], ID29: id[28], ID30: id[29], ID31: id[30], ID32: id[31],
	}
}

// mark notes in one transaction, on PostgreSQL in one statement, that the
// broker has the facts of these rows.
func (o *Outbox) mark(ctx context.Context, sent []string) error {
	now := o.cfg.Clock().UnixMicro()
	return o.cfg.DB.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if o.cfg.DB.Dialect() == database.PostgreSQL {
			return kitpg.New(native{tx}).MarkAllSent(ctx, kitpg.MarkAllSentParams{SentAt: now, Ids: sent})
		}
		queries := kitdb.New(tx)
		for ids := range slices.Chunk(sent, markLimit) {
			if err := queries.MarkSent(ctx, markSent(now, ids)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (o *Outbox) measureLag(unsent []kitdb.ListUnsentRow) {
	lag := time.Duration(0)
	if len(unsent) > 0 {
		lag = o.cfg.Clock().Sub(time.UnixMicro(unsent[0].CreatedAt))
	}
	o.cfg.Client.metrics.lag.WithLabelValues(o.cfg.Service).Set(lag.Seconds())
}

// purge removes what was sent long enough ago, and the oldest of the inbox.
func (o *Outbox) purge(ctx context.Context) error {
	now := o.cfg.Clock()
	sent, handled := now.Add(-o.cfg.Keep).UnixMicro(), now.Add(-inboxAge).UnixMicro()
	for full := true; full; {
		err := o.cfg.DB.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
			queries := kitdb.New(tx)
			facts, err := queries.PurgeSent(ctx, kitdb.PurgeSentParams{Before: sent, MaxRows: purgeLimit})
			if err != nil {
				return err
			}
			ids, err := queries.PurgeInbox(ctx, kitdb.PurgeInboxParams{Before: handled, MaxRows: purgeLimit})
			full = facts == purgeLimit || ids == purgeLimit
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
