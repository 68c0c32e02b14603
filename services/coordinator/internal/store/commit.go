package store

import (
	"context"
	"errors"
	"sync"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
)

// ErrFull means that too many writes wait.
var ErrFull = errors.New("too many writes of the log wait")

// engine makes a batch durable, which holds writes of one owner, each of
// another transaction. It returns what came of each, in order, or an error
// that concerns them all.
type engine interface {
	commit(ctx context.Context, owner string, batch []*write) ([]error, error)
	// undone tells whether such an error is certain to have written nothing,
	// so that each may be tried alone.
	undone(err error) bool
	// remove takes away the oldest transactions that ended before a time, in
	// microseconds, and tells how many.
	remove(ctx context.Context, before int64, limit int32) (removed int64, err error)
}

// committer gathers the writes of many transactions into few commits. It has
// no goroutine: the caller whose write waits first writes for those behind it
// too. What arrives during a commit is the next batch; to wait for more makes
// batches larger and spares little, while processors idle.
type committer struct {
	engine  engine
	config  Config
	metrics *metrics

	mu      sync.Mutex
	waiting []*write // in order of arrival
	writing int      // callers that write, at most config.Commits
}

// do makes a write durable. If ctx ends before the write is in a batch, it is
// not written; from then on it is not cut.
func (c *committer) do(ctx context.Context, w *write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.turn, w.done = make(chan struct{}, 1), make(chan error, 1)
	c.mu.Lock()
	if len(c.waiting) >= c.config.QueueLimit {
		c.mu.Unlock()
		c.metrics.refused.Inc()
		return ErrFull
	}
	c.waiting = append(c.waiting, w)
	c.pass()
	c.mu.Unlock()
	cut := ctx.Done()
	for {
		select {
		case err := <-w.done:
			return err
		case <-w.turn:
			return c.lead(ctx)
		case <-cut:
			if c.leave(w) {
				return ctx.Err()
			}
			cut = nil
		}
	}
}

// pass has the first that waits write the next batch, where one more may be
// written; c.mu is held.
func (c *committer) pass() {
	c.metrics.queued.Set(float64(len(c.waiting)))
	if c.writing < c.config.Commits && len(c.waiting) > 0 && !c.waiting[0].leads {
		c.waiting[0].leads = true
		c.waiting[0].turn <- struct{}{}
		c.writing++
	}
}

// leave takes a write out of the queue, unless it leads or a batch has it.
func (c *committer) leave(w *write) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, other := range c.waiting {
		if other == w && !w.leads {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// lead writes the batch of which w is the first.
func (c *committer) lead(ctx context.Context) error {
	c.mu.Lock()
	batch := c.take()
	c.pass()
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.writing--
		c.pass()
		c.mu.Unlock()
	}()
	results := c.write(context.WithoutCancel(ctx), batch)
	for i, other := range batch[1:] {
		other.done <- results[i+1]
	}
	return results[0]
}

// take removes the next batch from the queue: as many as may be written
// together, in their order; c.mu is held.
func (c *committer) take() []*write {
	var size, n int
	keys := make(map[runner.Key]struct{}, min(len(c.waiting), c.config.BatchLimit))
	for _, w := range c.waiting {
		_, twice := keys[w.key]
		size += w.size()
		if n == c.config.BatchLimit || twice || w.owner != c.waiting[0].owner || n > 0 && size > c.config.BatchBytes {
			break
		}
		keys[w.key] = struct{}{}
		n++
	}
	batch := append([]*write(nil), c.waiting[:n]...)
	c.waiting = append(c.waiting[:0], c.waiting[n:]...)
	return batch
}

// write makes a batch durable, or each of it alone where they cannot be
// written together.
func (c *committer) write(ctx context.Context, batch []*write) []error {
	results, err := c.commit(ctx, batch)
	if err == nil {
		return results
	}
	results = make([]error, len(batch))
	for i, w := range batch {
		results[i] = err
		if len(batch) > 1 && c.engine.undone(err) {
			results[i] = c.alone(ctx, w)
		}
	}
	return results
}

func (c *committer) alone(ctx context.Context, w *write) error {
	results, err := c.commit(ctx, []*write{w})
	if err != nil {
		return err
	}
	return results[0]
}

func (c *committer) commit(ctx context.Context, batch []*write) ([]error, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.CommitTimeout)
	defer cancel()
	began := c.config.Clock()
	results, err := c.engine.commit(ctx, batch[0].owner, batch)
	c.metrics.batch.Observe(float64(len(batch)))
	c.metrics.commit.Observe(c.config.Clock().Sub(began).Seconds())
	return results, err
}
