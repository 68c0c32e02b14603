package admission

import "context"

// Hold keeps room for work from when it was looked at until it enters: without
// that, all that comes while it is being read would be let in for the same room,
// read, and refused. Several may enter by one Hold. A nil Hold has no room.
type Hold struct {
	gate   *Gate
	tenant string
	units  int // that have not entered; gate.mu guards it
}

// Look returns the *Refusal that work would get now, or keeps room for it: so
// that nobody has to read what is not let in anyway. Who is not refused still has
// to Enter with the Hold, and releases it in the end. There it may be refused all
// the same, where all places are taken, or where a breaker is open. A refusal
// counts as one of Enter.
func (g *Gate) Look(ctx context.Context, work Work) (*Hold, error) {
	if work.Decided || g.cfg.FixedQueue {
		return nil, nil
	}
	now := g.cfg.Clock()
	work.Cost = max(work.Cost, 1)
	j := job{Work: work, entered: now}
	j.hasten(ctx, now, g.cfg)
	hold := &Hold{g, j.Tenant, j.Cost} // not while mu is held: who allocates may have to help collecting garbage
	g.mu.Lock()
	refusal := g.core.refuse(now, &j)
	if refusal == nil {
		g.core.queue.keep(j.Tenant, j.Cost)
	}
	g.mu.Unlock()
	if refusal == nil {
		return hold, nil
	}
	refusal.RetryAfter = g.jittered(refusal.RetryAfter)
	g.metrics.refuse(work.Tenant, refusal.Reason)
	return nil, refusal
}

// Release gives up the room of what has not entered. It may be called again.
func (h *Hold) Release() {
	if h == nil {
		return
	}
	h.gate.mu.Lock()
	defer h.gate.mu.Unlock()
	h.take(h.gate, h.units)
}

// take gives room for so many units to work that enters, and reports whether
// there was enough. gate.mu is held.
func (h *Hold) take(gate *Gate, units int) bool {
	if h == nil || h.gate != gate || units > h.units {
		return false
	}
	h.units -= units
	gate.core.queue.keep(h.tenant, -units)
	return true
}
