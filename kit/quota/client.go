package quota

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// batch is how many keys one call asks for.
	batch = 500
	// mostLimits bounds the limits that are looked up by name.
	mostLimits = 10_000
	// awayAfter calls have failed for so long, the ledger is away.
	awayAfter = Lifetime
	// longestPause between calls while the ledger does not answer.
	longestPause = time.Second
)

// ClientConfig configures a Client. Zero fields mean what is written beside
// them.
type ClientConfig struct {
	// Ask carries asks to the ledger; required. It is called by one goroutine.
	Ask     func(ctx context.Context, asks []Ask) (Answer, error)
	Clock   func() time.Time // time.Now
	Every   time.Duration    // pause between calls; 10 ms
	Timeout time.Duration    // of a call; 500 ms
	Keys    int              // kept for each limit; 100,000
	// Replicas is how many there are, as far as is known without the ledger; it
	// is asked once each Lifetime; 1.
	Replicas   func() int
	Log        *slog.Logger          // discarded
	Registerer prometheus.Registerer // not exposed
	Service    string                // in the names of metrics; required with Registerer
}

func (c ClientConfig) withDefaults() ClientConfig {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Every <= 0 {
		c.Every = 10 * time.Millisecond
	}
	if c.Timeout <= 0 {
		c.Timeout = 500 * time.Millisecond
	}
	if c.Keys < 1 {
		c.Keys = 100_000
	}
	if c.Replicas == nil {
		c.Replicas = func() int { return 1 }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Client keeps the slices of one replica. It is safe for concurrent use.
type Client struct {
	config   ClientConfig
	away     atomic.Bool  // the ledger has not answered for awayAfter
	failing  time.Time    // since when calls fail; zero: they do not. Of the caller of Exchange
	replicas atomic.Int64 // that the ledger knows
	known    atomic.Int64 // replicas that are known without it
	wake     chan struct{}
	counts   clientCounts

	mu      sync.Mutex
	byName  map[string]*Limit
	limits  map[*Limit]struct{} // that have keys, or may get some by name
	waiting []waiting           // one of each key at most
}

// waiting is a key that is to be asked for.
type waiting struct {
	limit *Limit
	key   string
	entry *entry
}

// NewClient makes one that has no slices yet.
func NewClient(config ClientConfig) *Client {
	c := &Client{
		config: config.withDefaults(), wake: make(chan struct{}, 1),
		byName: map[string]*Limit{}, limits: map[*Limit]struct{}{},
	}
	c.known.Store(int64(c.config.Replicas()))
	if config.Registerer != nil {
		config.Registerer.MustRegister(newCollector(c))
	}
	return c
}

// Limit returns the limit of a name. Another rate or burst than before takes
// its place.
func (c *Client) Limit(name string, rate, burst float64) *Limit {
	size := &size{rate: rate, burst: burst}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.byName[name]; l != nil {
		l.size.Store(size)
		return l
	}
	l := newLimit(c, name)
	l.size.Store(size)
	if len(c.byName) < mostLimits {
		c.byName[name] = l
	}
	return l
}

// Run asks for slices until ctx ends. It is called once.
func (c *Client) Run(ctx context.Context) error {
	sweep := time.NewTicker(Lifetime)
	defer sweep.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	wait := c.config.Every
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			c.sweep(c.config.Clock())
			continue
		case <-c.wake:
		}
		if err := c.Exchange(ctx); err != nil {
			wait = min(2*wait, longestPause)
		} else {
			wait = c.config.Every
		}
		pause.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
	}
}

// Exchange makes one call for what is asked for by now. Run does so when there
// is something; simulations call it themselves.
func (c *Client) Exchange(ctx context.Context) error {
	batch := c.next()
	if len(batch) == 0 {
		return nil
	}
	now := c.config.Clock()
	asks := make([]Ask, len(batch))
	for i, w := range batch {
		asks[i] = w.limit.ask(w.key, w.entry, now)
	}
	calling, cancel := context.WithTimeout(ctx, c.config.Timeout)
	answer, err := c.config.Ask(calling, asks)
	cancel()
	now = c.config.Clock()
	c.counts.asks[index(err == nil)].Add(1)
	if err != nil || len(answer.Slices) != len(asks) {
		c.failed(err, now)
		for i, w := range batch {
			w.limit.failed(w.entry, &asks[i])
		}
		return err
	}
	c.failing = time.Time{}
	if c.away.Swap(false) {
		c.config.Log.Info("the ledger of limits answers again")
	}
	c.replicas.Store(int64(answer.Replicas))
	for i, w := range batch {
		w.limit.answered(w.entry, answer.Slices[i], now)
	}
	return nil
}

// failed leaves the limits to shares once calls fail for a while. A call that
// is lost does not do that: what a share lets through is charged to nobody.
func (c *Client) failed(err error, now time.Time) {
	if c.failing.IsZero() {
		c.failing = now
	}
	if now.Sub(c.failing) >= awayAfter && !c.away.Swap(true) {
		c.config.Log.Warn("limits of all replicas together are kept by shares: the ledger does not answer", "err", err)
	}
}

// next takes the keys of the next call.
func (c *Client) next() []waiting {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), batch)
	taken := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	if len(c.waiting) > 0 {
		c.poke()
	} else {
		c.waiting = nil
	}
	return taken
}

// enqueue asks for a key with the next call.
func (c *Client) enqueue(w waiting) {
	c.mu.Lock()
	c.waiting = append(c.waiting, w)
	c.mu.Unlock()
	c.poke()
}

func (c *Client) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// count is how many replicas there are, at least 1: what the ledger said may be
// old, or from before the others came.
func (c *Client) count() float64 {
	return float64(max(c.replicas.Load(), c.known.Load(), 1))
}

func index(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
