package quota

import "time"

// forgetAfter is how long a key that nobody takes of is kept.
const forgetAfter = 10 * time.Second

// sweep gives back what was not used, reports what was spent, and forgets keys
// that nobody takes of. It looks at one shard at a time.
func (c *Client) sweep(now time.Time) {
	c.known.Store(int64(c.config.Replicas()))
	for _, l := range c.followed() {
		kept := 0
		for i := range l.shards {
			kept += l.sweep(&l.shards[i], now)
		}
		if kept == 0 {
			c.unfollow(l)
		}
	}
}

// followed are the limits that have keys.
func (c *Client) followed() []*Limit {
	c.mu.Lock()
	defer c.mu.Unlock()
	limits := make([]*Limit, 0, len(c.limits))
	for l := range c.limits {
		limits = append(limits, l)
	}
	return limits
}

func (l *Limit) sweep(s *shard, now time.Time) (kept int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, e := range s.entries {
		e.next(now)
		idle := now.Sub(e.last) >= Lifetime
		switch {
		case e.asked:
		case idle && (e.unused > 0 || e.spent > 0):
			e.asked = true
			l.client.enqueue(waiting{l, key, e})
		case now.Sub(e.last) >= forgetAfter:
			delete(s.entries, key)
		}
	}
	return len(s.entries)
}

// unfollow leaves a limit out until it has keys again.
func (c *Client) unfollow(l *Limit) {
	c.mu.Lock()
	delete(c.limits, l)
	if len(c.byName) >= mostLimits/2 && c.byName[l.name] == l { // routes that are gone leave their names
		delete(c.byName, l.name)
	}
	c.mu.Unlock()
	if l.keys() > 0 { // one came meanwhile
		c.follow(l)
	}
}

// keys counts those that are kept.
func (l *Limit) keys() (n int) {
	for i := range l.shards {
		l.shards[i].mu.Lock()
		n += len(l.shards[i].entries)
		l.shards[i].mu.Unlock()
	}
	return n
}
