package mq

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/backlot-video/backlot/bench/internal/measure"
	"github.com/backlot-video/backlot/kit/database"
	kitmq "github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

const (
	oursFacts = 8000
	peerFacts = 500
)

// outbox compares the relay with one that publishes a fact, waits for the
// broker, marks it and goes on to the next. Both on SQLite, fsync on.
func outbox(r *measure.Report, b *broker) error {
	for _, at := range []struct{ name, url string }{{"money/mq-outbox", b.direct}, {"money/mq-outbox-2ms", b.delayed}} {
		var ours, peer float64
		for round := range 3 {
			rate, err := relayed(at.url, oursFacts, round, relayOurs)
			if err != nil {
				return fmt.Errorf("%s: %w", at.name, err)
			}
			ours = max(ours, rate)
			if rate, err = relayed(at.url, peerFacts, round, relayPeer); err != nil {
				return fmt.Errorf("%s: peer: %w", at.name, err)
			}
			peer = max(peer, rate)
		}
		err := r.Print(measure.Line{
			Bench: at.name, Unit: "facts/s", Ours: ours, Peer: "publish, wait and mark each", PeerValue: peer, Higher: true,
			Extra: []measure.Extra{{Name: "envelope_bytes", Value: payload}, {Name: "keys", Value: keys}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// relay publishes what is in a database's outbox until all is.
type relay func(ctx context.Context, url string, db *database.DB, outbox *kitmq.Outbox, unsent func() (int, error)) error

// relayed fills an outbox with facts of many keys and returns how many of
// them a relay publishes in a second.
func relayed(url string, count, round int, publish relay) (rate float64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	dir, err := os.MkdirTemp("", "backlot-bench-outbox-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	db, err := database.Open(ctx, database.Config{Service: "bench", DataDir: dir}, kitmq.Migrations())
	if err != nil {
		return 0, err
	}
	defer db.Close()
	client, err := kitmq.Connect(ctx, kitmq.ClientConfig{URL: url})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	outbox := kitmq.NewOutbox(kitmq.OutboxConfig{Service: "bench", DB: db, Client: client})
	facts := make([]*eventv1.Envelope, count)
	for n := range facts {
		if facts[n], err = envelope(n); err != nil {
			return 0, err
		}
		facts[n].Id = "" // a new one: the broker remembers ids
	}
	if err := db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error { return outbox.AddAll(ctx, tx, facts) }); err != nil {
		return 0, err
	}
	unsent := func() (left int, err error) {
		err = db.Read().QueryRowContext(ctx, "SELECT count(*) FROM outbox WHERE sent_at = 0").Scan(&left)
		return left, err
	}
	start := time.Now()
	if err := publish(ctx, url, db, outbox, unsent); err != nil {
		return 0, err
	}
	took := time.Since(start)
	if left, err := unsent(); err != nil || left != 0 {
		return 0, fmt.Errorf("%d facts left in round %d: %w", left, round, err)
	}
	return float64(count) / took.Seconds(), nil
}

func relayOurs(ctx context.Context, _ string, _ *database.DB, outbox *kitmq.Outbox, unsent func() (int, error)) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- outbox.Run(running) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if left, err := unsent(); err != nil || left == 0 {
			stop()
			if ended := <-ended; err == nil {
				err = ended
			}
			return err
		}
	}
}

func relayPeer(ctx context.Context, url string, db *database.DB, _ *kitmq.Outbox, _ func() (int, error)) error {
	js, end, err := raw(url)
	if err != nil {
		return err
	}
	defer end()
	rows, err := unsentRows(ctx, db)
	if err != nil {
		return err
	}
	for _, row := range rows {
		message := nats.NewMsg(factType + ".0")
		message.Header.Set(jetstream.MsgIDHeader, row.id)
		message.Data = row.envelope
		if _, err := js.PublishMsg(ctx, message); err != nil {
			return err
		}
		err := db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE outbox SET sent_at = 1 WHERE id = $1", row.id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

type outboxRow struct {
	id       string
	envelope []byte
}

func unsentRows(ctx context.Context, db *database.DB) (all []outboxRow, err error) {
	rows, err := db.Read().QueryContext(ctx, "SELECT id, envelope FROM outbox WHERE sent_at = 0 ORDER BY sequence, id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var row outboxRow
		if err := rows.Scan(&row.id, &row.envelope); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}
