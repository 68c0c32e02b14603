package matcher

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/mq"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/match"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
)

const (
	sweepEvery = time.Second
	sweepBatch = 500 // matches read at a time
	commitOf   = 50  // matches in one transaction
	purgeEvery = time.Minute
	purgeBatch = 5000
	keepAgreed = time.Hour
	keepClosed = 30 * 24 * time.Hour
)

// Run looks every second for what has waited for the grace time, until ctx
// ends.
func (m *Matcher) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	var purged time.Time
	for {
		err := m.Sweep(ctx)
		if now := m.now(); err == nil && now.Sub(purged) >= purgeEvery {
			purged = now
			_, err = m.cfg.Matches.Purge(ctx, now.Add(-keepAgreed), now.Add(-keepClosed), purgeBatch)
		}
		if err != nil && ctx.Err() == nil {
			m.cfg.Log.Error("cannot compare orders, transactions and transfers, will try again", "err", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Sweep looks once at all that has waited for the grace time.
func (m *Matcher) Sweep(ctx context.Context) error {
	for {
		keys, err := m.cfg.Matches.Waiting(ctx, m.now().Add(-m.cfg.Grace), sweepBatch)
		if err != nil {
			return err
		}
		for rest := keys; len(rest) > 0; {
			part := rest[:min(commitOf, len(rest))]
			rest = rest[len(part):]
			if err := m.due(ctx, part); err != nil {
				return err
			}
		}
		if len(keys) < sweepBatch {
			return m.measure(ctx)
		}
	}
}

func (m *Matcher) due(ctx context.Context, keys []store.MatchKey) error {
	return m.cfg.Matches.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, key := range keys {
			found := false
			seen, err := m.cfg.Matches.Update(ctx, tx, key, func(waiting *match.Match) { found = waiting.Due(m.now()) })
			if err != nil {
				return err
			}
			if !found {
				continue
			}
			envelope, err := mq.NewEnvelope(key.TenantID, DifferenceFound, key.XID, &settlementv1.DifferenceFound{Difference: Message(seen)})
			if err != nil {
				return err
			}
			if err := m.cfg.Tell(ctx, tx, envelope); err != nil {
				return err
			}
			database.AfterCommit(ctx, func() { m.found(ctx, seen) })
		}
		return nil
	})
}

// found alerts.
func (m *Matcher) found(ctx context.Context, seen match.Match) {
	for _, kind := range seen.Kinds {
		m.metrics.found.WithLabelValues(string(kind)).Inc()
	}
	m.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "order, transaction and transfer do not agree", slog.String("xid", seen.XID),
		slog.String("order_id", seen.OrderID), slog.String("transfer_id", seen.TransferID), slog.Any("kinds", seen.Kinds))
}

func (m *Matcher) repaired(ctx context.Context, seen match.Match) {
	database.AfterCommit(ctx, func() {
		m.metrics.repaired.Inc()
		m.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "order, transaction and transfer agree again", slog.String("xid", seen.XID),
			slog.Duration("after", seen.ClosedAt.Sub(seen.FoundAt)))
	})
}

func (m *Matcher) measure(ctx context.Context) error {
	counts, err := m.cfg.Matches.Counts(ctx)
	if err != nil {
		return err
	}
	m.metrics.waiting.Set(float64(counts.Waiting))
	m.metrics.open.Set(float64(counts.Different))
	age := time.Duration(0)
	if !counts.Oldest.IsZero() {
		age = max(0, m.now().Sub(counts.Oldest))
	}
	m.metrics.oldest.Set(age.Seconds())
	return nil
}

// Message is a match on the wire.
func Message(m match.Match) *settlementv1.Difference {
	message := &settlementv1.Difference{
		Xid: m.XID, OrderId: m.OrderID, TransferId: m.TransferID, TransactionState: m.Transaction.String(),
		FirstSeenAt: micros(m.FirstSeenAt), FoundAt: micros(m.FoundAt), ClosedAt: micros(m.ClosedAt),
		ClosedBy: m.ClosedBy, Reason: m.Reason,
	}
	for _, kind := range m.Kinds {
		message.Kinds = append(message.Kinds, string(kind))
	}
	if m.Order != match.NoOrder {
		message.OrderAmount = m.OrderAmount.ToProto()
	}
	if m.TransferID != "" {
		message.TransferAmount = m.TransferAmount.ToProto()
	}
	return message
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
