package upstream

import (
	"slices"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// View is the clusters of one configuration. It does not change.
type View struct {
	set      *Set
	clusters map[string]*Cluster
	retired  bool // guarded by the set's mu
}

// Cluster finds a cluster, nil where there is none of this name.
func (v *View) Cluster(name string) *Cluster { return v.clusters[name] }

// Retire is called when a newer View is in force and no request begins by
// this one any more. Requests that go on by it may: endpoints that no other
// View has close their connections as these become idle. A second call does
// nothing.
func (v *View) Retire() {
	newest, left := v.set.retire(v)
	for _, e := range left {
		e.retire()
	}
	if newest != nil {
		newest.settle()
	}
}

// retire takes a view out. It returns the one that is the newest in its stead
// where it was the newest itself, and the endpoints that no view has any more.
func (s *Set) retire(v *View) (newest *View, left []*Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.retired {
		return nil, nil
	}
	v.retired = true
	last := s.views[len(s.views)-1] == v
	s.views = slices.DeleteFunc(s.views, func(other *View) bool { return other == v })
	for _, c := range v.clusters {
		left = append(left, c.leave()...)
	}
	if last && len(s.views) > 0 { // it was not put in force
		newest = s.views[len(s.views)-1]
		s.adopt(newest)
	}
	return newest, left
}

// leave gives up a cluster's share in its group and its endpoints, and returns
// those that nobody else has. The set's mu is held.
func (c *Cluster) leave() (left []*Endpoint) {
	g := c.group
	for _, m := range c.members {
		if m.views--; m.views == 0 {
			delete(g.endpoints, m.key)
			left = append(left, m.Endpoint)
		}
	}
	if g.views--; g.views == 0 {
		delete(g.set.groups, g.name)
	}
	return left
}

// cluster makes a cluster of a plan, over what there is of it already. The
// set's mu is held.
func (s *Set) cluster(p plan) *Cluster {
	g := s.groups[p.settings.Name]
	if g == nil {
		g = newGroup(s, p.settings.Name)
		s.groups[g.name] = g
	}
	g.views++
	c := &Cluster{settings: p.settings, group: g, credentials: p.credentials, breaker: g.breakerFor(p.settings.Errors)}
	for _, planned := range p.endpoints {
		e := g.endpoints[planned.key]
		if e == nil {
			e = newEndpoint(g, planned.key, p.settings.Health != nil)
			g.endpoints[planned.key] = e
		}
		e.views++
		c.members = append(c.members, member{
			Endpoint: e, weight: planned.weight, leaving: planned.draining,
			near: s.config.Zone != "" && planned.zone == s.config.Zone,
		})
	}
	if p.settings.Balance == edge.RingHash {
		c.ring = newRing(c.members)
	}
	c.choose(g.version.Load())
	return c
}

// adopt makes a view the one by which groups bound and judge. A group that it
// lacks goes on by what it had. The set's mu is held.
func (s *Set) adopt(v *View) {
	for _, c := range v.clusters {
		g := c.group
		g.mu.Lock()
		g.newest.Store(c)
		for _, m := range c.members {
			m.credentials.Store(c.credentials)
			m.draining.Store(m.leaving)
			if c.settings.Health == nil {
				m.ailing.Store(false)
			}
		}
		g.limitEjections(c)
		g.mu.Unlock()
		g.version.Add(1)
	}
}

// settle does what may wait once a view was adopted: idle connections that
// are not to be kept are closed, and who waits may have got room.
func (v *View) settle() {
	for _, c := range v.clusters {
		for _, m := range c.members {
			if m.leaving {
				m.idle.drop()
			}
		}
		c.group.queue.match()
	}
}
