package runner_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

var errStore = errors.New("store is away")

// pass lets a test's own time pass.
func pass(d time.Duration) { <-time.After(d) }

// memory is a store that outlives coordinators, with what a test needs to see.
type memory struct {
	mu     sync.Mutex
	leases map[string]runner.Lease
	rows   map[runner.Key]*row
	ended  map[runner.Key]int // facts told
}

type row struct {
	runner.Transaction
	owner string
	log   []tcc.Record
}

func newMemory() *memory {
	return &memory{leases: map[string]runner.Lease{}, rows: map[runner.Key]*row{}, ended: map[runner.Key]int{}}
}

// started reports whether the log has the start of a branch's phase.
func (m *memory) started(key runner.Key, branch int, phase tcc.Phase) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows[key].log {
		if r.Branch == branch && r.Phase == phase && (r.Status == tcc.StatusStarted || r.Status == tcc.StatusRegistered) {
			return true
		}
	}
	return false
}

// connection is one coordinator's way to the memory. It fails at random, at
// times after the write was done, and for good once it is cut.
type connection struct {
	*memory
	mu     sync.Mutex
	random *rand.Rand // nil: it never fails
	rate   float64
	isCut  bool
}

func (c *connection) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = true
}

func (c *connection) write(ctx context.Context, fn func() error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	pass(time.Millisecond)
	c.mu.Lock()
	cut := c.isCut
	before, after := false, false
	if c.random != nil {
		before, after = c.random.Float64() < c.rate, c.random.Float64() < c.rate
	}
	c.mu.Unlock()
	if cut || before {
		return errStore
	}
	c.memory.mu.Lock()
	err := fn()
	c.memory.mu.Unlock()
	if err == nil && after {
		return errStore
	}
	return err
}

func (c *connection) Join(ctx context.Context, lease runner.Lease) error {
	return c.write(ctx, func() error { c.leases[lease.ID] = lease; return nil })
}

func (c *connection) Renew(ctx context.Context, lease runner.Lease, now time.Time) error {
	return c.write(ctx, func() error {
		if c.leases[lease.ID].Until.Before(now) {
			return runner.ErrLost
		}
		c.leases[lease.ID] = lease
		return nil
	})
}

func (c *connection) Leave(ctx context.Context, id string) error {
	return c.write(ctx, func() error {
		lease := c.leases[id]
		lease.Until = time.Time{}
		c.leases[id] = lease
		return nil
	})
}

func (c *connection) TakeOver(ctx context.Context, lease runner.Lease, now time.Time) (n int64, err error) {
	err = c.write(ctx, func() error {
		for id, other := range c.leases {
			if id != lease.ID && (other.Until.Before(now) || other.Host == lease.Host) {
				other.Until = time.Time{}
				c.leases[id] = other
			}
		}
		for _, r := range c.rows {
			dead := c.leases[r.owner].Until.IsZero()
			if r.owner != lease.ID && dead && !r.State.Ended() && r.State != tcc.Parked {
				r.owner = lease.ID
				n++
			}
		}
		return nil
	})
	return n, err
}

func (c *connection) Begin(ctx context.Context, owner string, t runner.Transaction, log []tcc.Record) error {
	return c.write(ctx, func() error {
		if c.leases[owner].Until.IsZero() {
			return runner.ErrLost
		}
		if c.rows[t.Key] != nil {
			return runner.ErrExists
		}
		c.rows[t.Key] = &row{Transaction: t, owner: owner, log: append([]tcc.Record(nil), log...)}
		return nil
	})
}

func (c *connection) Append(ctx context.Context, owner string, t runner.Transaction, log []tcc.Record) error {
	return c.write(ctx, func() error { return c.append(owner, t, log) })
}

func (c *connection) Reopen(ctx context.Context, owner string, t runner.Transaction, log []tcc.Record) error {
	return c.write(ctx, func() error {
		r := c.rows[t.Key]
		if c.leases[owner].Until.IsZero() || r == nil || r.State.Ended() || log[0].Sequence != len(r.log)+1 {
			return runner.ErrLost
		}
		r.owner = owner
		return c.append(owner, t, log)
	})
}

func (c *connection) append(owner string, t runner.Transaction, log []tcc.Record) error {
	r := c.rows[t.Key]
	t.Spec = r.Spec // as it began
	if c.leases[owner].Until.IsZero() || r.owner != owner {
		return runner.ErrLost
	}
	if log[0].Sequence != len(r.log)+1 {
		return fmt.Errorf("record %v follows %d records", log[0], len(r.log))
	}
	r.Transaction, r.log = t, append(r.log, log...)
	if t.State.Ended() {
		c.ended[t.Key]++
	}
	return nil
}

func (c *connection) Load(_ context.Context, key runner.Key) (runner.Logged, error) {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	r, found := c.rows[key]
	if !found {
		return runner.Logged{}, runner.ErrNotFound
	}
	return r.logged(), nil
}

func (r *row) logged() runner.Logged {
	return runner.Logged{Transaction: r.Transaction, Log: append([]tcc.Record(nil), r.log...)}
}

func (c *connection) Unfinished(_ context.Context, owner string, after runner.Cursor, limit int) ([]runner.Logged, error) {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	var all []runner.Logged
	for _, r := range c.rows {
		place := r.CreatedAt.Compare(after.CreatedAt)
		later := place > 0 || place == 0 && r.XID > after.XID
		if r.owner == owner && later && !r.State.Ended() && r.State != tcc.Parked {
			all = append(all, r.logged())
		}
	}
	sort.Slice(all, func(i, j int) bool {
		return all[i].CreatedAt.Before(all[j].CreatedAt) || all[i].CreatedAt.Equal(all[j].CreatedAt) && all[i].XID < all[j].XID
	})
	return all[:min(limit, len(all))], nil
}

func (c *connection) List(
	_ context.Context, tenantID string, states []tcc.State, before runner.Cursor, limit int,
) ([]runner.Logged, error) {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	var all []runner.Logged
	for _, r := range c.rows {
		place := r.CreatedAt.Compare(before.CreatedAt)
		earlier := before.CreatedAt.IsZero() || place < 0 || place == 0 && r.XID < before.XID
		if r.TenantID == tenantID && earlier && (len(states) == 0 || slices.Contains(states, r.State)) {
			all = append(all, r.logged())
		}
	}
	sort.Slice(all, func(i, j int) bool {
		return all[i].CreatedAt.After(all[j].CreatedAt) || all[i].CreatedAt.Equal(all[j].CreatedAt) && all[i].XID > all[j].XID
	})
	return all[:min(limit, len(all))], nil
}

func (c *connection) Remove(ctx context.Context, before time.Time, limit int) (n int64, err error) {
	err = c.write(ctx, func() error {
		for key, r := range c.rows {
			if r.State.Ended() && r.UpdatedAt.Before(before) && n < int64(limit) {
				delete(c.rows, key)
				n++
			}
		}
		return nil
	})
	return n, err
}

// participants are all participants of a test: each branch has a reservation
// behind the barrier that kit/tcc has.
type participants struct {
	memory *memory
	answer func(key runner.Key, branch tcc.Branch, phase tcc.Phase) (tcc.Outcome, time.Duration)

	mu     sync.Mutex
	states map[string]*reservation
	faults []string
	calls  int
}

type reservation struct{ tried, confirmed, cancelled bool }

func newParticipants(m *memory) *participants {
	return &participants{
		memory: m, states: map[string]*reservation{},
		answer: func(runner.Key, tcc.Branch, tcc.Phase) (tcc.Outcome, time.Duration) {
			return tcc.Succeeded, time.Millisecond
		},
	}
}

func (p *participants) Call(ctx context.Context, key runner.Key, branch tcc.Branch, phase tcc.Phase) (tcc.Outcome, string) {
	outcome, took := p.answer(key, branch, phase)
	if !p.memory.started(key, int(branch.ID[0]-'a'), phase) {
		p.fault("%s %s of %s is not in the log", phase, branch.ID, key.XID)
	}
	timer := time.NewTimer(took)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return tcc.Failed, ctx.Err().Error()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	id := key.XID + "/" + branch.ID
	r := p.states[id]
	if r == nil {
		r = &reservation{}
		p.states[id] = r
	}
	if outcome == tcc.Refused && (phase != tcc.Try || r.tried) {
		outcome = tcc.Succeeded // only a fresh Try can be refused
	}
	switch phase {
	case tcc.Try:
		if r.cancelled {
			return tcc.Refused, "cancelled"
		}
		if outcome == tcc.Refused {
			return outcome, "no"
		}
		r.tried = true
	case tcc.Confirm:
		if !r.tried || r.cancelled {
			p.faults = append(p.faults, fmt.Sprintf("confirm of %s: %+v", id, *r))
		}
		r.confirmed = true
	case tcc.Cancel:
		if r.confirmed {
			p.faults = append(p.faults, fmt.Sprintf("cancel of %s: %+v", id, *r))
		}
		r.cancelled = true
	}
	return outcome, outcome.String() // a Failed one has had its effect
}

func (p *participants) fault(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// settled checks that a transaction with branches a and b has ended in the
// same way everywhere, and was told of once.
func (p *participants) settled(key runner.Key) error {
	p.memory.mu.Lock()
	defer p.memory.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.memory.rows[key]
	if !r.State.Ended() {
		return fmt.Errorf("%s is %v", key.XID, r.State)
	}
	if told := p.memory.ended[key]; told != 1 {
		return fmt.Errorf("%s: %d facts told", key.XID, told)
	}
	for _, branch := range r.Spec.Branches {
		got := reservation{}
		if state := p.states[key.XID+"/"+branch.ID]; state != nil {
			got = *state
		}
		if got.confirmed != (r.State == tcc.Confirmed) || r.State == tcc.Cancelled && got.tried && !got.cancelled {
			return fmt.Errorf("%s is %v, branch %s is %+v", key.XID, r.State, branch.ID, got)
		}
	}
	return nil
}
