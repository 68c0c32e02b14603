package upstream

import (
	"slices"
	"sync"
	"time"
)

// lookAfter is how long a connection must have been idle to be looked at
// before it is used again. Looking is a system call, so that under load, when
// the last one kept is used again at once, it is left out.
const lookAfter = 10 * time.Millisecond

// idle holds the kept connections of an endpoint. The last one kept is used
// first, so that those not needed grow old and are closed.
type idle struct {
	endpoint *Endpoint

	mu     sync.Mutex
	conns  []*Conn // the longest idle first
	closed bool
}

// put keeps a connection, or says that it may not be kept.
func (i *idle) put(c *Conn, now time.Time, most int) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed || len(i.conns) >= most {
		return false
	}
	c.since = now
	i.conns = append(i.conns, c)
	return true
}

// take returns a connection that can be used, nil where there is none. Those
// that cannot are closed, and dropped tells that there were some: who waits
// for a place may then have one.
func (i *idle) take(now time.Time) (c *Conn, dropped bool) {
	for {
		if c = i.pop(); c == nil {
			return nil, dropped
		}
		settings := &i.endpoint.group.newest.Load().settings.Pool
		age := now.Sub(c.since)
		if age < settings.IdleTimeout && !c.stale(settings.MaxUses) && (age < lookAfter || c.alive.look()) {
			return c, dropped
		}
		c.abandon()
		i.endpoint.group.queue.open.Add(-1)
		dropped = true
	}
}

func (i *idle) pop() *Conn {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := len(i.conns)
	if n == 0 {
		return nil
	}
	c := i.conns[n-1]
	i.conns[n-1] = nil
	i.conns = i.conns[:n-1]
	return c
}

// oldest takes out the connection that is idle the longest.
func (i *idle) oldest() *Conn {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.conns) == 0 {
		return nil
	}
	c := i.conns[0]
	i.conns = slices.Delete(i.conns, 0, 1)
	return c
}

// sweep closes what is idle since before a time.
func (i *idle) sweep(before time.Time) {
	i.mu.Lock()
	n := 0
	for n < len(i.conns) && i.conns[n].since.Before(before) {
		n++
	}
	old := slices.Clone(i.conns[:n])
	i.conns = slices.Delete(i.conns, 0, n)
	i.mu.Unlock()
	for _, c := range old {
		c.Close()
	}
}

// drop closes everything that is kept now.
func (i *idle) drop() {
	i.mu.Lock()
	all := i.conns
	i.conns = nil
	i.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

// close keeps nothing from now on.
func (i *idle) close() {
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.drop()
}

func (i *idle) len() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.conns)
}
