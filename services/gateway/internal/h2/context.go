package h2

import (
	"context"
	"sync"
	"time"
)

// streamContext is the context of a stream. It costs nothing until somebody
// asks for its Done, which plain exchanges do not.
type streamContext struct {
	parent context.Context //nolint:containedctx // it is a context itself

	mu        sync.Mutex
	inner     context.Context //nolint:containedctx // as above
	cancel    context.CancelFunc
	cancelled bool
}

// Deadline implements context.Context.
func (c *streamContext) Deadline() (time.Time, bool) { return c.parent.Deadline() }

// Done implements context.Context.
func (c *streamContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		c.inner, c.cancel = context.WithCancel(c.parent)
		if c.cancelled {
			c.cancel()
		}
	}
	return c.inner.Done()
}

// Err implements context.Context.
func (c *streamContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancelled {
		return context.Canceled
	}
	return c.parent.Err()
}

// Value implements context.Context. Contexts derived from this one find the
// inner one by it.
func (c *streamContext) Value(key any) any {
	c.mu.Lock()
	inner := c.inner
	c.mu.Unlock()
	if inner != nil {
		return inner.Value(key)
	}
	return c.parent.Value(key)
}

// end cancels it, and tells whether nobody can be holding on to it.
func (c *streamContext) end() (unused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancelled = true
	if c.cancel != nil {
		c.cancel()
	}
	return c.inner == nil
}
