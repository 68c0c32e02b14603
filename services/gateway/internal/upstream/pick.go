package upstream

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// member is an endpoint as one cluster has it.
type member struct {
	*Endpoint
	weight  uint32
	leaving bool // gets nothing new
	near    bool // in our own zone
}

// choice is what Pick draws from: the members that are to get requests. It is
// made anew when their health has changed.
type choice struct {
	version uint64
	members []member
	all     bool     // so few are usable that all are used
	draw    *draw    // by weight; nil: weights are equal
	wheel   []uint32 // turns by weight, as indices of members; nil: one each
}

// current is the choice for the health that endpoints have now.
func (c *Cluster) current() *choice {
	now := c.choice.Load()
	if version := c.group.version.Load(); now.version != version {
		return c.choose(version)
	}
	return now
}

// choose makes the choice of a version. Several at once make the same.
func (c *Cluster) choose(version uint64) *choice {
	made := &choice{version: version}
	var open, usable, near []member
	for _, m := range c.members {
		if m.leaving {
			continue
		}
		open = append(open, m)
		if m.usable() {
			usable = append(usable, m)
			if m.near {
				near = append(near, m)
			}
		}
	}
	made.members = usable
	switch {
	case float64(len(usable)) < c.settings.PanicThreshold*float64(len(open)) || len(usable) == 0:
		made.members, made.all = open, true
	case enoughNear(c.members, len(near)):
		made.members = near
	}
	if uneven(made.members) {
		switch c.settings.Balance {
		case edge.RoundRobin:
			made.wheel = newWheel(made.members)
		case edge.LeastRequest, edge.Random:
			made.draw = newDraw(made.members)
		case edge.RingHash: // the ring has them all, by weight
		}
	}
	c.choice.Store(made)
	return made
}

// enoughNear tells whether the endpoints of our own zone that are usable are
// to get everything: while at least half of the zone's are.
func enoughNear(members []member, usable int) bool {
	zone := 0
	for _, m := range members {
		if m.near && !m.leaving {
			zone++
		}
	}
	return usable > 0 && 2*usable >= zone
}

func uneven(members []member) bool {
	return slices.ContainsFunc(members, func(m member) bool { return m.weight != members[0].weight })
}

// Pick chooses an endpoint for a try. keyed says that the request has a key,
// by which ring hash goes; the other ways ignore it. Endpoints already tried
// are chosen only where there is no other. It returns ErrNoEndpoint where no
// endpoint takes requests. The try is to be counted by Begin and Done.
func (c *Cluster) Pick(key uint64, keyed bool, tried []*Endpoint) (*Endpoint, error) {
	now := c.current()
	if len(now.members) == 0 {
		return nil, ErrNoEndpoint
	}
	if c.ring != nil {
		if !keyed {
			key = c.group.set.random.next()
		}
		return c.ring.pick(mix(key), now.all, tried), nil
	}
	var picked *Endpoint
	switch c.settings.Balance {
	case edge.RoundRobin:
		picked = now.next(c.group.turn.Add(1))
	case edge.Random:
		picked = now.drawn(c.group.set.random.next()).Endpoint
	default:
		picked = now.lessBusy(&c.group.set.random)
	}
	if len(tried) > 0 && slices.Contains(tried, picked) {
		return now.untried(c.group.set.random.next(), tried, picked), nil
	}
	return picked, nil
}

// lessBusy is the less busy of two members, for its weight.
func (c *choice) lessBusy(r *random) *Endpoint {
	a := c.drawn(r.next())
	if len(c.members) == 1 {
		return a.Endpoint
	}
	b := c.drawn(r.next())
	if b.active.Load()*int64(a.weight) < a.active.Load()*int64(b.weight) {
		return b.Endpoint
	}
	return a.Endpoint
}

// drawn is a member by a random number, in proportion to weights.
func (c *choice) drawn(random uint64) *member {
	if c.draw != nil {
		return &c.members[c.draw.index(random)]
	}
	return &c.members[scale(uint32(random>>32), len(c.members))]
}

// next is the member whose turn it is.
func (c *choice) next(turn uint64) *Endpoint {
	if c.wheel != nil {
		return c.members[c.wheel[turn%uint64(len(c.wheel))]].Endpoint
	}
	return c.members[turn%uint64(len(c.members))].Endpoint
}

// untried is the least busy member that was not tried, from a random one on;
// the one picked first where there is none.
func (c *choice) untried(random uint64, tried []*Endpoint, picked *Endpoint) *Endpoint {
	best := (*member)(nil)
	start := scale(uint32(random>>32), len(c.members))
	for i := range c.members {
		m := &c.members[(start+i)%len(c.members)]
		if slices.Contains(tried, m.Endpoint) {
			continue
		}
		if best == nil || m.active.Load()*int64(best.weight) < best.active.Load()*int64(m.weight) {
			best = m
		}
	}
	if best == nil {
		return picked
	}
	return best.Endpoint
}

// scale maps a random number to 0..n-1.
func scale(random uint32, n int) int { return int(uint64(random) * uint64(n) >> 32) }

// random is the runtime's, or a sequence that a seed gives.
type random struct {
	seeded bool
	state  atomic.Uint64
}

func (r *random) seed(seed uint64) {
	r.seeded = seed != 0
	r.state.Store(seed)
}

func (r *random) next() uint64 {
	if !r.seeded {
		return rand.Uint64() //nolint:gosec // of which endpoint gets a request nobody gains anything
	}
	return mix(r.state.Add(golden))
}

// share is a random number of 0 to below 1.
func (r *random) share() float64 { return float64(r.next()>>11) / (1 << 53) }

// golden and mix are SplitMix64 (Steele, Lea and Flood, 2014).
const golden = 0x9e3779b97f4a7c15

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
