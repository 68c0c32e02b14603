package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

var errStore = errors.New("store is away")

// memory is the store's side: what is durable.
type memory struct {
	mu     sync.Mutex
	leases map[string]runner.Lease
	rows   map[runner.Key]*row
}

type row struct {
	runner.Transaction
	owner string
	log   []tcc.Record
	told  int // facts that it has ended
}

func newMemory() *memory {
	return &memory{leases: map[string]runner.Lease{}, rows: map[runner.Key]*row{}}
}

// started reports whether the log lets a branch's phase be called.
func (m *memory) started(key runner.Key, branchID string, phase tcc.Phase) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rows[key]
	if r == nil {
		return false
	}
	branches := r.Spec.Branches
	for _, record := range r.log {
		if record.Registered != nil {
			branches = append(slices.Clip(branches), *record.Registered)
		}
		begins := record.Status == tcc.StatusStarted || record.Status == tcc.StatusRegistered
		if record.Branch != tcc.Whole && record.Phase == phase && begins && branches[record.Branch].ID == branchID {
			return true
		}
	}
	return false
}

func (r *row) logged() runner.Logged {
	return runner.Logged{Transaction: r.Transaction, Log: slices.Clone(r.log)}
}

func (r *row) open() bool { return !r.State.Ended() && r.State != tcc.Parked }

// Join implements runner.Store.
func (l *link) Join(ctx context.Context, lease runner.Lease) error {
	return l.write(ctx, "join", func(m *memory) error { m.leases[lease.ID] = lease; return nil })
}

// Renew implements runner.Store.
func (l *link) Renew(ctx context.Context, lease runner.Lease, now time.Time) error {
	return l.write(ctx, "renew", func(m *memory) error {
		if m.leases[lease.ID].Until.Before(now) {
			l.world.meet("lost lease")
			return runner.ErrLost
		}
		m.leases[lease.ID] = lease
		return nil
	})
}

// Leave implements runner.Store.
func (l *link) Leave(ctx context.Context, id string) error {
	return l.write(ctx, "leave", func(m *memory) error { m.end(id); return nil })
}

func (m *memory) end(id string) {
	lease := m.leases[id]
	lease.Until = time.Time{}
	m.leases[id] = lease
}

// TakeOver implements runner.Store.
func (l *link) TakeOver(ctx context.Context, lease runner.Lease, now time.Time) (n int64, err error) {
	err = l.write(ctx, "take over", func(m *memory) error {
		for id, other := range m.leases {
			if id != lease.ID && (other.Until.Before(now) || other.Host == lease.Host) {
				m.end(id)
			}
		}
		for _, r := range m.rows {
			if r.owner != lease.ID && m.leases[r.owner].Until.IsZero() && r.open() {
				r.owner = lease.ID
				n++
				l.world.meet("takeover")
			}
		}
		return nil
	})
	return n, err
}

// Begin implements runner.Store.
func (l *link) Begin(ctx context.Context, owner string, t runner.Transaction, log []tcc.Record) error {
	return l.write(ctx, "begin "+t.XID, func(m *memory) error {
		if m.leases[owner].Until.IsZero() {
			return runner.ErrLost
		}
		if m.rows[t.Key] != nil {
			return runner.ErrExists
		}
		m.rows[t.Key] = &row{Transaction: t, owner: owner, log: slices.Clone(log)}
		return nil
	})
}

// Append implements runner.Store.
func (l *link) Append(ctx context.Context, owner string, t runner.Transaction, log []tcc.Record) error {
	return l.write(ctx, nameOf(t, log), func(m *memory) error { return m.append(owner, t, log) })
}

// Reopen implements runner.Store.
func (l *link) Reopen(ctx context.Context, owner string, t runner.Transaction, log []tcc.Record) error {
	return l.write(ctx, "reopen "+nameOf(t, log), func(m *memory) error {
		r := m.rows[t.Key]
		if m.leases[owner].Until.IsZero() || r == nil || r.State.Ended() || log[0].Sequence != len(r.log)+1 {
			return runner.ErrLost
		}
		r.owner = owner
		return m.append(owner, t, log)
	})
}

func nameOf(t runner.Transaction, log []tcc.Record) string {
	return fmt.Sprintf("%s from %d: %v", t.XID, log[0].Sequence, t.State)
}

func (m *memory) append(owner string, t runner.Transaction, log []tcc.Record) error {
	r := m.rows[t.Key]
	if m.leases[owner].Until.IsZero() || r.owner != owner {
		return runner.ErrLost
	}
	if log[0].Sequence != len(r.log)+1 {
		return fmt.Errorf("record %v follows %d records", log[0], len(r.log))
	}
	t.Spec = r.Spec // as it began
	r.Transaction, r.log = t, append(r.log, log...)
	if t.State.Ended() {
		r.told++
	}
	return nil
}

// Remove implements runner.Store; nothing is old enough here.
func (l *link) Remove(context.Context, time.Time, int) (int64, error) { return 0, nil }

// Load implements runner.Store.
func (l *link) Load(ctx context.Context, key runner.Key) (logged runner.Logged, err error) {
	err = l.read(ctx, func(m *memory) error {
		r := m.rows[key]
		if r == nil {
			return runner.ErrNotFound
		}
		logged = r.logged()
		return nil
	})
	return logged, err
}

// Unfinished implements runner.Store.
func (l *link) Unfinished(ctx context.Context, owner string, after runner.Cursor, limit int) (all []runner.Logged, err error) {
	err = l.read(ctx, func(m *memory) error {
		for _, r := range m.rows {
			place := r.CreatedAt.Compare(after.CreatedAt)
			if r.owner == owner && r.open() && (place > 0 || place == 0 && r.XID > after.XID) {
				all = append(all, r.logged())
			}
		}
		slices.SortFunc(all, func(a, b runner.Logged) int {
			if order := a.CreatedAt.Compare(b.CreatedAt); order != 0 {
				return order
			}
			return strings.Compare(a.XID, b.XID)
		})
		return nil
	})
	return all[:min(limit, len(all))], err
}

// parked are the xids that wait for an operator.
func (m *memory) parked() (keys []runner.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, r := range m.rows {
		if r.State == tcc.Parked {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b runner.Key) int { return strings.Compare(a.XID, b.XID) })
	return keys
}

// List implements runner.Store, which the simulation does not ask for.
func (l *link) List(context.Context, string, []tcc.State, runner.Cursor, int) ([]runner.Logged, error) {
	return nil, errStore
}
