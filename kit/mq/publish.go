package mq

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protowire"

	kitdb "github.com/backlot-video/backlot/sql/gen/kit"
)

// sequenceField is Envelope.sequence.
const sequenceField = 6

// pending is a fact on its way to the broker.
type pending struct {
	id, key string
	message *nats.Msg // nil: it does not decode
	future  jetstream.PubAckFuture
	err     error // it cannot be sent
	sent    bool  // the broker has it
}

// publish sends the facts of rows, but for those whose ids are in partly, and
// returns the ids of the rows that the broker has wholly, and what failed.
// It sends a key's next fact only when the broker has the one before. What it
// has of other rows is put into partly.
func (o *Outbox) publish(ctx context.Context, rows []kitdb.ListUnsentRow, partly map[string]struct{}) (sent []string, failure error) {
	waiting, failure := o.decodeAll(ctx, rows, partly)
	stuck := map[string]bool{} // keys
	for _, wave := range wavesOf(waiting) {
		for _, p := range wave {
			if stuck[p.key] {
				continue
			}
			if p.err == nil {
				p.future, p.err = o.cfg.Client.stream.PublishMsgAsync(p.message)
			}
			if p.err != nil {
				stuck[p.key], failure = true, errors.Join(failure, p.err)
			}
		}
		for _, p := range wave {
			if p.future == nil {
				continue
			}
			err := outcome(ctx, p.future)
			if err == nil {
				p.sent = true
				continue
			}
			stuck[p.key] = true
			if failure == nil {
				failure = fmt.Errorf("publish %s: %w", p.message.Subject, err)
			}
		}
	}
	return o.wholly(rows, waiting, partly), failure
}

// decodeAll gives the facts of each row. Those that do not decode have no
// message, and an error is joined for them.
func (o *Outbox) decodeAll(ctx context.Context, rows []kitdb.ListUnsentRow, partly map[string]struct{}) (waiting [][]*pending, failure error) {
	waiting = make([][]*pending, len(rows))
	for i, row := range rows {
		facts, err := Facts(row.Envelope)
		if err != nil {
			waiting[i], failure = []*pending{{}}, errors.Join(failure, fmt.Errorf("outbox row %s: %w", row.ID, err))
			continue
		}
		for _, data := range facts {
			p, err := o.decodeOne(ctx, row, data)
			if err != nil {
				failure = errors.Join(failure, err)
			}
			_, p.sent = partly[p.id]
			waiting[i] = append(waiting[i], p)
		}
	}
	return waiting, failure
}

func (o *Outbox) decodeOne(ctx context.Context, row kitdb.ListUnsentRow, data []byte) (*pending, error) {
	envelope, data, err := o.Decode(ctx, data)
	if err != nil {
		err = fmt.Errorf("outbox row %s: %w", row.ID, err)
	}
	if envelope == nil {
		return &pending{}, err
	}
	p := &pending{id: envelope.GetId(), key: envelope.GetKey(), message: nats.NewMsg(Subject(envelope)), err: err}
	p.message.Header.Set(jetstream.MsgIDHeader, p.id)
	p.message.Data = data
	if envelope.GetSequence() == 0 { // by AddAll
		p.message.Data = protowire.AppendVarint(protowire.AppendTag(p.message.Data, sequenceField, protowire.VarintType), uint64(row.Sequence))
	}
	return p, nil // publish gives its error when it is its turn
}

// wavesOf puts each key's facts into waves that follow each other, and no more
// into one than may be in flight.
func wavesOf(waiting [][]*pending) (waves [][]*pending) {
	next := map[string]int{} // by key: the first wave that may have its next fact
	open := 0                // the first wave that has room
	for _, row := range waiting {
		for _, p := range row {
			if p.message == nil || p.sent {
				continue
			}
			wave := max(next[p.key], open)
			for wave < len(waves) && len(waves[wave]) == publishWindow {
				wave++
			}
			if wave == len(waves) {
				waves = append(waves, nil)
			}
			waves[wave] = append(waves[wave], p)
			next[p.key] = wave + 1
			for open < len(waves) && len(waves[open]) == publishWindow {
				open++
			}
		}
	}
	return waves
}

// wholly are the ids of the rows whose facts are all sent. What is sent of the
// others is put into partly.
func (o *Outbox) wholly(rows []kitdb.ListUnsentRow, waiting [][]*pending, partly map[string]struct{}) (ids []string) {
	published, left := 0, 0
	for i, facts := range waiting {
		missing := 0
		for _, p := range facts {
			if !p.sent {
				missing++
			}
			if p.future != nil && p.sent {
				published++
			}
		}
		for _, p := range facts {
			if missing == 0 {
				delete(partly, p.id)
			} else if p.sent {
				partly[p.id] = struct{}{}
			}
		}
		if left += missing; missing == 0 {
			ids = append(ids, rows[i].ID)
		}
	}
	o.cfg.Client.metrics.published.WithLabelValues(o.cfg.Service).Add(float64(published))
	o.cfg.Client.metrics.unpublished.WithLabelValues(o.cfg.Service).Add(float64(left))
	return ids
}

func outcome(ctx context.Context, future jetstream.PubAckFuture) error {
	select {
	case <-future.Ok():
		return nil
	case err := <-future.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
