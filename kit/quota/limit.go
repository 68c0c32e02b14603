package quota

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

const shards = 16

// Kind is what a Limit says.
type Kind uint8

// The kinds.
const (
	// Granted: a token was taken.
	Granted Kind = iota
	// Refused: the limit is used up.
	Refused
	// Asked: nothing is known of the key yet; the caller decides by its own
	// share. It is charged as if it had let the request pass, up to that share.
	Asked
	// Away: there is no slice and the ledger does not answer; the caller
	// decides.
	Away
	kinds
)

var kindNames = [kinds]string{"granted", "refused", "asked", "away"}

// Grant is the answer to Take.
type Grant struct {
	Kind Kind
	Wait time.Duration // of Refused: until it is worth to ask again
}

// Limit is one limit at one replica. It is safe for concurrent use.
type Limit struct {
	client *Client
	name   string
	size   atomic.Pointer[size]
	seed   maphash.Seed
	shards [shards]shard
}

// size is a limit's rate, tokens per second, and burst.
type size struct{ rate, burst float64 }

type shard struct {
	mu      sync.Mutex
	entries map[string]*entry
}

func newLimit(c *Client, name string) *Limit {
	l := &Limit{client: c, name: name, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].entries = map[string]*entry{}
	}
	return l
}

// Share is the part of the limit that this replica may give out by itself: one
// of as many as there are replicas.
func (l *Limit) Share() float64 { return 1 / l.client.count() }

// Take takes a token of a key. It never waits: more are asked for behind the
// caller's back, before the last is gone. key is valid during the call only.
func (l *Limit) Take(key []byte, now time.Time) Grant {
	grant := l.take(key, now)
	l.client.counts.grants[grant.Kind].Add(1)
	return grant
}

func (l *Limit) take(key []byte, now time.Time) Grant {
	s := &l.shards[maphash.Bytes(l.seed, key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[string(key)]
	if e == nil {
		if len(s.entries) >= (l.client.config.Keys+shards-1)/shards {
			l.client.counts.crowded.Add(1)
			return l.unknown()
		}
		if len(s.entries) == 0 {
			l.client.follow(l)
		}
		e = &entry{key: string(key), shard: s, measured: now}
		s.entries[e.key] = e
	}
	grant, ask := e.take(l.size.Load(), l.client.count(), l.client.away.Load(), now)
	if ask && !e.asked {
		e.asked = true
		l.client.enqueue(waiting{l, e.key, e})
	}
	return grant
}

func (l *Limit) unknown() Grant {
	if l.client.away.Load() {
		return Grant{Kind: Away}
	}
	return Grant{Kind: Asked}
}

// ask is what is to be said of a key now.
func (l *Limit) ask(key string, e *entry, now time.Time) Ask {
	size := l.size.Load()
	e.shard.mu.Lock()
	defer e.shard.mu.Unlock()
	a := e.ask(now)
	a.Limit, a.Rate, a.Burst, a.Key = l.name, size.rate, size.burst, key
	return a
}

// answered puts a slice in use.
func (*Limit) answered(e *entry, slice Slice, now time.Time) {
	e.shard.mu.Lock()
	defer e.shard.mu.Unlock()
	e.answered(slice, now)
}

// failed takes back what was asked in vain. What was given back stays given
// back: it may have arrived.
func (*Limit) failed(e *entry, ask *Ask) {
	e.shard.mu.Lock()
	defer e.shard.mu.Unlock()
	e.asked = false
	e.spent += ask.Spent
}

// follow makes the sweep look at a limit.
func (c *Client) follow(l *Limit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limits[l] = struct{}{}
}
