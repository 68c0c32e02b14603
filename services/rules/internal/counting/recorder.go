package counting

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

const (
	maxPending   = 1 << 16 // records that wait for the journal
	maxBatch     = 2048    // records of a message
	appendWait   = 2 * time.Second
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

var (
	beforeAppend = crashpoint.New("rules/velocity/before-append")
	afterAppend  = crashpoint.New("rules/velocity/after-append")
)

// recorder implements velocity.Log. It numbers what is counted, in the order
// in which each partition counts, and publishes it one message at a time:
// what is counted meanwhile goes into the next one.
type recorder struct {
	counts      *Counts
	unconfirmed bool
	wake        chan struct{} // of length 1: something was appended

	mu       sync.Mutex
	pending  []position // not published yet, in order
	next     uint64     // position of the next record
	durable  uint64     // the journal has all positions below, or never will
	failing  bool       // the journal does not take anything at present
	changed  chan struct{}
	sequence uint64 // of the last message published
	foreign  bool   // another process has published
	dropped  int64  // records that found no room
}

type position struct {
	at     uint64
	record velocity.Record
}

func newRecorder(c *Counts, unconfirmed bool) *recorder {
	// It fails until the journal is open.
	return &recorder{counts: c, unconfirmed: unconfirmed, failing: true, wake: make(chan struct{}, 1), changed: make(chan struct{})}
}

// Append implements velocity.Log.
func (r *recorder) Append(record *velocity.Record) {
	r.mu.Lock()
	if len(r.pending) < maxPending {
		r.pending = append(r.pending, position{r.next, *record})
	} else {
		r.dropped++
	}
	r.next++
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// position is that of the next record.
func (r *recorder) position() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

func (r *recorder) confirm(ctx context.Context) error {
	r.mu.Lock()
	wanted := r.next
	for r.durable < wanted && !r.failing && !r.unconfirmed && r.counts.config.Open != nil {
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		r.mu.Lock()
	}
	if r.durable < wanted {
		r.counts.metrics.unconfirmed.Inc()
	}
	r.mu.Unlock()
	return nil
}

// fail tells who waits that the journal is, or is no longer, out of order.
func (r *recorder) fail(failing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failing = failing
	r.notify()
}

// begin says that the journal is open and ends at a sequence.
func (r *recorder) begin(sequence uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sequence, r.failing = sequence, false
}

// published is the sequence of the last message of this process, and whether
// no other process has published since this one's replay.
func (r *recorder) published() (sequence uint64, alone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sequence, !r.foreign
}

// notify wakes who waits; mu is held.
func (r *recorder) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// run publishes until ctx ends.
func (r *recorder) run(ctx context.Context, journal Journal) {
	var batch []position
	for {
		batch = r.take(batch[:0])
		if len(batch) == 0 {
			select {
			case <-r.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if !r.publish(ctx, journal, batch) {
			return
		}
	}
}

// take removes the next records, whose positions have no gap.
func (r *recorder) take(into []position) []position {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for n < len(r.pending) && n < maxBatch && r.pending[n].at == r.pending[0].at+uint64(n) {
		n++
	}
	into = append(into, r.pending[:n]...)
	r.pending = r.pending[:copy(r.pending, r.pending[n:])]
	return into
}

// publish tries until the journal has a batch; false when ctx ended first.
func (r *recorder) publish(ctx context.Context, journal Journal, batch []position) bool {
	data, err := proto.Marshal(batchToProto(r.counts.Store, r.counts.epoch, batch))
	if err != nil { // strings of the tables that are not UTF-8: the rules cannot have them
		r.counts.config.Log.Error("velocity records cannot be encoded", "err", err)
		r.done(batch, 0)
		return true
	}
	id := fmt.Sprintf("%s/%d", r.counts.epoch, batch[0].at)
	for wait := firstBackoff; ; wait = min(2*wait, lastBackoff) {
		attempt, cancel := context.WithTimeout(ctx, appendWait)
		beforeAppend.Hit()
		sequence, err := journal.Append(attempt, id, data)
		afterAppend.Hit()
		cancel()
		if err == nil {
			r.done(batch, sequence)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		r.counts.metrics.failures.Inc()
		r.counts.config.Log.Warn("velocity is not in the journal yet", "err", err, "records", len(batch))
		r.fail(true)
		if !sleep(ctx, wait) {
			return false
		}
	}
}

// done notes that the journal has a batch.
func (r *recorder) done(batch []position, sequence uint64) {
	r.counts.metrics.published.Add(float64(len(batch)))
	r.mu.Lock()
	defer r.mu.Unlock()
	if sequence > r.sequence+1 {
		r.foreign = true
		r.counts.cluster.meet()
	}
	r.durable, r.failing = batch[len(batch)-1].at+1, false
	if sequence > 0 {
		r.sequence = sequence
	}
	if len(r.pending) == 0 {
		r.durable = r.next // what found no room is not waited for
	}
	r.notify()
}

// flush waits for what is pending.
func (r *recorder) flush(ctx context.Context) error {
	if r.counts.config.Open == nil || r.counts.journal.Load() == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for wanted := r.next; r.durable < wanted && !r.failing; {
		changed := r.changed
		r.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		}
		r.mu.Lock()
		if err != nil {
			return fmt.Errorf("publish velocity: %w", err)
		}
	}
	return nil
}
