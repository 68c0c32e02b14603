package h2

import (
	"runtime"
	"time"
)

const (
	// flushAt is where a writing stream sends what has gathered.
	flushAt = 32 << 10
	// maxOut is where writing streams wait.
	maxOut = 64 << 10
	// keptOut is the most that a connection keeps of a buffer.
	keptOut = 80 << 10
	// idleOut is what a connection without streams keeps.
	idleOut = 8 << 10
)

// flush sends what has gathered. Where somebody is sending already, he takes
// ours along. It first lets other streams that are ready to run add theirs.
// mu is held, and released in between.
func (c *conn) flush() {
	if c.flushing || len(c.out) == 0 {
		return
	}
	c.flushing = true
	if len(c.streams) > 1 && len(c.out) < flushAt {
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
	c.send()
}

// kick has what has gathered sent without waiting for the peer to take it: the
// reading goroutine must not depend on that. mu is held.
func (c *conn) kick() {
	if c.flushing || len(c.out) == 0 || c.err != nil {
		return
	}
	c.flushing = true
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.send()
	}()
}

// send writes until nothing is left. flushing was set by the caller; mu is
// held, and released while the peer takes bytes.
func (c *conn) send() {
	for len(c.out) > 0 && c.err == nil {
		out := c.out
		c.out, c.spare = c.spare[:0], nil
		c.sent += int64(len(out))
		now := time.Now()
		arm := now.Sub(c.armed) > c.limits.WriteTimeout/4
		if arm {
			c.armed = now
		}
		c.mu.Unlock()
		if arm {
			_ = c.net.SetWriteDeadline(now.Add(c.limits.WriteTimeout))
		}
		_, err := c.net.Write(out)
		c.mu.Lock()
		if cap(out) <= keptOut {
			c.spare = out[:0]
		}
		if err != nil {
			c.fail(errClosed)
			_ = c.net.Close() // wakes the reading goroutine
		}
		c.room.Broadcast()
	}
	c.flushing = false
	if len(c.streams) == 0 && cap(c.out)+cap(c.spare) > idleOut {
		c.spare = nil
		if len(c.out) == 0 {
			c.out = nil
		}
	}
	c.room.Broadcast()
}

// awaitFlush returns once everything is sent or the connection is over. mu is
// held.
func (c *conn) awaitFlush() {
	c.flush()
	for c.flushing && c.err == nil {
		c.room.Wait()
	}
}

// credit tells the peer that bytes of the connection's window are free again.
// mu is held.
func (c *conn) credit(n int) {
	c.unacked += n
	if c.unacked >= c.limits.ConnWindow/4 && c.err == nil {
		c.out = appendWindowUpdate(c.out, 0, c.unacked)
		c.received += c.unacked
		c.unacked = 0
	}
}
