package counting

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/mq"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// replayer counts entries of the journal in a store. A record is counted where
// wanted says so and, of an epoch, only behind the ones before: an entry that
// was appended twice counts once.
type replayer struct {
	store  *velocity.Store
	wanted func(sequence uint64, epoch string, position uint64, partition int) bool
	behind map[string]uint64 // the next position by epoch
	counted,
	skipped int64
}

func (r *replayer) apply(entry mq.Entry) error {
	var batch rulesv1.VelocityBatch
	if err := proto.Unmarshal(entry.Data, &batch); err != nil {
		return fmt.Errorf("velocity journal entry %d: %w", entry.Sequence, err)
	}
	if r.behind == nil {
		r.behind = map[string]uint64{}
	}
	translations, err := translate(r.store, batch.GetTables(), entry.Time.Unix())
	if err != nil {
		return fmt.Errorf("velocity journal entry %d: %w", entry.Sequence, err)
	}
	for i, message := range batch.GetRecords() {
		at := batch.GetFirst() + uint64(i)
		record, ok := recordFromProto(message, translations)
		if !ok || at < r.behind[batch.GetEpoch()] || !r.wanted(entry.Sequence, batch.GetEpoch(), at, record.Partition()) {
			r.skipped++
			continue
		}
		r.store.Replay(&record)
		r.counted++
	}
	r.behind[batch.GetEpoch()] = max(r.behind[batch.GetEpoch()], batch.GetFirst()+uint64(len(batch.GetRecords())))
	return nil
}

// tolerant keeps on behind an entry that cannot be read.
func (c *Counts) tolerant(r *replayer) func(mq.Entry) error {
	return func(entry mq.Entry) error {
		if err := r.apply(entry); err != nil {
			c.metrics.unreadable.Inc()
			c.config.Log.Error("velocity journal entry skipped", "err", err)
		}
		return nil
	}
}

// replay counts what the snapshot does not have.
func (c *Counts) replay(ctx context.Context, journal Journal) error {
	first, last, err := journal.Bounds(ctx)
	if err != nil {
		return err
	}
	from := uint64(1)
	if c.restored != nil {
		from = min(c.restored.Published, c.restored.Through) + 1
	}
	if from > last+1 { // the journal was lost, and begins anew
		c.config.Log.Warn("velocity journal ends before its snapshot", "last", last, "snapshot", from-1)
		c.restored.Through, from = 0, first
	}
	var since int64
	r := &replayer{store: c.Store, wanted: c.missing}
	count := c.tolerant(r)
	c.applying.Lock()
	defer c.applying.Unlock()
	read := c.through // by an attempt before
	err = journal.Read(ctx, max(from, c.through+1), func(entry mq.Entry) error {
		if since == 0 && c.restored != nil && entry.Sequence > from && read == 0 {
			since = entry.Time.Unix() // what lies between is no longer there
		}
		err := count(entry)
		c.through, read = entry.Sequence, entry.Sequence
		return err
	})
	if err != nil {
		return err
	}
	c.through = max(c.through, last)
	c.recorder.begin(c.through)
	c.cluster.counted(since)
	c.config.Log.Info("velocity replayed", "records", r.counted, "from", from, "to", c.through)
	c.metrics.replayed.Add(float64(r.counted))
	if since > 0 {
		c.config.Log.Warn("velocity journal has a gap behind the snapshot; windows that reach into it are warming", "from", from, "kept_from", first)
	}
	return nil
}

// missing tells whether the snapshot lacks a record.
func (c *Counts) missing(sequence uint64, epoch string, position uint64, partition int) bool {
	switch {
	case epoch == c.epoch:
		return false // counted by this process while the journal was away
	case c.restored == nil:
		return true
	case epoch == c.restored.Epoch:
		return position >= c.marks[partition]
	default:
		return sequence > c.restored.Through
	}
}

// follow counts what other replicas count, once there are any.
func (c *Counts) follow(ctx context.Context, journal Journal) {
	select {
	case <-c.cluster.others:
	case <-ctx.Done():
		return
	}
	r := &replayer{store: c.Store, wanted: func(_ uint64, epoch string, _ uint64, partition int) bool {
		return epoch != c.epoch && c.cluster.holds(partition)
	}}
	count := c.tolerant(r)
	for ctx.Err() == nil {
		err := journal.Follow(ctx, c.applied()+1, func(entry mq.Entry) error {
			c.applying.Lock()
			defer c.applying.Unlock()
			if entry.Sequence <= c.through {
				return nil
			}
			before := r.counted
			err := count(entry)
			c.through = entry.Sequence
			c.metrics.followed.Add(float64(r.counted - before))
			return err
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			c.config.Log.Warn("velocity follows again", "err", err)
		}
		sleep(ctx, firstBackoff)
	}
}

// applied is the sequence up to which entries of others are counted.
func (c *Counts) applied() uint64 {
	c.applying.Lock()
	defer c.applying.Unlock()
	return c.through
}
