package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/backlot-video/backlot/services/configstore/internal/engine"
)

// transactor is the part of the engine that is needed here.
type transactor interface {
	Txn(ctx context.Context, request *pb.TxnRequest) (*pb.TxnResponse, error)
}

// Bounds of the queue. Beyond them releases are refused as busy.
const (
	maxQueued      = 4096
	maxQueuedBytes = 64 << 20
	// maxLooked are looked at for one transaction.
	maxLooked = 256
)

// inFlight are the transactions that are on their way to the log at once. One
// more is begun only when as many releases wait as the table says by those
// that are on their way already: alone, a release waits for nobody; under load
// those that come meanwhile share the next transaction, since each costs far
// more than a release in it.
var wanted = [...]int{1, 1, 8, 16}

// A transaction that takes longer than slowAfter was probably lost with a
// leader, which the engine finds out only seconds later. It no longer counts
// as on its way, or the member would write nothing meanwhile; at most maxSlow
// are so.
const (
	slowAfter = 300 * time.Millisecond
	maxSlow   = 64
)

// committer writes releases, under load several in one transaction.
type committer struct {
	engine transactor
	sizes  prometheus.Observer // releases of each transaction
	log    *slog.Logger
	late   time.Duration // slowAfter; tests hold transactions for longer

	mu       sync.Mutex
	queue    []*write // oldest first
	bytes    int      // of queue
	inFlight int      // without slow ones
	slow     int
	closed   bool
	running  sync.WaitGroup
}

// write is one release on its way. What it refers to is not changed once it is
// given to the committer.
type write struct {
	tenant   string
	compares []*pb.Compare
	ops      []encodedOp
	record   []byte // the release without its id
	keys     []string
	checked  []string // keys that are compared only
	// alone is for releases that compare ranges, which are not looked at for
	// collisions with others.
	alone bool
	bytes int
	done  chan outcome // holds one
}

// encodedOp is a put whose value is complete but for the release's id, or
// another operation that is complete.
type encodedOp struct {
	path  string
	value []byte
	whole *pb.RequestOp // instead of both
}

// outcome of a write: not done where something that it compares had changed.
type outcome struct {
	done     bool
	id       string
	revision int64
	err      error
}

func newCommitter(e transactor, sizes prometheus.Observer, log *slog.Logger) *committer {
	return &committer{engine: e, sizes: sizes, log: log, late: slowAfter}
}

// write waits until the release is written or found to be overtaken. If ctx
// ends while it is on its way, it may be written all the same.
func (c *committer) write(ctx context.Context, w *write) (outcome, error) {
	if _, err := c.enqueue(w); err != nil {
		return outcome{}, err
	}
	return c.await(ctx, w)
}

// await waits for a release that was queued.
func (c *committer) await(ctx context.Context, w *write) (outcome, error) {
	select {
	case out := <-w.done:
		return out, out.err
	case <-ctx.Done():
		c.withdraw(w)
		return outcome{}, context.Cause(ctx)
	}
}

// enqueue queues releases, before any of them is begun. It takes as many as
// there is room for, and says why not all.
func (c *committer) enqueue(writes ...*write) (taken int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.begin()
	for n, w := range writes {
		switch {
		case c.closed:
			return n, engine.ErrClosed
		case len(c.queue) >= maxQueued || len(c.queue) > 0 && c.bytes+w.bytes > maxQueuedBytes:
			return n, fmt.Errorf("%w: %d releases wait to be written", ErrBusy, len(c.queue))
		}
		w.done = make(chan outcome, 1)
		c.queue = append(c.queue, w)
		c.bytes += w.bytes
	}
	return len(writes), nil
}

// begin starts what transactions are wanted; c.mu is held.
func (c *committer) begin() {
	for c.ready() {
		batch := c.take()
		c.inFlight++
		c.running.Go(func() { c.carry(batch) })
	}
}

// carry writes a batch, and begins what is wanted once it is written or slow.
func (c *committer) carry(batch []*write) {
	counted := &c.inFlight // where this one counts; nil when it has ended
	late := time.AfterFunc(c.late, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if counted == &c.inFlight && c.slow < maxSlow {
			c.inFlight--
			c.slow++
			counted = &c.slow
			c.begin()
		}
	})
	defer late.Stop()
	c.commit(batch)
	c.mu.Lock()
	defer c.mu.Unlock()
	*counted--
	counted = nil
	c.begin()
}

// ready tells that another transaction is to be begun; c.mu is held.
func (c *committer) ready() bool {
	return c.inFlight < len(wanted) && len(c.queue) >= wanted[c.inFlight]
}

// withdraw takes a release back that has not begun.
func (c *committer) withdraw(w *write) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n, queued := range c.queue {
		if queued == w {
			c.queue = append(c.queue[:n:n], c.queue[n+1:]...)
			c.bytes -= w.bytes
			return
		}
	}
}

// take removes the next batch from the queue; c.mu is held and the queue not
// empty. What collides with something of the batch stays.
func (c *committer) take() []*write {
	b := batcher{keys: make(map[string]bool)}
	left := c.queue[:0]
	for n, w := range c.queue {
		if len(b.writes) == maxBatch || n == maxLooked {
			left = append(left, c.queue[n:]...)
			break
		}
		if b.add(w) {
			c.bytes -= w.bytes
		} else {
			left = append(left, w)
		}
	}
	clear(c.queue[len(left):])
	c.queue = left
	return b.writes
}

func (c *committer) commit(batch []*write) {
	c.sizes.Observe(float64(len(batch)))
	outcomes, err := c.transact(batch)
	for n, w := range batch {
		if err != nil {
			w.done <- outcome{err: fmt.Errorf("write release: %w", err)}
		} else {
			w.done <- outcomes[n]
		}
	}
}

// transact has a time limit by the engine: it serves several callers and ends
// with none of them.
func (c *committer) transact(batch []*write) ([]outcome, error) {
	ids, err := newBatchID()
	if err != nil {
		return nil, err
	}
	txn := transaction(batch, ids)
	beforeApply.Hit()
	written, err := c.engine.Txn(context.Background(), txn)
	if err != nil {
		return nil, err
	}
	afterApply.Hit()
	outcomes, made := make([]outcome, len(batch)), 0
	for n := range batch {
		done := written.GetSucceeded()
		if len(batch) > 1 {
			done = written.GetResponses()[n].GetResponseTxn().GetSucceeded()
		}
		if done {
			made++
		}
		outcomes[n] = outcome{done: done, id: ids.of(n), revision: written.GetHeader().GetRevision()}
	}
	if made > 0 {
		c.log.Info("releases written", "first", ids.of(0), "revision", written.GetHeader().GetRevision(), "releases", made)
	}
	return outcomes, nil
}

// waiting is how many releases have not begun.
func (c *committer) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue)
}

// close refuses what has not begun and waits for what has.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	for _, w := range c.queue {
		w.done <- outcome{err: engine.ErrClosed}
	}
	c.queue, c.bytes = nil, 0
	c.mu.Unlock()
	c.running.Wait()
}
